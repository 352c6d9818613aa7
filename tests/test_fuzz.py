"""Whatever a config or a bundle holds, it is taken or refused in clear lines: never a traceback.

By default each property is tried a hundred times; `make fuzz` tries each ten thousand times.
"""

import contextlib
import functools
import hashlib
import io
import json

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from support import make_bundle

from device.config.loader import CHECKOUT_CONFIG, load_config
from device.config.models import Config
from device.errors import ConfigError
from device.model.bundle import load_bundle
from device.model.features import FeatureConfig, log_mel
from device.model.manifest import Manifest, manifest_digest
from device.model.self_test import self_test
from device.pipeline import Pipeline
from device.types import BLOCK_SECONDS, Block

DEFAULTS = Config().model_dump(mode="json")
NUMBERS = [
    f"{section}.{key}"
    for section in ("gate", "gate.floor", "window", "events")
    for key, value in functools.reduce(dict.__getitem__, section.split("."), DEFAULTS).items()
    if isinstance(value, int | float)
]
FEATURES = FeatureConfig(window_seconds=0.3, mel_bands=8)
SHIPPED = CHECKOUT_CONFIG.read_text().splitlines(keepends=True)


def paths(section, above=()):
    """Every key of a section, as a path, with its default."""
    for name, value in section.items():
        yield (*above, name), value
        if isinstance(value, dict):
            yield from paths(value, (*above, name))


KEYS = st.sampled_from([path for path, _ in paths(DEFAULTS)])
NAMES = st.sampled_from(sorted({path[-1] for path, _ in paths(DEFAULTS)})) | st.text(max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 30)
    | st.floats()
    | st.text(max_size=12)
    | st.dates()
    | st.sampled_from(["auto", "localhost", "a..b", "models", "22:00-07:00", "/nowhere", "x" * 300])
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
SYNTAX = ": - ? { } [ ] , &a *a <<: | > # --- !!int !!timestamp !!binary !!bool !!set !!omap !!python/object:os %YAML"
PLAIN = """2024-13-45 0x 0b2 1e999 .nan .inf ~ 22:00 "\\ud800" "\\0" mqtt: gate: node_id: port: host: 1 " '"""
FRAGMENTS = (
    st.sampled_from(["\n", "\n  ", " ", "\t", "\0", "\u2028", "\ufeff", "é", "9" * 5000, "[" * 1500])
    | st.sampled_from([f"{token} " for token in SYNTAX.split()])
    | st.sampled_from(PLAIN.split())
    | st.text(max_size=3)
)
TEXTS = st.lists(FRAGMENTS, max_size=12).map("".join)


@st.composite
def documents(draw):
    """A config whose keys exist but for some, with values that fit but for some."""
    values = {}
    for path in draw(st.lists(KEYS, max_size=6)):
        section = values
        for name in path[:-1]:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                break
        else:
            section[path[-1] if draw(st.integers(0, 9)) else draw(NAMES)] = draw(ANYTHING)
    return yaml.safe_dump(values, allow_unicode=True)


