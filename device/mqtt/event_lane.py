"""Event lane: order and pace of the event messages on one topic, live or late. Used from one thread."""

import time
from collections.abc import Callable

from device.mqtt.in_flight import InFlight, LaneName

RETRY_SECONDS = 5.0
"""Longest pause before another attempt, s."""
REFUSED_SECONDS = 5.0
"""Pause before another attempt after a refusal by the broker, s."""
_ALONE_SECONDS = 1.0
"""Longest time for which the next message waits for the answer to the first one."""
_PROOFS_AFTER_REFUSAL = 20
"""Messages that the broker must accept after a refusal, until several are in flight again."""
_STUBBORN_REFUSALS = 12
"""Refusals of the oldest message, one every 5 s, after which it is passed over."""
_CONTENT_REASONS = {0x80, 0x83}
"""Reason codes that may be due to the content of one message: unspecified and implementation specific error."""
_BAD_PAYLOAD = 0x99
"""Reason code of a message whose content the broker does not accept."""


class EventLane:
    """State of one topic of event messages: what is sent and refused.

    A broker of MQTT 5 may refuse a message and accept the next one, which would arrive out of order. So the first
    message after a connection or a refusal is sent alone, for at most a second.

    Args:
        name: of the lane.
        topic: of the messages.
        in_flight: messages of all lanes without an acknowledgement.
        clock: monotonic seconds.

    Attributes:
        cursor: sequence number of the last message that was sent or passed over.
        has_passed_over: whether a message was passed over, because the broker does not accept its size or content.
    """

    def __init__(
        self, name: LaneName, topic: str, in_flight: InFlight, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.topic = topic
        self._name: LaneName = name
        self._in_flight = in_flight
        self.cursor = 0
        self.has_passed_over = False
        self._clock = clock
        self._proofs = 0
        self._is_refused = False
        self._sent_at = self._paused_until = float("-inf")
        self._refused_sequence, self._refusals = 0, 0

    def begin(self, *, can_refuse: bool) -> None:
        """Begin a connection without messages in flight; the pause of `hold` continues."""
        self.cursor = 0
        self._proofs = 1 if can_refuse else 0
        self._is_refused = self.has_passed_over = False

    def send(self, sequence: int) -> None:
        """Record that a message is sent."""
        self.cursor = sequence
        self._sent_at = self._clock()

    def pass_over(self, sequence: int) -> None:
        """Record that a message cannot be sent now. `retry` sends it again."""
        self.cursor = sequence
        self.has_passed_over = True

    def accept(self) -> None:
        """Record that the broker has acknowledged a message, which is no longer in flight."""
        self._proofs = max(0, self._proofs - 1)
        self._settle()

    def refuse(self, sequence: int, reason: int) -> None:
        """Record that the broker has refused a message, which is no longer in flight.

        It is sent again after a pause, before all later ones.
        """
        if sequence != self._refused_sequence:
            self._refused_sequence, self._refusals = sequence, 0
        self._refusals += 1
        if reason == _BAD_PAYLOAD or (reason in _CONTENT_REASONS and self._refusals > _STUBBORN_REFUSALS):
            self.has_passed_over = True
        else:
            self._is_refused = True
            self._proofs = _PROOFS_AFTER_REFUSAL
            self.hold(REFUSED_SECONDS)
        self._settle()

    def hold(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def rewind(self) -> None:
        """Begin again with the oldest message, because some could not be read. None in flight is sent twice."""
        self.cursor = 0

    def retry(self) -> None:
        """Send the messages again that were passed over."""
        if self.has_passed_over:
            self.has_passed_over = False
            self.rewind()

    def capacity(self, free: int) -> int:
        """Return how many messages may be sent now, at most `free`."""
        now = self._clock()
        if self._is_refused or now < self._paused_until:
            return 0
        if self._proofs:
            is_due = not self._is_waiting or now - self._sent_at >= _ALONE_SECONDS
            return min(free, 1) if is_due else 0
        return free

    def seconds_until_due(self) -> float:
        """Return the time until `capacity` may be above 0 again without an acknowledgement, s."""
        now = self._clock()
        if now < self._paused_until:
            return self._paused_until - now
        if self._proofs and self._is_waiting:
            return max(0.0, self._sent_at + _ALONE_SECONDS - now)
        return RETRY_SECONDS

    @property
    def _is_waiting(self) -> bool:
        """True while a message is in flight."""
        return self._in_flight.oldest(self._name) is not None

    def _settle(self) -> None:
        """After a refusal, wait for the answers to all messages in flight, then begin with the oldest."""
        if self._is_refused and not self._is_waiting:
            self._is_refused = False
            self.rewind()
