"""Daemon: `earshot run` builds the parts of the data path, joins them, and takes them down in reverse order."""

import gc
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from device.audio.capture_process import CaptureProcess
from device.audio.devices import MICROPHONE
from device.audio.factory import STANDARD_INPUT, SourceOptions, make_source
from device.audio.microphone_source import MicrophoneSource
from device.clips.recorder import Recorder
from device.clips.store import ClipFolder
from device.config.models import Config
from device.config.paths import state_directory
from device.detection.configured_names import event_names
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
from device.monitoring.system_metrics import is_hot, temperature_celsius, throttling
from device.mqtt.former_node import KnownNode, delete_former_nodes
from device.mqtt.home_assistant_entities import OptionalStates
from device.mqtt.messages import correct_times, event_message
from device.mqtt.publisher import Publisher
from device.mqtt.spectrogram_image import spectrogram_encoder
from device.mqtt.state_topics import PublishedDiscovery, StateTopics
from device.outbox.entry import Entry
from device.outbox.queue import Outbox
from device.pipeline import Pipeline
from device.service.day_counts import TODAY_FILE, Day, DayCounts
from device.service.health_message import publish_health
from device.service.last_clip import LastClip
from device.service.live_values import LiveValues
from device.service.observers import LongReads, Observers, log_event
from device.service.remote_control import RemoteControl, Switches
from device.service.remote_teaching import RemoteTeaching
from device.service.runtime import RunSettings, publishes_unknown
from device.service.sound_level import SoundLevels
from device.service.status_reporter import RunStatus, status_line
from device.service.supervisor import Supervisor
from device.types import SoundName
from device.util.clock import CLOCK
from device.util.json_store import JsonStore

_LOGGER = logging.getLogger(__name__)

_DELIVERY_SECONDS = 15.0
"""Time for the delivery of the last events when a run ends with its recording, s."""


def serve(supervisor: Supervisor[RunSettings], options: SourceOptions, capture: CaptureProcess | None = None) -> None:
    """Run until the supervisor stops, or the recording or standard input ends.

    Args:
        supervisor: yields the settings of each run.
        options: choice of the source.
        capture: capture process that the first run reads, if it has started already.

    Raises:
        EarshotError: a problem with a cure in its message.
    """
    health, liveness = Health(), Liveness()
    for settings, stop in supervisor.generations():
        _run(settings, options, supervisor, health, liveness, stop, capture)
        capture = None  # the settings of the next run may name another microphone
        gc.unfreeze()
        gc.collect()  # the parts refer to one another: their memory is freed before the next run needs its own


def _run(
    settings: RunSettings,
    options: SourceOptions,
    supervisor: Supervisor[RunSettings],
    health: Health,
    liveness: Liveness,
    stop: threading.Event,
    capture: CaptureProcess | None,
) -> None:
    """Run with these settings until `stop` is set, or the source ends.

    A block goes from `source` through `monitored` into the pipeline; its events go to the publisher.
    """
    config, bundle, taught = settings.config, settings.bundle, settings.taught
    rate = bundle.sample_rate
    source = make_source(options, config.audio, rate, stop, health.on_source_state, capture)
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
    teaching = RemoteTeaching(state_directory(), bundle, clips, taught, config.events.audioset)
    names = event_names(config.events, bundle, taught)
    with (
        source,
        levels,
        history or nullcontext(),
        Outbox(state_directory() / "outbox.sqlite", config.outbox, _add_to(history)) as outbox,
        Publisher(config.mqtt, settings.password, config.node, outbox) as publisher,
        _day_counts(publisher, config, names) as day_counts,
        HealthReporter(
            lambda: publish_health(health, liveness, load_shedding, publisher, history, teaching, settings),
            health.changed,
        ),
        supervisor.reporting(
            RunStatus(
                lambda: status_line(health, publisher, config),
                {"listening": liveness.silent_seconds, "outbox": publisher.silent_seconds},
            )
        ),
    ):
        last_clip = LastClip(config.node, clips, publisher.publish_state, enabled=config.clips.enabled)
        recorder = _recorder(config, clips, bundle, last_clip)
        report = RecordingReport()
        states = _state_topics(publisher, config, bundle, names, levels)
        long_reads = [LongReads(source)] if isinstance(source, MicrophoneSource) else []
        observers = Observers(health, states, day_counts, report, *recorder, *long_reads)
        classify, classify_look = (
            InferenceTimer(score, health.record_inference, load_shedding.record_inference)
            for score in (settings.ensemble.classify_live, settings.ensemble.classify_look)
        )
        pipeline = Pipeline(config, bundle, classify, observers, load_shedding.factor, classify_look, taught)
        live = LiveValues(config.node, pipeline, levels, publisher.publish_live)
        observers.add(live)
        remote_control = RemoteControl(
            JsonStore(state_directory() / "switches.json", Switches),
            pipeline.tracker.settings,
            publish_state=publisher.publish_state,
            correct=last_clip.correct,
            teaching=teaching,
            watch=live.watch,
        )
        publisher.subscribe_commands(remote_control.execute)
        publisher.connect()
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
        gc.freeze()  # modules, bundle and parts live as long as the run: no collection visits them
        gc.enable()
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


def _state_topics(
    publisher: Publisher, config: Config, bundle: Bundle, names: Sequence[SoundName], levels: SoundLevels
) -> StateTopics:
    """Make the observer that keeps the state topics, and publish Home Assistant's discovery."""
    encode_spectrogram = spectrogram_encoder(config.mqtt.spectrogram, bundle.manifest.first.features.hop_length_seconds)
    states = OptionalStates(
        spectrogram=encode_spectrogram is not None,
        unknown=publishes_unknown(config, bundle),
        level_calibrated=levels.calibrated,
        clips=config.clips.enabled,
    )
    topics = StateTopics(publisher, config.node, names, str(bundle), encode_spectrogram, states)
    store = JsonStore(state_directory() / "home_assistant.json", PublishedDiscovery)
    topics.publish_discovery(config.home_assistant, store, config.page_url)
    return topics


def _day_counts(publisher: Publisher, config: Config, names: Sequence[SoundName]) -> DayCounts:
    """Make the observer that counts the events of the day."""
    store = JsonStore(state_directory() / TODAY_FILE, Day)
    return DayCounts(config.node, names, store, publisher.publish_state)


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


def _recorder(config: Config, clips: ClipFolder, bundle: Bundle, last_clip: LastClip) -> list[Recorder]:
    """Make the recorder if clips are enabled; empty otherwise."""
    if not config.clips.enabled:
        return []
    features, is_output = bundle.manifest.first.features, bundle.manifest.unknown.output
    on_saved = last_clip.on_saved
    return [Recorder(config.clips, clips, features, bundle.labels, unknown_output=is_output, on_saved=on_saved)]


def _deliver(publisher: Publisher, config: Config) -> None:
    waiting = publisher.wait_delivered(_DELIVERY_SECONDS)
    if waiting:
        raise UnavailableError(
            f"broker {config.mqtt.host}:{config.mqtt.port}: {waiting} messages could not be delivered and wait in "
            f"{state_directory() / 'outbox.sqlite'}. Start the broker, or set mqtt.host and mqtt.port, and run again"
        )
