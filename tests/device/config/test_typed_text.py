"""Tests of values that YAML 1.1 reads as something else: a text is what was typed, a number is no boolean."""

import contextlib
import re
from typing import get_origin

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from device.config.keys import all_keys, key_type
from device.config.loader import load_config
from device.config.models import EventsConfig, GateConfig, MqttConfig
from device.config.yaml_reader import NULLS
from device.errors import ConfigError
from device.service.remote_control import Switches

RETYPED = [
    "off",
    "no",
    "yes",
    "On",
    "y",
    "n",
    "false",
    "True",
    "0123",
    "0b11",
    "0x1F",
    "0o17",
    "12:30",
    "190:20:30",
    "2024-01-01",
    "2001-12-14t21:59:43.10-05:00",
    "1e3",
    "1_000",
    "+12",
    ".5",
    "1.",
    ".inf",
    "-.Inf",
    ".NaN",
    "nan",
    "=",
    "<<x",
]
"""Words that a reader of YAML 1.1 or 1.2 may take for a boolean, a number, a date or a merge key."""
NUMBERS = [
    (*key, "siren") if get_origin(key_type(key)) is dict else key
    for key in all_keys()
    if re.search(r"\b(int|float)\b", str(key_type(key))) and get_origin(key_type(key)) is not tuple
]
BOOLEANS = [key for key in all_keys() if key_type(key) is bool]


def load(folder, text, **more):
    path = folder / "config.yaml"
    path.write_text(text)
    return load_config(path, **{"environment": {}, **more})


def line_of(key, value):
    """Return a config in flow style with one key."""
    return "".join(f"{{{name}: " for name in key) + value + "}" * len(key)


@pytest.mark.parametrize("word", RETYPED)
def test_a_text_is_what_was_typed(tmp_path, word):
    """In the file, in a variable, with --set, in lists and as a key, a text stays as it was typed."""
    text = f"audio: {{device: {word}}}\nmqtt: {{username: {word}, password_file: {word}}}\n"
    text += f"clips: {{voice_labels: [{word}]}}\nevents: {{thresholds: {{{word}: 0.5}}}}\n"
    config = load(tmp_path, text)
    assert (config.audio.device, config.mqtt.username) == (word, word)
    assert config.mqtt.password_file == tmp_path / word
    assert config.clips.voice_labels == (word,)
    assert config.events.thresholds == {word: 0.5}
    for more in ({"environment": {"EARSHOT_MQTT__USERNAME": word}}, {"overrides": [f"mqtt.username={word}"]}):
        assert load(tmp_path, "", **more).mqtt.username == word


@pytest.mark.parametrize(
    "typed", ["#abc", "a: b", "a #b", "*x", "&x", "@x", "!x", "[a", "{a}", "- a", "%x", "a'b", "|"]
)
def test_an_override_needs_no_quotation_marks(tmp_path, typed):
    """Marks of YAML have no meaning in the text of a variable or of --set."""
    assert load(tmp_path, "", environment={"EARSHOT_MQTT__USERNAME": typed}).mqtt.username == typed
    assert load(tmp_path, "", overrides=[f"audio.device={typed}"]).audio.device == typed


@pytest.mark.parametrize("null", ["", "~", "null", "Null", "NULL"])
def test_null_is_no_text_unless_in_quotes(tmp_path, null):
    """Null is the absence of a value where a key may be null, elsewhere an error with its cure."""
    for more in ({}, {"environment": {"EARSHOT_NODE_ID": null}}, {"overrides": [f"node_id={null}"]}):
        assert load(tmp_path, f"node_id: {null}" if not more else "", **more).node_id is None
    if null:
        assert load(tmp_path, f"node_id: '{null}'").node_id == null
        assert load(tmp_path, f"node_id: !!str {null}").node_id == null
        assert load(tmp_path, "", overrides=[f"node_id='{null}'"]).node_id == null
    with pytest.raises(ConfigError, match=r":1: audio\.device: is null, must be a text\. Put it in quotes"):
        load(tmp_path, f"audio: {{device: {null}}}")


@pytest.mark.parametrize("key", NUMBERS, ids=".".join)
def test_a_boolean_is_no_number(tmp_path, key):
    """A boolean is refused wherever a number is asked for, in the file, in a variable and with --set."""
    for word in ("off", "no", "yes", "on", "true", "False"):
        for text, more in (
            (line_of(key, word), {}),
            ("", {"environment": {f"EARSHOT_{'__'.join(key).upper()}": word}}),
            ("", {"overrides": [f"{'.'.join(key)}={word}"]}),
        ):
            with pytest.raises(ConfigError, match=f"is '{word}', must be a (whole|finite) number"):
                load(tmp_path, text, **more)


