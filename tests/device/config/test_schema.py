"""Tests of the settings' descriptions: JSON Schema, comments of config.yaml, units."""

import json
import re

import pytest
import yaml
from jsonschema import Draft202012Validator

from device.cli.config import schema_text
from device.config.loader import CHECKOUT_CONFIG
from device.config.models import Config
from device.config.schema import config_schema, find_setting, settings
from device.errors import InputError

SCHEMA_FILE = CHECKOUT_CONFIG.parent / "docs" / "schemas" / "config.schema.json"
SETTINGS = list(settings())
UNIT_OF_SUFFIX = {
    "_seconds": {"seconds"},
    "_minutes": {"minutes"},
    "_days": {"days"},
    "_hz": {"Hz"},
    "_db": {"dB"},
    "_db_per_second": {"dB/s"},
    "_celsius": {"°C"},
    "megabytes": {"MB"},
    "_blocks": {"blocks of 30 ms"},
}
WITHOUT_UNIT = {
    "level.day_hour",  # an hour of the clock is no quantity
    "level.evening_hour",
    "level.night_hour",
    "gate.vad_mode",
    "gate.floor.lasting_share",
    "load.maximum_stretch",
    "events.threshold",
    "events.thresholds",
    "events.alarm_patterns",
    "events.audioset",
    "mqtt.port",
    "web.port",
}


def comments():
    """Return the comment above each key of config.yaml, on one line."""
    texts, section, comment = {}, [], []
    for line in CHECKOUT_CONFIG.read_text().splitlines():
        match = re.fullmatch(r"( *)(?:# (?P<comment>.*)|(?P<key>\w+):.*)", line)
        if match is None:  # an empty line ends a comment that belongs to no key
            comment = []
        elif match["key"] is None:
            comment.append(match["comment"])
        else:
            section[len(match[1]) // 2 :] = [match["key"]]
            texts[".".join(section)] = " ".join(comment)
            comment = []
    return texts


def test_the_schema_file_is_up_to_date():
    """docs/schemas/config.schema.json is the output of `earshot config schema`."""
    assert SCHEMA_FILE.read_text() == schema_text()


def test_the_first_line_of_the_config_names_the_schema():
    """Editors find the schema through the first line of config.yaml, relative to that file."""
    first = CHECKOUT_CONFIG.read_text().splitlines()[0]
    path = first.removeprefix("# yaml-language-server: $schema=")
    assert (CHECKOUT_CONFIG.parent / path).resolve() == SCHEMA_FILE.resolve()


def test_the_schema_accepts_the_shipped_config():
    """The schema is valid, and config.yaml and the defaults are valid under it."""
    schema = json.loads(SCHEMA_FILE.read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(yaml.safe_load(CHECKOUT_CONFIG.read_text()))
    Draft202012Validator(schema).validate(Config().model_dump(mode="json"))


@pytest.mark.parametrize(
    "text",
    [
        "mqtt: {prot: 1884}",
        "mqtt: {port: 70000}",
        "gate: {vad_mode: 4}",
        "clips: {maximum_days: 0}",
        "events: {thresholds: {siren: 2}}",
        "node_id: 5",
        "mqtt: {tls: {enable: true}}",
    ],
)
def test_the_schema_refuses_what_the_models_refuse(text):
    """An unknown key, a number out of its range and a wrong type are invalid under the schema."""
    assert not Draft202012Validator(config_schema()).is_valid(yaml.safe_load(text))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_comment_in_the_config_is_the_docstring(setting):
    """The comment above each key of config.yaml is the docstring of the key in the models."""
    assert comments()[setting.name] == setting.description


def test_every_key_has_its_own_description():
    """No two keys share a description, and each is a sentence."""
    descriptions = [setting.description for setting in SETTINGS]
    assert len(set(descriptions)) == len(descriptions)
    assert all(re.fullmatch(r"[A-Z].*\.", text) for text in descriptions)


def test_every_quantity_has_a_unit():
    """Every number has the unit of its name's ending, or is one of the known numbers without a unit."""
    numbers = {setting.name: setting.schema["unit"] for setting in SETTINGS if "unit" in setting.schema}
    assert {name for name, unit in numbers.items() if unit == "none"} == WITHOUT_UNIT
    for name, unit in numbers.items():
        for suffix in (suffix for suffix in UNIT_OF_SUFFIX if name.endswith(suffix)):
            assert unit in UNIT_OF_SUFFIX[suffix], name


def test_a_key_of_a_mapping_or_of_a_listed_section_is_found():
    """The key of one label's threshold is described by `events.thresholds`, that of a rule by `notify.rules`."""
    assert find_setting("events.thresholds.siren").name == "events.thresholds"
    assert find_setting("notify.rules.labels").name == "notify.rules"
    with pytest.raises(InputError, match=r"no such key\. Did you mean notify\.rules\?"):
        find_setting("notify.rules.label")


@pytest.mark.parametrize(
    ("name", "cure"),
    [("mqtt.prot", "Did you mean mqtt.port?"), ("mqtt.port.x", "Did you mean mqtt.port?"), ("", "Known are: node_id,")],
)
def test_an_unknown_key_is_refused_with_a_suggestion(name, cure):
    """A key that does not exist is an error, which suggests a similar key or lists all keys."""
    with pytest.raises(InputError, match=re.escape(cure)):
        find_setting(name)
