"""Fuzz tests of the config: each content, override and environment is a config or clear lines.

A property is tried a hundred times by default, and ten thousand times by `make fuzz`.
"""

import functools

import numpy as np
import pytest
import yaml
from fake_bundle import score_log_mel
from fuzz_strategies import ANYTHING, DEFAULTS, KEYS, NAMES, SCALARS, TEXTS
from hypothesis import given
from hypothesis import strategies as st
from support import make_bundle

from device.config.loader import CHECKOUT_CONFIG, load_config
from device.errors import ConfigError
from device.model.features import FeatureConfig
from device.pipeline import Pipeline
from device.types import BLOCK_SECONDS, Blocks

NUMBERS = [
    f"{section}.{key}"
    for section in ("gate", "gate.floor", "window", "events")
    for key, value in functools.reduce(dict.__getitem__, section.split("."), DEFAULTS).items()
    if isinstance(value, int | float)
]
FEATURES = FeatureConfig(window_seconds=0.3, mel_bands=8)
SHIPPED = CHECKOUT_CONFIG.read_text().splitlines(keepends=True)


@st.composite
def documents(draw):
    """Draw a config with mostly existing keys and mostly valid values."""
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
    """Draw lines of the shipped config with some deleted, repeated, indented or overwritten."""
    lines = list(SHIPPED[draw(st.integers(0, len(SHIPPED) - 1)) :][:12])
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(lines)))
        lines[position : position + draw(st.integers(0, 2))] = draw(
            st.sampled_from([[], lines[position : position + 1] * 2, ["  "]]) | TEXTS.map(lambda text: [text])
        )
    return "".join(lines)


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    """Write a config without faults, for overrides."""
    path = tmp_path_factory.mktemp("fuzz") / "config.yaml"
    path.write_text("node_id: here\nmqtt:\n  port: 1884\nevents: {thresholds: {siren: 0.5}}\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder for the files of all examples, one after another."""
    return tmp_path_factory.mktemp("fuzz")


def check_lines(error, *origins):
    """Assert that each fault is one printable line that begins with its origin."""
    for line in str(error).split("\n"):
        assert line.startswith(origins), line
        assert line.isprintable(), line


@given(content=(documents() | edits() | TEXTS).map(lambda text: text.encode(errors="replace")) | st.binary(max_size=60))
def test_any_file_is_a_config_or_clear_lines(folder, content):
    """Any file is a config, or a ConfigError with a line for each fault."""
    path = folder / "config.yaml"
    path.write_bytes(content)
    try:
        load_config(path, environment={})
    except ConfigError as error:
        check_lines(error, str(path))


OVERRIDES = st.tuples(KEYS.map(".".join) | TEXTS, st.sampled_from(["=", "=", "=", ""]), TEXTS | SCALARS.map(str))


@given(overrides=st.lists(OVERRIDES.map("".join), max_size=4))
def test_any_override_is_a_config_or_clear_lines(config_file, overrides):
    """Any values of --set are a config, or a ConfigError with a line for each fault."""
    try:
        load_config(config_file, overrides=overrides, environment={})
    except ConfigError as error:
        check_lines(error, "--set ")


@given(
    environment=st.dictionaries(
        (KEYS.map("__".join) | TEXTS).map("EARSHOT_{}".format), TEXTS | SCALARS.map(str), max_size=4
    )
)
def test_any_environment_is_a_config_or_clear_lines(config_file, environment):
    """Any environment variables are a config, or a ConfigError with a line for each fault."""
    try:
        load_config(config_file, environment=environment)
    except ConfigError as error:
        check_lines(error, "EARSHOT_", "'EARSHOT_", '"EARSHOT_')


@given(overrides=st.dictionaries(st.sampled_from(NUMBERS), st.floats(0, 100) | st.integers(0, 100), max_size=6))
def test_the_pipeline_runs_with_any_valid_config(config_file, overrides):
    """Any valid numbers of gate, window and events work on noise and silence, and each event has its end."""
    try:
        config = load_config(
            config_file, overrides=[f"{key}={value}" for key, value in overrides.items()], environment={}
        )
    except ConfigError:
        return
    bundle = make_bundle(FEATURES)
    pipeline = Pipeline(config, bundle, score_log_mel(FEATURES, lambda _: np.array([0.9, 0.0], np.float32)))
    length = round(BLOCK_SECONDS * FEATURES.sample_rate)
    noise = np.random.default_rng(0).integers(-9000, 9000, length, np.int16)
    sounds = [noise if number // 30 % 2 else np.zeros(length, np.int16) for number in range(150)]
    events = list(pipeline.run(Blocks(sound, length * n, BLOCK_SECONDS * n) for n, sound in enumerate(sounds)))
    assert [event.type for event in events].count("start") == [event.type for event in events].count("end")
