"""Daemon: `earshot run` builds the parts of the data path, joins them, and takes them down in reverse order."""

import gc
import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict

from device.audio.factory import MICROPHONE, STANDARD_INPUT, SourceOptions, make_source
from device.clips.recorder import Recorder
from device.clips.store import ClipFolder
from device.config.models import Config
from device.config.paths import state_directory
from device.detection.vocabulary import event_names
from device.errors import UnavailableError
from device.history.table import HISTORY_FILE
from device.history.writer import HistoryWriter
from device.model.bundle import Bundle
from device.monitoring.health import Health
from device.monitoring.health_reporter import HealthReporter
from device.monitoring.inference_timer import InferenceTimer
from device.monitoring.liveness import Liveness
from device.monitoring.load_shedding import LoadShedding
from device.monitoring.recording_report import RecordingReport
from device.monitoring.source_monitor import SourceMonitor
from device.monitoring.system_metrics import is_hot, memory_mb, temperature_celsius, throttling, versions
from device.mqtt.former_node import KnownNode, delete_former_nodes
from device.mqtt.messages import SCHEMA, correct_times, encode, event_message
from device.mqtt.publisher import Publisher
from device.mqtt.spectrogram_image import spectrogram_encoder
from device.mqtt.state_topics import PublishedDiscovery, StateTopics
from device.outbox.entry import Entry
from device.outbox.queue import Outbox
from device.pipeline import Pipeline
from device.service.observers import Observers, log_event
from device.service.remote_control import RemoteControl, Switches
from device.service.remote_teaching import RemoteTeaching
from device.service.runtime import RunSettings, publishes_unknown
from device.service.sound_level import SoundLevels
from device.service.status_reporter import RunStatus, status_line
from device.service.supervisor import Supervisor
from device.util.clock import CLOCK
from device.util.json_store import JsonStore
from device.util.supervised_thread import THREADS

_LOGGER = logging.getLogger(__name__)

_DELIVERY_SECONDS = 15.0
"""Time for the delivery of the last events when a run ends with its recording, s."""


def serve(supervisor: Supervisor[RunSettings], options: SourceOptions) -> None:
    """Run until the supervisor stops, or the recording or standard input ends.

    Raises:
        EarshotError: a problem with a cure in its message.
    """
    health, liveness = Health(), Liveness()
    for settings, stop in supervisor.generations():
        _run(settings, options, supervisor, health, liveness, stop)
        gc.unfreeze()
        gc.collect()  # the parts refer to one another: their memory is freed before the next run needs its own


def _run(
    settings: RunSettings,
    options: SourceOptions,
    supervisor: Supervisor[RunSettings],
    health: Health,
    liveness: Liveness,
    stop: threading.Event,
) -> None:
    """Run with these settings until `stop` is set, or the source ends.

    A block goes from `source` through `monitored` into the pipeline; its events go to the publisher.
    """
    config, bundle, taught = settings.config, settings.bundle, settings.taught
    rate = bundle.sample_rate
    source = make_source(options, config.audio, rate, stop, health.on_source_state)
    load_shedding = LoadShedding(
        limit=config.load.maximum_stretch if options.realtime else 1.0,
        hop_seconds=config.window.hop_seconds,
        queue_seconds=config.audio.queue_seconds,
        is_hot=lambda: is_hot(temperature_celsius(), throttling(), config.load.hot_celsius),
        on_change=health.changed.set,
    )
    history = _history(config)
    levels = SoundLevels(config, rate, state_directory())
    clips = ClipFolder(state_directory() / "clips")
    teaching = RemoteTeaching(state_directory(), bundle, clips, taught)
    with (
        source,
        levels,
        history or nullcontext(),
        Outbox(state_directory() / "outbox.sqlite", config.outbox, _add_to(history)) as outbox,
        Publisher(config.mqtt, settings.password, config.node, outbox) as publisher,
        HealthReporter(
            lambda: _publish_health(health, liveness, load_shedding, publisher, history, teaching, settings),
            health.changed,
        ),
        supervisor.reporting(
            RunStatus(
                lambda: status_line(health, publisher, config),
                {"listening": liveness.silent_seconds, "outbox": publisher.silent_seconds},
            )
        ),
    ):
        report = RecordingReport()
        observers = Observers(
            health, _state_topics(publisher, config, settings, levels), report, *_recorder(config, clips, bundle)
        )
        classify = InferenceTimer(
            settings.ensemble.classify_live, health.record_inference, load_shedding.record_inference
        )
        pipeline = Pipeline(config, bundle, classify, observers, load_shedding.factor, taught)
        remote_control = RemoteControl(
            JsonStore(state_directory() / "switches.json", Switches),
            pipeline.thresholds,
            set_threshold=pipeline.set_threshold,
            publish_state=publisher.publish_state,
            correct=clips.relabel,
            teaching=teaching,
        )
        publisher.subscribe_commands(remote_control.execute)
        known_node = JsonStore(state_directory() / "node.json", KnownNode)
        delete_former_nodes(publisher, config.node, config.home_assistant.discovery_prefix, known_node)
        monitored = SourceMonitor(
            source,
            rate,
            liveness=liveness,
            load_shedding=load_shedding,
            is_listening=remote_control.is_listening,
            on_first_item=supervisor.ready,
        )
        gc.collect()
        gc.freeze()  # modules, bundle and parts live as long as the run: no collection visits them again
        _LOGGER.info("%s listens to %s with %s", config.node, source, bundle)
        lost_seconds = liveness.lost_seconds
        for event in pipeline.run(levels.measure(monitored, publisher.publish_state)):
            log_event(event)
            level = levels.of_event(event)
            publisher.send(event_message(event, node_id=config.node, bundle=str(bundle), clock=CLOCK, level=level))
            if liveness.lost_seconds > lost_seconds:
                lost_seconds = liveness.lost_seconds
                _LOGGER.warning("%.0f ms of audio were lost so far", lost_seconds * 1000)
        liveness.expect_nothing()
        if options.name != MICROPHONE and not stop.is_set() and (text := report.text()):
            _LOGGER.info("%s: %s", source, text)
        # The end of standard input is final: the daemon ends, and its service manager may restart it.
        if options.exit_at_end or options.name == STANDARD_INPUT:
            _deliver(publisher, config)
        else:
            stop.wait()


