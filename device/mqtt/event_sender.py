"""Event sender: event messages from the outbox to their topics, live or late, each in order. Used from one thread."""

from collections import deque

import paho.mqtt.client as paho

from device.mqtt.broker_limits import BrokerLimits
from device.mqtt.delivery_faults import describe_oversize
from device.mqtt.event_lane import EventLane
from device.mqtt.in_flight import InFlight, LaneName, Sent
from device.mqtt.messages import Topics, correct_times, encode, without_scores
from device.mqtt.suspects import Suspects
from device.mqtt.topic_faults import TopicFaults
from device.outbox.entry import Entry
from device.outbox.queue import Outbox
from device.util.clock import Clock

_LEAST_SECONDS = 0.01


class EventSender:
    """Sender of event messages: live ones to `event`, late ones to `event/backlog`.

    Both are sent in the order of their sequence numbers. A live message does not wait for late ones, which may be many
    or refused. A message that was sent live and not answered is not sent as late before its answer.

    Args:
        outbox: the queue of event messages, open.
        topics: of the node.
        clock: determines the age of messages, and corrects their times.
        live_seconds: age from which a message is late, s.
        in_flight: messages in flight, shared with the states.
        suspects: topics that may end connections.
        faults: receives faults of topics.
    """

    def __init__(
        self,
        outbox: Outbox,
        topics: Topics,
        clock: Clock,
        live_seconds: float,
        in_flight: InFlight,
        suspects: Suspects,
        faults: TopicFaults,
    ) -> None:
        self.lanes: dict[LaneName, EventLane] = {
            "live": EventLane("live", topics.event, in_flight),
            "backlog": EventLane("backlog", topics.backlog, in_flight),
        }
        self._outbox = outbox
        self._clock = clock
        self._live_seconds = live_seconds
        self._in_flight = in_flight
        self._suspects = suspects
        self._faults = faults
        self._limits = BrokerLimits()
        self._created: deque[tuple[int, float]] = deque()

    def begin(self, limits: BrokerLimits) -> None:
        """Begin a connection; messages without an acknowledgement are sent again."""
        self._limits = limits
        for lane in self.lanes.values():
            lane.begin(can_refuse=limits.can_refuse)

    def add(self, entry: Entry) -> None:
        """Record a message of this run, which is live until it is too old."""
        self._created.append((entry.sequence, entry.created.steady))

    def retry(self) -> None:
        """Send the messages again that were passed over, because the broker's rules may have changed."""
        for lane in self.lanes.values():
            lane.retry()

    def forget(self) -> None:
        """Read the outbox from its beginning: some messages could not be read before, or have new numbers."""
        for lane in self.lanes.values():
            lane.rewind()

    def send(self, client: paho.Client, name: LaneName) -> float:
        """Send messages of one lane while its slots are free; return the time until it must be called again, s."""
        lane = self.lanes[name]
        is_held = name == "backlog" and lane.topic in self._suspects.held()
        count = 0 if is_held else lane.capacity(self._in_flight.free(name))
        if count <= 0:
            return lane.seconds_until_due()
        # After `rewind`, messages in flight are read again.
        sent, sent_live = self._in_flight.sequences(name), self._in_flight.sequences("live")
        entries = self._entries(name, count + len(sent))
        for entry in entries:
            if entry.sequence in sent:
                continue
            if count == 0 or (name == "backlog" and not self._may_send_late(entry, sent_live)):
                return lane.seconds_until_due()
            count -= self._send(client, name, entry)
        return _LEAST_SECONDS if entries and count else lane.seconds_until_due()

    def _entries(self, name: LaneName, limit: int) -> list[Entry]:
        """Return the next messages of a lane. Messages of the live lane begin with the oldest one that is not late."""
        first_live, cursor = self._first_live(), self.lanes[name].cursor
        if name == "backlog":
            return self._outbox.entries_after(cursor, limit)
        return [] if first_live is None else self._outbox.entries_after(max(cursor, first_live - 1), limit)

    def _first_live(self) -> int | None:
        """Return the sequence number of the oldest message that is not late; None if all are late."""
        now = self._clock.steady()
        while self._created and now - self._created[0][1] > self._live_seconds:
            self._created.popleft()
        # The outbox may have given this run's messages new numbers, above those of earlier runs.
        return max(self._created[0][0], self._outbox.first_of_run) if self._created else None

    def _may_send_late(self, entry: Entry, sent_live: set[int]) -> bool:
        """Return whether a message is late, and not sent live before. Later ones wait, so that the order is kept."""
        first_live = self._first_live()
        is_late = first_live is None or entry.sequence < first_live
        return is_late and entry.sequence not in sent_live

    def _send(self, client: paho.Client, name: LaneName, entry: Entry) -> bool:
        """Send a message; return False if it is passed over, because it is too large for the broker."""
        lane = self.lanes[name]
        message = correct_times(entry.message, entry.created, self._clock)
        if name == "backlog":
            message = message | {"replayed": True}
        versions = (encode(message), encode(without_scores(message)))
        payload = next((each for each in versions if self._limits.fits(lane.topic, each)), None)
        if payload is not versions[0]:
            fault = describe_oversize(lane.topic, self._limits.packet_bytes, is_left_out=payload is None)
            self._faults.report(lane.topic, fault)
        if payload is None:
            lane.pass_over(entry.sequence)
            return False
        qos = min(1, self._limits.qos)
        sent = Sent(entry, lane.topic, name, qos, len(payload), is_reduced=payload is not versions[0])
        self._in_flight.publish(client, sent, payload)
        lane.send(entry.sequence)
        return True
