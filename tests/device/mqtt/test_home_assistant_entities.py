"""Tests of the entities in Home Assistant's discovery: ids that never change, languages, choices, size."""

import json
from pathlib import Path
from typing import get_args

import jinja2
import pytest

from device.config.detection import AlarmPattern
from device.config.models import Config, HomeAssistantConfig
from device.model.bundle import load_bundle
from device.model.sound_names import sound_names
from device.mqtt.home_assistant import DeviceInfo, discovery_message, essential_discovery, without_details
from device.mqtt.home_assistant_entities import OptionalStates
from device.mqtt.home_assistant_names import EntityNames
from device.mqtt.messages import encode
from device.util.catalogue import LANGUAGES, catalogue

IDS = Path(__file__).with_name("home_assistant_ids.json")
"""Unique id -> default entity id of each entity of the shipped bundle, as published since it exists."""
ALL = OptionalStates(spectrogram=True, unknown=True, level_calibrated=True, clips=True)
SMOKE = "Smoke detector, smoke alarm"


@pytest.fixture(scope="module")
def labels(bundle_path):
    """Return the labels of the shipped bundle."""
    return load_bundle(bundle_path).labels


def components(labels, classes=(SMOKE,), language="en"):
    return message(labels, classes, language)["components"]


def message(labels, classes=(SMOKE,), language="en", page_url=None):
    info = DeviceInfo("balcony", "1", "b@1", page_url)
    return discovery_message(info, sound_names(labels, classes), published={}, states=ALL, language=language)


def names_of(labels, language):
    return {key: component["name"] for key, component in components(labels, language=language).items()}


@pytest.mark.parametrize("language", ["en", "de"])
def test_ids_never_change(labels, language):
    """Each entity has the pinned ids in every language, because automations depend on them. Only add to the file."""
    pinned = json.loads(IDS.read_text())
    found = {each["unique_id"]: each["default_entity_id"] for each in components(labels, language=language).values()}
    assert found == pinned
    assert len(set(found.values())) == len(found)


def test_languages_are_complete(labels):
    """Each language has a catalogue that names each label and alarm pattern; test_views holds other texts to it."""
    assert set(LANGUAGES) == set(get_args(HomeAssistantConfig.model_fields["language"].annotation))
    for language in set(LANGUAGES) - {"en"}:
        named = {*labels, *get_args(AlarmPattern)}
        assert {label.replace("_", " ") for label in named} <= set(catalogue(language))


def test_names_are_in_the_configured_language(labels):
    """German names are German, with labels and AudioSet classes; no two entities share a name."""
    english, german = names_of(labels, "en"), names_of(labels, "de")
    assert english["threshold_dog_bark"] == "Dog bark threshold"
    assert german["threshold_dog_bark"] == "Hundegebell: Schwelle"
    assert german["sound_smoke_detector_smoke_alarm"] == "Rauchmelder"
    for names in (english, german):
        assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(("language", "name"), [("en", "Smoke alarm t3"), ("de", "Rauchmelder (T3)")])
def test_an_alarm_pattern_is_named_like_a_label(language, name):
    """The name of an alarm pattern begins with a capital letter, in each language."""
    (pattern,) = sound_names((), patterns=["smoke_alarm_t3"])
    assert EntityNames(language).label(pattern) == name


def test_entities_that_few_need_are_disabled_at_first(labels):
    """The cool-down and the last time of each label are disabled until the user enables them."""
    found = components(labels)
    disabled = {key for key, component in found.items() if component.get("enabled_by_default") is False}
    assert disabled == {key for key in found if key.startswith(("cooldown_", "last_time_"))}


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_correction_translates_both_ways(labels, language):
    """The name of each choice becomes the label of `command/correct`, and the label of the last clip its name."""
    select = components(labels, language=language)["correction"]
    environment = jinja2.Environment()
    environment.filters["tojson"] = json.dumps
    command = environment.from_string(select["command_template"])
    value = environment.from_string(select["value_template"])
    corrected = []
    for option in select["options"]:
        payload = json.loads(command.render(value=option, this={"attributes": {"event_id": "7"}}))
        assert payload["event_id"] == "7"
        assert value.render(value_json={"label": payload["label"]}) == option
        corrected.append(payload["label"])
    assert corrected == [*labels, "smoke_detector_smoke_alarm", "none"]
    assert value.render(value_json={"label": "owl"}) == "None"


def test_the_counts_of_today_are_read_from_one_message(labels):
    """The templates return the count and the last time of a label, and zero and None for one that is missing."""
    found, environment = components(labels), jinja2.Environment()
    today = {"counts": {"siren": 2, "dog_bark": 5}, "last_times": {"siren": "2026-11-27T11:02:00.000Z"}}

    def rendered(key):
        return environment.from_string(found[key]["value_template"]).render(value_json=today)

    assert rendered("count_siren") == "2"
    assert rendered("sounds_today") == "7"
    assert rendered("count_jackhammer") == "0"
    assert rendered("last_time_siren") == "2026-11-27T11:02:00.000Z"
    assert rendered("last_time_jackhammer") == "None"


def test_the_message_is_small_enough_for_brokers(labels):
    """With ten labels the message has less than 40 kB, with 30 AudioSet classes more less than 128 kB."""
    assert len(encode(message(labels))) < 40_000
    classes = [f"Some AudioSet class, number {number}" for number in range(30)]
    full = message(labels, classes)
    assert len(encode(full)) < 128 * 1024
    smaller, smallest = encode(without_details(full)), encode(essential_discovery(full))
    assert len(smallest) < len(smaller) < len(encode(full)) / 2
    assert len(smallest) < 3500


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, None),
        ({"web": {"host": "0.0.0.0"}}, None),
        ({"web": {"host": "192.168.1.7", "port": 80}}, "http://192.168.1.7:80/"),
        ({"web": {"host": "fd00::7"}}, "http://[fd00::7]:8470/"),
        ({"web": {"host": "fe80::7"}}, None),
        ({"web": {"hosts": ["earshot.local", "other"]}}, "http://earshot.local:8470/"),
        ({"web": {"hosts": ["[x"]}}, None),
        ({"home_assistant": {"page_url": "https://home.example/earshot/"}}, "https://home.example/earshot/"),
    ],
)
def test_the_device_links_to_the_page(labels, settings, url):
    """The link is that of the config, else that of a page that other machines can reach; else there is none."""
    config = Config.model_validate(settings)
    assert config.page_url == url
    assert message(labels, page_url=config.page_url)["device"].get("configuration_url") == url