def test_off_for_a_number_has_a_cure(tmp_path):
    """A number that can be turned off is turned off by null, and the error contains that."""
    with pytest.raises(ConfigError, match=r"vad_mode: is 'off', must be a whole number\. Write null to turn it off$"):
        load(tmp_path, "gate: {vad_mode: off}")


def test_python_booleans_are_no_numbers():
    """The models themselves refuse a boolean for a number, also in a dictionary and in stored switches."""
    for model, values in (
        (GateConfig, {"vad_mode": False}),
        (MqttConfig, {"port": True}),
        (EventsConfig, {"threshold": False}),
        (EventsConfig, {"thresholds": {"siren": True}}),
        (Switches, {"thresholds": {"siren": True}}),
    ):
        with pytest.raises(ValidationError, match="must be a number, and not true or false"):
            model.model_validate(values)


@pytest.mark.parametrize("key", BOOLEANS, ids=".".join)
def test_a_boolean_has_the_words_of_yaml(tmp_path, key):
    """`on`, `yes` and `true` turn a key on, `off`, `no` and `false` turn it off, in any case; others are refused."""
    for words, value in (("on yes true On YES True", True), ("off no false Off NO False", False)):
        for word in words.split():
            config = load(tmp_path, line_of(key, word)).model_dump()
            for name in key:
                config = config[name]
            assert config is value
    with pytest.raises(ConfigError, match="is 'perhaps', must be true or false"):
        load(tmp_path, line_of(key, "perhaps"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("0123", 123.0), ("1e3", 1000.0), ("1_000", 1000.0), ("1.5", 1.5), (".5", 0.5), ("12:30", None), ("0b11", None)]
    + [(word, None) for word in (".inf", "inf", ".nan", "nan", "1e999", "2024-01-01", "''")],
)
def test_a_number_is_what_was_typed(tmp_path, text, value):
    """A number is decimal: neither octal nor in base 60, and finite."""
    if value is None:
        with pytest.raises(ConfigError, match="must be a finite number"):
            load(tmp_path, f"window: {{pre_roll_seconds: {text}}}")
    else:
        assert load(tmp_path, f"window: {{pre_roll_seconds: {text}}}").window.pre_roll_seconds == value


@pytest.mark.parametrize("word", ["off", "false", "False"])
def test_the_spectrogram_is_turned_off(tmp_path, word):
    """`off` needs no quotation marks; `false` is what tools that read YAML 1.1 make of it."""
    assert load(tmp_path, f"mqtt: {{spectrogram: {word}}}").mqtt.spectrogram == "off"
    assert load(tmp_path, "", overrides=[f"mqtt.spectrogram={word}"]).mqtt.spectrogram == "off"
    assert MqttConfig(spectrogram=False).spectrogram == "off"


@pytest.mark.parametrize(
    "tag", ["!!bool yes", "!!int 1", "!!binary aGk=", "!!set {a}", "!!python/object:os.x {}", "!own x"]
)
def test_a_tag_is_refused(tmp_path, tag):
    """The models determine the type of a value, so a tag has no use."""
    with pytest.raises(
        ConfigError, match=r":1: not YAML \(.* is a tag\)\. Correct that line, or put the text in quotes"
    ):
        load(tmp_path, f"node_id: {tag}")


@given(word=st.text(st.sampled_from("0123456789._:-+eEoxbynYNtruefalsoFInNu~"), min_size=1, max_size=12))
def test_any_text_that_yaml_could_retype_is_what_was_typed(tmp_path_factory, word):
    """Any word of the characters of numbers, booleans and dates is the user name that was typed, or YAML syntax."""
    with contextlib.suppress(yaml.YAMLError):
        node = yaml.compose(word)
        if isinstance(node, yaml.ScalarNode) and node.value == word and word not in NULLS:
            assert load(tmp_path_factory.getbasetemp(), f"mqtt:\n  username: {word}\n").mqtt.username == word


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("EARSHOT_VERSION", "EARSHOT_MQTT__HOST"),
        ("EARSHOT_MQTT_PORT", "EARSHOT_MQTT__PORT"),
        ("EARSHOT_GATE", "EARSHOT_MQTT__HOST"),
        ("EARSHOT_", "EARSHOT_MQTT__HOST"),
        ("EARSHOT_PORT_1883_TCP_ADDR", "EARSHOT_MQTT__HOST"),
    ],
)
def test_a_foreign_variable_is_only_logged(tmp_path, caplog, name, hint):
    """A variable with our prefix that names no key is logged and ignored: a container may set one."""
    load(tmp_path, "", environment={name: "1.2"})
    assert caplog.messages == [f"{name}: ignored, because settings are EARSHOT_SECTION__KEY, as in {hint}"]
