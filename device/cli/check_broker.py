"""Checks of the broker: each kind of topic is published or subscribed to, as the daemon does, and nothing is changed.

A retained message is published again as it is. Where there is none, or none that this user may read, a message without
effect is published: an empty one, which is not retained. See docs/commands.md.
"""

from collections.abc import Iterator

from device.cli.check_result import CheckResult
from device.config.models import Config
from device.config.secrets import read_password
from device.errors import EXIT_UNAVAILABLE
from device.mqtt.broker_session import BrokerSession
from device.mqtt.home_assistant import discovery_topic
from device.mqtt.messages import LABEL_STATES, Topics

_ARRIVAL_SECONDS = 3.0
"""Longest time for retained messages to arrive, s."""
_ECHO_SECONDS = 1.0
"""Longest time for a published message to come back, s."""
_NO_DISCOVERY = b"check"
"""Content of a discovery message without effect: Home Assistant would delete the device at an empty one."""


class BrokerChecks:
    """Checks of the connection, of the broker's limits, and of each kind of topic.

    Args:
        config: settings of the daemon.
        label: label whose topics are checked.
        unknown: whether the daemon publishes unknown sounds.

    Attributes:
        health: last health message of the daemon, as retained; None if there is none, or this user may not read it.
    """

    def __init__(self, config: Config, label: str, *, unknown: bool = False) -> None:
        self.health: bytes | None = None
        self._config = config
        self._topics = Topics(config.node)
        self._label = label
        self._unknown = unknown
        self._retained: dict[str, bytes] = {}

    def results(self) -> Iterator[CheckResult]:
        """Yield the result of each check; only the first one if there is no connection.

        Raises:
            EarshotError: no connection, or no password.
        """
        mqtt = self._config.mqtt
        with BrokerSession(mqtt, read_password(mqtt)) as session:
            protocol = "MQTT 5" if session.limits.can_refuse else "MQTT 3.1.1, in which a refused message has no reason"
            yield CheckResult("broker", "ok", f"{mqtt.host}:{mqtt.port} accepts the connection, with {protocol}")
            for restriction in session.limits.restrictions().values():
                if restriction:
                    yield CheckResult("broker limits", "warning", restriction)
            self._read_retained(session)
            for name, topic in self._published_topics().items():
                yield _result(f"publish {name}", self._publish(session, topic), f"{topic} is accepted")
            yield self._check_commands(session)
            if self._config.home_assistant.enabled:
                topic = f"{self._config.home_assistant.discovery_prefix}/status"
                yield _result("receive birth", session.subscribe(topic), f"{topic} is subscribed to")

    def _published_topics(self) -> dict[str, str]:
        """Return a topic of each kind that the daemon publishes, by name of the kind."""
        states = [
            "status",
            "health",
            "listening",
            "sounding",
            "today",
            *(f"{state}/{self._label}" for state in LABEL_STATES),
        ]
        states += ["spectrogram"] if self._config.mqtt.spectrogram != "off" else []
        states += ["unknown/last"] if self._unknown else []
        states += ["level"] if self._config.level.enabled else []
        states += ["clip/last"] if self._config.clips.enabled else []
        topics = {"event": self._topics.event, "backlog": self._topics.backlog}
        topics |= {name.partition("/")[0]: self._topics.state(name) for name in states}
        if self._config.home_assistant.enabled:
            topics["discovery"] = self._discovery_topic()
        return topics

    def _discovery_topic(self) -> str:
        return discovery_topic(self._config.home_assistant.discovery_prefix, self._config.node)

    def _read_retained(self, session: BrokerSession) -> None:
        """Receive the retained messages, as far as this user may: the daemon itself need not read them."""
        for topic_filter in (self._topics.all, self._discovery_topic()):
            session.subscribe(topic_filter)
        session.wait_for_quiet(_ARRIVAL_SECONDS)
        self._retained = {message.topic: bytes(message.payload) for message in session.messages if message.retain}
        self.health = self._retained.get(self._topics.state("health"))

    def _publish(self, session: BrokerSession, topic: str) -> str:
        """Publish a message without effect, at the daemon's quality of service; return the fault."""
        payload = _NO_DISCOVERY if topic == self._discovery_topic() else b""
        if topic in self._retained:
            return session.publish(topic, self._retained[topic], retain=True)
        before = len(session.messages)
        fault = session.publish(topic, payload, retain=False)
        is_state = topic not in (self._topics.event, self._topics.backlog) and not payload
        if fault or not is_state or not session.wait_for_message(topic, _ECHO_SECONDS, before):
            return fault
        # This user reads the topic, and nothing was retained. So an empty retained message deletes nothing.
        return session.publish(topic, payload, retain=True)

    def _check_commands(self, session: BrokerSession) -> CheckResult:
        """Subscribe to commands, and send one without effect. Some brokers accept a subscription that they ignore."""
        name, topic_filter = "receive commands", f"{self._topics.command}#"
        if fault := session.subscribe(topic_filter):
            return _result(name, fault, "")
        before, topic = len(session.messages), f"{self._topics.command}check"
        if session.publish(topic, b"", retain=False):
            return CheckResult(name, "ok", f"{topic_filter} is subscribed to; this user may not send commands")
        if session.wait_for_message(topic, _ECHO_SECONDS, before):
            return CheckResult(name, "ok", f"{topic_filter} is subscribed to, and a command arrives")
        fault = (
            f"the broker accepts the subscription to {topic_filter}, and delivers no message. "
            "Allow this user to read it in the broker's access rules"
        )
        return _result(name, fault, "")


def _result(name: str, fault: str, success: str) -> CheckResult:
    if fault:
        return CheckResult(name, "fault", fault, EXIT_UNAVAILABLE)
    return CheckResult(name, "ok", success)
