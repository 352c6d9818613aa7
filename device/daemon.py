"""`earshot run`: builds the stages, joins them, and takes them down in reverse."""

import logging
import os
import threading
from dataclasses import asdict
from pathlib import Path

from device.audio.files import FileSource, sound_files
from device.audio.microphone import MicrophoneSource
from device.audio.stream import StreamSource
from device.bundle import Bundle, load_bundle, self_test
from device.classifier import Classifier
from device.clips import ClipFolder
from device.clock import CLOCK
from device.config import Config
from device.config_file import read_password
from device.controls import Controls, Switches
from device.errors import ConfigError, UnavailableError
from device.health import Health, Reporter
from device.machine import memory_mb, temperature_celsius, versions
from device.mqtt.messages import SCHEMA, encode, event_message
from device.mqtt.publisher import Publisher
from device.mqtt.states import Announced, States
from device.outbox import Outbox
from device.pipeline import Pipeline
from device.recorder import Recorder
from device.state_file import StateFile
from device.suggest import did_you_mean
from device.types import Event, Observers

_LOGGER = logging.getLogger(__name__)

MICROPHONE, STANDARD_INPUT = "mic", "-"
Source = MicrophoneSource | FileSource | StreamSource
_DELIVERY_SECONDS = 15.0
"""How long the last events may take to reach the broker when a run ends with its recording."""


def run(
    config: Config,
    *,
    source_name: str,
    source_rate: int | None = None,
    realtime: bool,
    exit_at_end: bool,
    stop: threading.Event,
) -> None:
    """Listen and publish until `stop` is set, the recording ends, or standard input does.

    Args:
        config: all of it.
        source_name: "mic", "-" for raw samples on standard input, or a sound file or a folder of them.
        source_rate: Hz, of standard input; None takes the bundle's.
        realtime: whether a recording is played at the pace of the clock, and standard input is live.
        exit_at_end: whether to return when the recording is over and its events are delivered.
        stop: set by a signal.

    Raises:
        EarshotError: something that the user can put right.
    """
    bundle, classifier = open_bundle(config.model.bundle, config.model.threads)
    check_labels(config, bundle)
    rate = bundle.features.sample_rate
    health = Health()
    source = _source(source_name, source_rate, config, rate, health, realtime=realtime, stop=stop)
    password = read_password(config.mqtt)
    with (
        source,
        Outbox(state_directory() / "outbox.sqlite", config.outbox) as outbox,
        Publisher(config.mqtt, password, config.node, outbox) as publisher,
        Reporter(lambda: _report(health, source, publisher, config.node, bundle), health.changed),
    ):
        states = States(publisher, config.node, bundle.labels, str(bundle))
        states.announce(config.home_assistant, StateFile(state_directory() / "home_assistant.json", Announced))
        clips = ClipFolder(state_directory() / "clips")
        observers = Observers(health, states, *_recorder(config, clips, bundle))
        pipeline = Pipeline(config, bundle, health.timed(classifier), observers)
        controls = Controls(
            StateFile(state_directory() / "switches.json", Switches),
            pipeline.thresholds,
            set_threshold=pipeline.set_threshold,
            tell=publisher.state,
            correct=clips.correct,
        )
        publisher.on_command(controls.command)
        _LOGGER.info("%s listens to %s with %s", config.node, source, bundle)
        lost_samples = 0
        for event in pipeline.run(controls.while_listening(source)):
            _log(event)
            observers.heard(event)
            publisher.send(event_message(event, node_id=config.node, bundle=str(bundle), clock=CLOCK))
            if source.lost_samples > lost_samples:
                lost_samples = source.lost_samples
                _LOGGER.warning("%d ms of sound were lost so far", lost_samples * 1000 // rate)
        if exit_at_end or source_name == STANDARD_INPUT:  # what ended will not come back, but a supervisor brings it
            _deliver(publisher, config)
        else:
            stop.wait()


def open_bundle(path: Path, threads: int = 1) -> tuple[Bundle, Classifier]:
    """Read a bundle, verify it, and make the classifier that it describes.

    Raises:
        ConfigError: the bundle is missing, damaged, or computes something else on this machine.
    """
    bundle = load_bundle(path)
    classifier = Classifier(
        bundle.model_path,
        labels=len(bundle.labels),
        temperature=bundle.manifest.calibration.temperature,
        threads=threads,
    )
    self_test(bundle, classifier)
    return bundle, classifier


def state_directory() -> Path:
    """Where what must survive a restart lies: systemd's folder, else the user's."""
    if "STATE_DIRECTORY" in os.environ:
        return Path(os.environ["STATE_DIRECTORY"])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "earshot"


def _source(
    name: str,
    source_rate: int | None,
    config: Config,
    sample_rate: int,
    health: Health,
    *,
    realtime: bool,
    stop: threading.Event,
) -> Source:
    audio = config.audio
    if name == MICROPHONE:
        return MicrophoneSource(
            audio.device, sample_rate, queue_seconds=audio.queue_seconds, stop=stop, on_state=health.diagnosed
        )
    if name == STANDARD_INPUT:
        return StreamSource(
            source_rate or sample_rate,
            sample_rate,
            live=realtime,
            queue_seconds=audio.queue_seconds,
            stop=stop,
            on_state=health.diagnosed,
        )
    return FileSource(sound_files(Path(name)), sample_rate, realtime=realtime, stop=stop, on_state=health.diagnosed)


def check_labels(config: Config, bundle: Bundle) -> None:
    """Check that the labels that the config names are the bundle's.

    Raises:
        ConfigError: one is not.
    """
    for label in config.events.thresholds:
        if label not in bundle.labels:
            raise ConfigError(
                f"events.thresholds.{label}: the bundle {bundle} has no such label. "
                f"{did_you_mean(label, bundle.labels)}"
            )


def _recorder(config: Config, clips: ClipFolder, bundle: Bundle) -> list[Recorder]:
    """The recorder of clips, where they are on."""
    if not config.clips.enabled:
        return []
    knows_none = bundle.manifest.unknown.output
    return [Recorder(config.clips, clips, bundle.features, bundle.labels, knows_none=knows_none)]


def _log(event: Event) -> None:
    _LOGGER.info(
        "%s %s, confidence %.2f, %.0f dBFS, gate %s",
        event.label,
        "started" if event.end_time is None else f"ended after {event.end_time - event.start_time:.1f} s",
        event.confidence,
        event.level_dbfs,
        event.gate,
    )


def _report(health: Health, source: Source, publisher: Publisher, node_id: str, bundle: Bundle) -> None:
    facts = publisher.facts()
    ago = facts.acknowledged_seconds_ago
    message = {
        "schema": SCHEMA,
        "node_id": node_id,
        **health.report(),
        "lost_audio_ms": source.lost_samples * 1000 // bundle.features.sample_rate,
        "outbox": {**asdict(facts.outbox), "acknowledged_seconds_ago": ago and round(ago, 1)},
        "commands_dropped": facts.commands_dropped,
        "temperature_celsius": temperature_celsius(),
        "memory_mb": memory_mb(),
        "versions": {**versions(), "bundle": str(bundle)},
    }
    publisher.state("health", encode(message))


def _deliver(publisher: Publisher, config: Config) -> None:
    waiting = publisher.wait_delivered(_DELIVERY_SECONDS)
    if waiting:
        raise UnavailableError(
            f"broker {config.mqtt.host}:{config.mqtt.port}: {waiting} messages could not be delivered and wait in "
            f"{state_directory() / 'outbox.sqlite'}. Start the broker, or set mqtt.host and mqtt.port, and run again"
        )
