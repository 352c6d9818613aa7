"""The one-way imports of the design: who may know whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLAIN = {
    "bar",
    "clock",
    "complaints",
    "config",
    "errors",
    "evidence",
    "features",
    "native",
    "pulse",
    "state_file",
    "quiet_hours",
    "suggest",
    "types",
    "yaml_file",
}
"""What any stage may import: settings, features and plain types."""
WIRING = {
    "check_command",
    "cli",
    "clip_commands",
    "daemon",
    "devices_command",
    "listen_command",
    "settings",
    "sources",
    "__main__",
}
"""The command line: the only place that builds the stages."""
MAY_ALSO = {
    "bundle": set(),
    "pipeline": {"bundle", "events", "gate", "ring", "windows"},
    "audio.files": {"audio.diagnosis", "audio.resample"},
    "audio.capture": {"audio.devices"},
    "audio.chunks": {"audio.resample"},
    "audio.live": {"audio.diagnosis"},
    "audio.meter": {"audio.chunks", "audio.diagnosis", "audio.live", "audio.microphone", "audio.pipe"},
    "audio.microphone": {"audio.chunks", "audio.devices", "audio.diagnosis", "audio.live", "audio.pipe"},
    "audio.pipe": {"audio.chunks"},
    "audio.stream": {"audio.chunks", "audio.diagnosis", "audio.live"},
    "recorder": {"clips", "ring"},
    "gate": {"noise_floor"},
    "listen_view": {"spectrogram"},
    "mqtt.connection": {"mqtt.client", "mqtt.diagnosis"},
    "mqtt.delivery": {"mqtt.messages", "mqtt.retained", "outbox", "outbox_file"},
    "mqtt.publisher": {"mqtt.connection", "mqtt.delivery", "mqtt.incoming", "mqtt.messages", "mqtt.retained", "outbox"},
    "mqtt.states": {"mqtt.discovery", "mqtt.publisher", "spectrogram"},
    "outbox": {"outbox_disk", "outbox_file", "sequence"},
    "outbox_disk": {"outbox_file"},
    "mqtt.subscriber": {"mqtt.client", "mqtt.diagnosis"},
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
        "features",
        "bundle",
        "evidence",
        "classifier",
        "pipeline",
        "types",
        "errors",
        "audio.files",
        "suggest",
        "config",
        "native",
    }
    known = {module for module, _ in modules("device")}
    ours = {imported.removeprefix("device.") for imported in imports(path) if imported.startswith("device.")} & known
    assert ours <= allowed


def test_scipy_signal_is_never_imported():
    """scipy.signal costs 0.65 s at start-up; scipy.fft serves."""
    for name, path in modules("device"):
        assert not any(imported.startswith("scipy.signal") for imported in imports(path)), name
