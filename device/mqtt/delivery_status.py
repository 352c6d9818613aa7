"""State of delivery and of the connection to the broker, for `health`."""

from dataclasses import dataclass

from device.outbox.queue import OutboxStatus


@dataclass(frozen=True)
class DeliveryStatus:
    """State of delivery.

    Attributes:
        connected: whether the broker has accepted the connection.
        connections: connections since the start.
        last_fault: reason for the last failed or ended connection, with the cure; empty before the first.
        faults: messages and subscriptions that the broker does not accept now, each with the cure.
        acknowledged_seconds_ago: age of the broker's last acknowledgement, s; None before the first.
        commands_dropped: received messages that were dropped, because they were too many or too large.
        outbox: state of the outbox.
    """

    connected: bool
    connections: int
    last_fault: str
    faults: tuple[str, ...]
    acknowledged_seconds_ago: float | None
    commands_dropped: int
    outbox: OutboxStatus