def _state_topics(publisher: Publisher, config: Config, settings: RunSettings, levels: SoundLevels) -> StateTopics:
    """Make the observer that keeps the state topics, and publish Home Assistant's discovery."""
    bundle = settings.bundle
    encode_spectrogram = spectrogram_encoder(config.mqtt.spectrogram, bundle.manifest.first.features.hop_length_seconds)
    names = event_names(config.events, bundle, settings.taught)
    topics = StateTopics(
        publisher,
        config.node,
        names,
        str(bundle),
        encode_spectrogram,
        unknown=publishes_unknown(config, bundle),
        level_calibrated=levels.calibrated,
    )
    store = JsonStore(state_directory() / "home_assistant.json", PublishedDiscovery)
    topics.publish_discovery(config.home_assistant, store)
    return topics


def _history(config: Config) -> HistoryWriter | None:
    """Make the writer of the history; None if it is disabled."""
    if not config.history.enabled:
        return None
    return HistoryWriter(
        state_directory() / HISTORY_FILE,
        config.history,
        lambda message, created: correct_times(message, created, CLOCK),
    )


def _add_to(history: HistoryWriter | None) -> Callable[[Entry], None]:
    """Return the function that takes each message from the outbox: it is numbered there, also without a broker."""
    return lambda entry: None if history is None else history.add(entry.message, entry.created)


def _recorder(config: Config, clips: ClipFolder, bundle: Bundle) -> list[Recorder]:
    """Make the recorder if clips are enabled; empty otherwise."""
    if not config.clips.enabled:
        return []
    unknown_output = bundle.manifest.unknown.output
    return [Recorder(config.clips, clips, bundle.manifest.first.features, bundle.labels, unknown_output=unknown_output)]


def _publish_health(
    health: Health,
    liveness: Liveness,
    load_shedding: LoadShedding,
    publisher: Publisher,
    history: HistoryWriter | None,
    teaching: RemoteTeaching,
    settings: RunSettings,
) -> None:
    status, throttled = publisher.status(), throttling()
    ago = status.acknowledged_seconds_ago
    message = {
        "schema": SCHEMA,
        "node_id": settings.config.node,
        **health.report(),
        "lost_audio_ms": round(liveness.lost_seconds * 1000),
        "outbox": {**asdict(status.outbox), "acknowledged_seconds_ago": ago and round(ago, 1)},
        "history": history and asdict(history.status()),
        "taught": teaching.report(),
        "broker": {"connections": status.connections, "last_fault": status.last_fault, "faults": list(status.faults)},
        "commands_dropped": status.commands_dropped,
        "threads": {"failures": THREADS.failures, "missing": THREADS.missing()},
        "stretch": {"factor": round(load_shedding.stretch.factor, 2), "reason": load_shedding.stretch.reason},
        "temperature_celsius": temperature_celsius(),
        "throttling": throttled and asdict(throttled),
        "memory_mb": memory_mb(),
        "versions": {**versions(), "bundle": str(settings.bundle)},
    }
    publisher.retry_refused()
    publisher.publish_state("health", encode(message), encode(message | {"near_misses": []}))


def _deliver(publisher: Publisher, config: Config) -> None:
    waiting = publisher.wait_delivered(_DELIVERY_SECONDS)
    if waiting:
        raise UnavailableError(
            f"broker {config.mqtt.host}:{config.mqtt.port}: {waiting} messages could not be delivered and wait in "
            f"{state_directory() / 'outbox.sqlite'}. Start the broker, or set mqtt.host and mqtt.port, and run again"
        )
