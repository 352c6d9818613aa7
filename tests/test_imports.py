"""The one-way imports of the design: who may know whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLAIN = {
    "cli.bars",
    "util.clock",
    "util.log_throttle",
    "config.models",
    "errors",
    "model.scoring",
    "model.features",
    "util.native_stderr",
    "monitoring.liveness",
    "util.json_store",
    "config.quiet_hours",
    "util.text",
    "types",
    "config.yaml_reader",
}
"""What any stage may import: settings, features and plain types."""
WIRING = {
    "cli.check",
    "cli.main",
    "cli.clips",
    "service.daemon",
    "cli.devices",
    "cli.listen",
    "service.runtime",
    "audio.factory",
    "__main__",
}
"""The command line: the only place that builds the stages."""
MAY_ALSO = {
    "model.bundle": set(),
    "pipeline": {
        "model.bundle",
        "detection.event_tracker",
        "detection.gate",
        "audio.ring_buffer",
        "detection.windowing",
    },
    "audio.files": {"audio.signal_diagnosis", "audio.resampling"},
    "audio.capture_worker": {"audio.devices"},
    "audio.block_stream": {"audio.resampling"},
    "audio.live_source": {"audio.signal_diagnosis"},
    "audio.level_meter": {
        "audio.block_stream",
        "audio.signal_diagnosis",
        "audio.live_source",
        "audio.microphone_source",
        "audio.capture_process",
    },
    "audio.microphone_source": {
        "audio.block_stream",
        "audio.devices",
        "audio.signal_diagnosis",
        "audio.live_source",
        "audio.capture_process",
    },
    "audio.capture_process": {"audio.block_stream"},
    "audio.stdin_source": {"audio.block_stream", "audio.signal_diagnosis", "audio.live_source"},
    "clips.recorder": {"clips.store", "audio.ring_buffer"},
    "detection.gate": {"detection.noise_floor"},
    "cli.listen_view": {"mqtt.spectrogram_image"},
    "mqtt.connection": {"mqtt.client_factory", "mqtt.connection_errors"},
    "mqtt.delivery": {"mqtt.messages", "mqtt.retained_store", "outbox.queue", "outbox.sqlite_table"},
    "mqtt.publisher": {
        "mqtt.connection",
        "mqtt.delivery",
        "mqtt.inbound_queue",
        "mqtt.messages",
        "mqtt.retained_store",
        "outbox.queue",
    },
    "mqtt.state_topics": {"mqtt.home_assistant", "mqtt.publisher", "mqtt.spectrogram_image"},
    "outbox.queue": {"outbox.disk_store", "outbox.sqlite_table", "outbox.sequence_file"},
    "outbox.disk_store": {"outbox.sqlite_table"},
    "mqtt.subscriber": {"mqtt.client_factory", "mqtt.connection_errors"},
}
"""Parts of one stage, and the pipeline, which joins stages."""


def modules(package):
    paths = sorted((ROOT / package).rglob("*.py"))
    return [(".".join(path.relative_to(ROOT / package).with_suffix("").parts), path) for path in paths]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("name", "path"), modules("device"), ids=lambda value: str(value).rsplit("/", 1)[-1])
def test_device_knows_nothing_of_training(name, path):
    """The daemon runs without TensorFlow, librosa and the trainer."""
    forbidden = {"training", "tensorflow", "keras", "librosa", "sklearn"}
    assert not {imported.split(".")[0] for imported in imports(path)} & forbidden


@pytest.mark.parametrize(("name", "path"), modules("device"), ids=lambda value: str(value).rsplit("/", 1)[-1])
def test_stages_do_not_import_one_another(name, path):
    """A stage knows settings, features and plain types; only the pipeline joins, only the command line builds."""
    if name in WIRING:
        return
    known = {module for module, _ in modules("device")}
    ours = {imported.removeprefix("device.") for imported in imports(path) if imported.startswith("device.")} & known
    assert ours <= PLAIN | MAY_ALSO.get(name, set()) | {"mqtt.messages"} - {name}


@pytest.mark.parametrize(("name", "path"), modules("training"), ids=lambda value: str(value).rsplit("/", 1)[-1])
def test_training_uses_only_what_ships(name, path):
    """The trainer takes from the device what it judges: features, bundle, classifier, pipeline, and reading files."""
    allowed = {
        "model.features",
        "model.bundle",
        "model.scoring",
        "model.classifier",
        "pipeline",
        "types",
        "errors",
        "audio.files",
        "audio.resampling",
        "util.text",
        "config.models",
        "util.native_stderr",
    }
    known = {module for module, _ in modules("device")}
    ours = {imported.removeprefix("device.") for imported in imports(path) if imported.startswith("device.")} & known
    assert ours <= allowed


def test_scipy_signal_is_never_imported():
    """scipy.signal costs 0.65 s at start-up; scipy.fft serves."""
    for name, path in modules("device"):
        assert not any(imported.startswith("scipy.signal") for imported in imports(path)), name
