"""Health view: the health message, the connection and the history as sentences, the worst first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from device.mqtt.subscriber import finite_number
from device.util.catalogue import Translate, format_number
from device.web.node_feed import NodeFeed

Grade = Literal["bad", "warning", "good"]
_ORDER: Final = ("bad", "warning", "good")
_OLD_SECONDS: Final = 180
"""Age from which the last report counts as old, s. The daemon reports every minute."""
MICROPHONE: Final = {
    "ok": "The microphone works.",
    "missing": "The microphone is missing. Plug it in.",
    "busy": "Another program uses the microphone. Stop it.",
    "stalled": "The microphone delivers nothing. Unplug it, and plug it in again.",
    "silent": "The microphone is quieter than any room. Check its switch and its volume.",
    "dc": "The microphone delivers a constant value. It is probably broken.",
    "clipping": "The microphone is overdriven. Lower its volume.",
    "wrong_rate": "The microphone delivers another sample rate than it claims.",
    "monitor": "The sound server delivers what a loudspeaker plays, and no microphone.",
    "no_channel": "The microphone has fewer channels than the settings name. Correct audio.channels.",
    "unreachable": "The stream cannot be reached. Check the camera, its network and its address.",
    "denied": "The stream refuses user and password. Correct them in its address.",
    "no_audio": "The stream has no sound. Turn it on in the settings of the camera.",
}
STRETCH: Final = {
    "slow": "The network is slower than the sound, so fewer windows are classified.",
    "behind": "The classification is behind the sound, so fewer windows are classified.",
    "hot": "The device is hot, so fewer windows are classified.",
}


@dataclass(frozen=True)
class Finding:
    """One sentence about the state of the device.

    Attributes:
        grade: `good`, `warning` or `bad`.
        text: the sentence, in the user's language.
    """

    grade: Grade
    text: str


def view_health(feed: NodeFeed, broker: str, history_fault: str, translate: Translate, language: str) -> list[Finding]:
    """Return the findings, the worst first.

    Args:
        feed: what the daemon publishes.
        broker: name and port of the broker, for the sentence about it.
        history_fault: why the history cannot be read; empty without a fault.
        translate: translates into the user's language.
        language: its code.
    """
    _ = translate
    findings = []
    if history_fault:
        findings.append(Finding("bad", history_fault))
    if feed.fault:
        findings.append(Finding("bad", f"{broker} {feed.fault}"))  # in English, as in the daemon's log
    elif not feed.is_connected:
        text = _("The broker {broker} does not answer. Events are kept, and live values are missing.", broker=broker)
        findings.append(Finding("bad", text))
    else:
        findings.append(Finding("good", _("The broker {broker} is connected.", broker=broker)))
        findings += _of_daemon(feed, _)
        if health := feed.message("health"):
            findings += _of_message(health, _, language)
    return sorted(findings, key=lambda finding: _ORDER.index(finding.grade))


def _of_daemon(feed: NodeFeed, _: Translate) -> Iterator[Finding]:
    match feed.text("status"):
        case "online":
            yield Finding("good", _("Earshot is running."))
        case "offline":
            yield Finding("bad", _("Earshot is not running, or it has lost the network. Look at its log."))
        case _other:
            yield Finding("bad", _("Earshot has never connected to this broker under this name."))
    if feed.text("listening") == "OFF":
        yield Finding("warning", _("Listening is switched off."))


def _of_message(health: dict[str, Any], _: Translate, language: str) -> Iterator[Finding]:
    """Yield findings of a health message. It comes over the network, so any field may be missing."""
    age = _age_seconds(health.get("time"))
    if age is None or age > _OLD_SECONDS:
        yield Finding("warning", _("The last report of the device is old, so the rest of this page may be outdated."))
    state = str(part_of(health, "microphone").get("state"))
    known = MICROPHONE.get(state)
    if known:
        yield Finding("good" if state == "ok" else "bad", _(known))
    else:
        yield Finding("warning", str(part_of(health, "microphone").get("message") or _("No microphone is reported.")))
    if lost := finite_number(health.get("lost_audio_ms")):
        seconds = format_number(lost / 1000, 1, language)
        yield Finding("warning", _("{seconds} s of sound were lost since the start.", seconds=seconds))
    else:
        yield Finding("good", _("No sound was lost."))
    yield from _of_queues(health, _)
    if reason := STRETCH.get(str(part_of(health, "stretch").get("reason"))):
        yield Finding("warning", _(reason))
    if inference := finite_number(health.get("inference_ms")):
        milliseconds = format_number(inference, 0, language)
        yield Finding("good", _("A window is classified in {milliseconds} ms.", milliseconds=milliseconds))
    if temperature := finite_number(health.get("temperature_celsius")):
        yield Finding("good", _("The temperature is {celsius} °C.", celsius=format_number(temperature, 0, language)))
    if "under_voltage" in values_of(part_of(health, "throttling"), "now"):
        yield Finding("bad", _("The voltage is too low. Use the original power supply."))


def _of_queues(health: dict[str, Any], _: Translate) -> Iterator[Finding]:
    outbox, history = part_of(health, "outbox"), part_of(health, "history")
    if depth := finite_number(outbox.get("depth")):
        yield Finding("warning", _("{count} messages wait for the broker.", count=round(depth)))
    else:
        yield Finding("good", _("No message waits for the broker."))
    if dropped := finite_number(outbox.get("dropped")):
        yield Finding("bad", _("{count} messages were dropped before the broker had them.", count=round(dropped)))
    for part in (outbox, history):
        if trouble := part.get("trouble"):
            yield Finding("bad", str(trouble))
    if rows := finite_number(history.get("rows")):
        yield Finding("good", _("The history contains {count} events.", count=round(rows)))
    if missing := values_of(part_of(health, "threads"), "missing"):
        yield Finding("bad", _("Parts of Earshot have stopped: {names}.", names=", ".join(map(str, missing))))


def part_of(message: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object of a message; empty for anything else, because it comes over the network."""
    part = message.get(key)
    return part if isinstance(part, dict) else {}


def values_of(message: dict[str, Any], key: str) -> list[Any]:
    """Return a list of a message; empty for anything else."""
    values = message.get(key)
    return values if isinstance(values, list) else []


def _age_seconds(time: object) -> float | None:
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(str(time))).total_seconds()
    except (ValueError, TypeError):
        return None
