"""`earshot run`: builds the stages, joins them, and takes them down in reverse."""

import gc
import logging
import os
import threading
from dataclasses import asdict
from pathlib import Path

from device.audio.factory import STANDARD_INPUT, Input, make_source
from device.clips.recorder import Recorder
from device.clips.store import ClipFolder
from device.config.models import Config
from device.errors import UnavailableError
from device.model.bundle import Bundle
from device.monitoring.health import Health, Reporter
from device.monitoring.liveness import Pulse
from device.monitoring.load_shedding import Load
from device.monitoring.system_metrics import is_hot, memory_mb, temperature_celsius, throttling, versions
from device.mqtt.messages import SCHEMA, encode, event_message
from device.mqtt.publisher import Publisher
from device.mqtt.spectrogram_image import painter
from device.mqtt.state_topics import Announced, States
from device.outbox.queue import Outbox
from device.pipeline import Pipeline
from device.service.remote_control import Controls, Switches
from device.service.runtime import Settings
from device.service.supervisor import Service, Stages
from device.types import Event, Observers
from device.util.clock import CLOCK
from device.util.json_store import StateFile

_LOGGER = logging.getLogger(__name__)

_DELIVERY_SECONDS = 15.0
"""How long the last events may take to reach the broker when a run ends with its recording."""


def serve(service: Service[Settings], sound: Input) -> None:
    """Listen and publish until the service is stopped, the recording ends, or standard input does.

    Raises:
        EarshotError: something that the user can put right.
    """
    health, pulse = Health(), Pulse()
    for settings, stop in service.generations():
        _run(settings, sound, service, health, pulse, stop)
        gc.collect()  # the stages refer to one another: what they held goes before the next ones are there


def _run(
    settings: Settings,
    sound: Input,
    service: Service[Settings],
    health: Health,
    pulse: Pulse,
    stop: threading.Event,
) -> None:
    """Listen and publish with these settings until `stop` is set, or there is nothing more to hear."""
    config, bundle = settings.config, settings.bundle
    source = make_source(sound, config.audio, bundle.features.sample_rate, stop, health.diagnosed)
    load = Load(
        limit=config.load.maximum_stretch if sound.realtime else 1.0,
        hop_seconds=config.window.hop_seconds,
        queue_seconds=config.audio.queue_seconds,
        is_hot=lambda: is_hot(temperature_celsius(), throttling(), config.load.hot_celsius),
        changed=health.changed.set,
    )
    with (
        source,
        Outbox(state_directory() / "outbox.sqlite", config.outbox) as outbox,
        Publisher(config.mqtt, settings.password, config.node, outbox) as publisher,
        Reporter(lambda: _report(health, pulse, load, publisher, config.node, bundle), health.changed),
        service.watching(
            Stages(
                lambda: _status(health, publisher, config),
                {"listening": pulse.silent_seconds, "outbox": publisher.silent_seconds},
            )
        ),
    ):
        draw = painter(config.mqtt.spectrogram, bundle.features.hop_length_seconds)
        states = States(publisher, config.node, bundle.labels, str(bundle), draw)
        states.announce(config.home_assistant, StateFile(state_directory() / "home_assistant.json", Announced))
        clips = ClipFolder(state_directory() / "clips")
        observers = Observers(health, states, *_recorder(config, clips, bundle))
        classify = load.timed(health.timed(settings.classifier))
        pipeline = Pipeline(config, bundle, classify, observers, load.factor)
        controls = Controls(
            StateFile(state_directory() / "switches.json", Switches),
            pipeline.thresholds,
            set_threshold=pipeline.set_threshold,
            tell=publisher.state,
            correct=clips.correct,
        )
        publisher.on_command(controls.command)
        _LOGGER.info("%s listens to %s with %s", config.node, source, bundle)
        heard = load.through(pulse.through(source, bundle.features.sample_rate, service.ready))
        lost_seconds = pulse.lost_seconds
        for event in pipeline.run(controls.while_listening(heard)):
            _log(event)
            observers.heard(event)
            publisher.send(event_message(event, node_id=config.node, bundle=str(bundle), clock=CLOCK))
            if pulse.lost_seconds > lost_seconds:
                lost_seconds = pulse.lost_seconds
                _LOGGER.warning("%.0f ms of sound were lost so far", lost_seconds * 1000)
        pulse.rest()
        if sound.exit_at_end or sound.name == STANDARD_INPUT:  # it will not come back, but a supervisor brings it
            _deliver(publisher, config)
        else:
            stop.wait()


def state_directory() -> Path:
    """Where what must survive a restart lies: systemd's folder, else the user's."""
    if "STATE_DIRECTORY" in os.environ:
        return Path(os.environ["STATE_DIRECTORY"])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "earshot"


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
        extra={
            "EARSHOT_EVENT_ID": event.event_id,
            "EARSHOT_TYPE": event.type,
            "EARSHOT_LABEL": event.label,
            "EARSHOT_CONFIDENCE": f"{event.confidence:.4f}",
        },
    )


def _status(health: Health, publisher: Publisher, config: Config) -> str:
    """How things are, as one line for a person: `systemctl status` shows it."""
    facts = publisher.facts()
    broker = f"broker {config.mqtt.host}:{config.mqtt.port}"
    return ". ".join(
        (
            health.summary(),
            f"{broker} connected" if facts.connected else f"{broker} away",
            f"{facts.outbox.depth or 'no'} messages wait",
        )
    )


def _report(health: Health, pulse: Pulse, load: Load, publisher: Publisher, node_id: str, bundle: Bundle) -> None:
    facts, slowed = publisher.facts(), throttling()
    ago = facts.acknowledged_seconds_ago
    message = {
        "schema": SCHEMA,
        "node_id": node_id,
        **health.report(),
        "lost_audio_ms": round(pulse.lost_seconds * 1000),
        "outbox": {**asdict(facts.outbox), "acknowledged_seconds_ago": ago and round(ago, 1)},
        "commands_dropped": facts.commands_dropped,
        "stretch": {"factor": round(load.stretch.factor, 2), "reason": load.stretch.reason},
        "temperature_celsius": temperature_celsius(),
        "throttling": slowed and asdict(slowed),
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