@st.composite
def edits(draw):
    """The shipped file with some of its lines lost, doubled, moved in, or overwritten."""
    lines = list(SHIPPED[draw(st.integers(0, len(SHIPPED) - 1)) :][:12])
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(lines)))
        lines[place : place + draw(st.integers(0, 2))] = draw(
            st.sampled_from([[], lines[place : place + 1] * 2, ["  "]]) | TEXTS.map(lambda text: [text])
        )
    return "".join(lines)


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    """A file without faults, to be overridden."""
    path = tmp_path_factory.mktemp("fuzz") / "config.yaml"
    path.write_text("node_id: here\nmqtt:\n  port: 1884\nevents: {thresholds: {siren: 0.5}}\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place for the files of all examples, one after another."""
    return tmp_path_factory.mktemp("fuzz")


def is_told(error, *origins):
    """Each fault is one line, which can be printed and begins with where it is."""
    for line in str(error).split("\n"):
        assert line.startswith(origins), line
        assert line.isprintable(), line


@given(content=(documents() | edits() | TEXTS).map(lambda text: text.encode(errors="replace")) | st.binary(max_size=60))
def test_any_file_is_a_config_or_clear_lines(folder, content):
    """No config file, however wrong, ends in anything but a config or a line for each fault."""
    path = folder / "config.yaml"
    path.write_bytes(content)
    try:
        load_config(path, environment={})
    except ConfigError as error:
        is_told(error, str(path))


OVERRIDES = st.tuples(KEYS.map(".".join) | TEXTS, st.sampled_from(["=", "=", "=", ""]), TEXTS | SCALARS.map(str))


@given(overrides=st.lists(OVERRIDES.map("".join), max_size=4))
def test_any_override_is_a_config_or_clear_lines(config_file, overrides):
    """The same for --set."""
    try:
        load_config(config_file, overrides=overrides, environment={})
    except ConfigError as error:
        is_told(error, "--set ")


@given(
    environment=st.dictionaries(
        (KEYS.map("__".join) | TEXTS).map("EARSHOT_{}".format), TEXTS | SCALARS.map(str), max_size=4
    )
)
def test_any_environment_is_a_config_or_clear_lines(config_file, environment):
    """The same for variables."""
    try:
        load_config(config_file, environment=environment)
    except ConfigError as error:
        is_told(error, "EARSHOT_", "'EARSHOT_", '"EARSHOT_')


@given(overrides=st.dictionaries(st.sampled_from(NUMBERS), st.floats(0, 100) | st.integers(0, 100), max_size=6))
def test_a_config_that_is_taken_can_be_heard_with(config_file, overrides):
    """What the config allows, gate, windows and events can do: whatever the times, noise and silence are heard."""
    try:
        config = load_config(
            config_file, overrides=[f"{key}={value}" for key, value in overrides.items()], environment={}
        )
    except ConfigError:
        return
    bundle = make_bundle(FEATURES)
    pipeline = Pipeline(config, bundle, lambda seen: np.array([0.9, 0.0], np.float32))
    length = round(BLOCK_SECONDS * FEATURES.sample_rate)
    noise = np.random.default_rng(0).integers(-9000, 9000, length, np.int16)
    sounds = [noise if number // 30 % 2 else np.zeros(length, np.int16) for number in range(150)]
    events = list(pipeline.run(Block(each, length * n, BLOCK_SECONDS * n) for n, each in enumerate(sounds)))
    assert [event.type for event in events].count("start") == [event.type for event in events].count("end")


# Bundles: a small one, which is damaged in every way, and signed anew as a careless or malicious tool would.


def write_bundle(folder, manifest, model, golden):
    """Write a bundle whose checksums match what is in it."""
    manifest = manifest | {
        "sha256": hashlib.sha256(model).hexdigest(),
        "golden_sha256": hashlib.sha256(golden).hexdigest(),
    }
    manifest |= {"manifest_sha256": manifest_digest(manifest)}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    (folder / "model.tflite").write_bytes(model)
    (folder / "golden.npz").write_bytes(golden)


def golden_file(**arrays):
    """The bytes of an NPZ file."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


WAVEFORMS = np.random.default_rng(1).integers(-9000, 9000, (2, FEATURES.window_length), np.int16)
LOG_MELS = np.stack([log_mel(waveform, FEATURES) for waveform in WAVEFORMS])
SCORES = np.array([[0.5, 0.5]] * 2, np.float32)
MODEL = bytes(range(256))
GOLDEN = golden_file(waveforms=WAVEFORMS, log_mels=LOG_MELS, scores=SCORES)
MANIFEST = make_bundle(FEATURES).manifest.model_dump(mode="json")


def is_taken_or_refused(folder):
    """Load and test a bundle; whatever is wrong must be one line with its cure."""
    try:
        self_test(load_bundle(folder), lambda _: SCORES[0])
    except ConfigError as error:
        assert str(error).startswith(f"bundle refused: {folder}")
        assert "\n" not in str(error)
        assert str(error).endswith(". Copy the bundle again, or export it anew")
        return False
    return True


@st.composite
def damages(draw, content):
    """The bytes of a file, with some flipped, lost, or others in between."""
    damaged = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(damaged)))
        damaged[place : place + draw(st.integers(0, 40))] = draw(st.binary(max_size=8))
    return bytes(damaged[: draw(st.none() | st.integers(0, len(damaged)))])


def test_the_bundle_that_is_damaged_below_is_a_good_one(folder):
    """As long as it is left alone."""
    write_bundle(folder, MANIFEST, MODEL, GOLDEN)
    assert is_taken_or_refused(folder)


@given(data=st.data(), name=st.sampled_from(["bundle.json", "model.tflite", "golden.npz"]))
def test_a_damaged_file_is_refused_before_anything_reads_it(folder, data, name):
    """TFLite may crash on a damaged network and take the process along, so checksums come first."""
    write_bundle(folder, MANIFEST, MODEL, GOLDEN)
    content = (folder / name).read_bytes()
    damaged = data.draw(damages(content) | st.just((folder / "golden.npz").read_bytes()))
    (folder / name).write_bytes(damaged)
    with contextlib.suppress(ValueError):  # spaces in JSON change nothing
        assume(damaged != content and (name != "bundle.json" or json.loads(damaged) != json.loads(content)))
    assert not is_taken_or_refused(folder)


@given(
    changes=st.dictionaries(st.sampled_from(list(Manifest.model_fields)) | st.text(max_size=4), ANYTHING, max_size=3)
)
def test_any_manifest_is_taken_or_refused(folder, changes):
    """Also with right checksums."""
    write_bundle(folder, MANIFEST | json.loads(json.dumps(changes, default=str)), MODEL, GOLDEN)
    is_taken_or_refused(folder)


@given(changes=st.dictionaries(st.sampled_from(list(MANIFEST["features"])), st.floats() | st.integers(), min_size=1))
def test_any_features_are_taken_or_refused(folder, changes):
    """Numbers that no spectrogram can be made with are found before one is."""
    write_bundle(folder, MANIFEST | {"features": MANIFEST["features"] | changes}, MODEL, GOLDEN)
    is_taken_or_refused(folder)


@given(content=TEXTS.map(lambda text: text.encode(errors="replace")) | st.binary(max_size=99) | st.just(b"[" * 99999))
def test_what_is_no_manifest_is_refused(folder, content):
    """No bytes in its place are taken for one."""
    write_bundle(folder, MANIFEST, MODEL, GOLDEN)
    (folder / "bundle.json").write_bytes(content)
    assert not is_taken_or_refused(folder)


ARRAYS = (
    st.sampled_from([WAVEFORMS, WAVEFORMS[:, 1:], WAVEFORMS.astype(np.int32)])
    | st.sampled_from([LOG_MELS, LOG_MELS[:, 1:], np.full_like(LOG_MELS, np.nan)])
    | st.sampled_from(
        [SCORES, SCORES[:1], SCORES[:, :0], SCORES.astype(str), np.float32(1), np.empty((0, 3), np.float32)]
    )
)


@given(
    golden=st.dictionaries(st.sampled_from(["waveforms", "log_mels", "scores", "more"]), ARRAYS).map(
        lambda arrays: golden_file(**arrays)
    )
    | damages(GOLDEN)
    | st.binary(max_size=99)
)
def test_any_golden_values_are_taken_or_refused(folder, golden):
    """Also with right checksums: damaged, of another shape or type, and what is no NPZ at all."""
    write_bundle(folder, MANIFEST, MODEL, golden)
    is_taken_or_refused(folder)
