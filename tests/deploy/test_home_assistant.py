"""Tests of the example files for Home Assistant: entities, dashboard, blueprints."""

import re
from pathlib import Path

import pytest
import yaml

from device.model.bundle import load_bundle
from device.model.sound_names import sound_names
from device.mqtt.home_assistant import DeviceInfo, discovery_message
from device.mqtt.home_assistant_entities import OptionalStates
from device.mqtt.messages import Topics

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "home_assistant"
BLUEPRINTS = sorted((FOLDER / "blueprints" / "automation" / "earshot").glob("*.yaml"))
BUILT_IN_CARDS = {"entities", "entity", "heading", "history-graph", "picture-entity", "tile"}
"""Types of cards and badges of Home Assistant itself that the dashboard uses."""


class _Loader(yaml.SafeLoader):
    """Loader of blueprints: `!input NAME` becomes an `Input`."""


class Input(str):
    """Use of an input."""


_Loader.add_constructor("!input", lambda loader, node: Input(loader.construct_scalar(node)))


@pytest.fixture
def examples():
    """Return the text of each example file by its name."""
    return {path.name: path.read_text() for path in FOLDER.glob("*.yaml")}


def everything_in(value):
    """Yield each value within a document."""
    yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from everything_in(inner)


def test_the_examples_have_existing_entities(examples, bundle_path):
    """Each entity and topic in the examples exists for a node `balcony`; the dashboard has all but two kinds."""
    message = discovery_message(
        DeviceInfo("balcony", "1", "b@1"),
        sound_names(load_bundle(bundle_path).labels),
        published={},
        states=OptionalStates(spectrogram=True, unknown=True, level_calibrated=False, clips=True),
    )
    components = message["components"].values()
    enabled = {each["default_entity_id"] for each in components if each.get("enabled_by_default", True)}
    assert set(examples) == {"automations.yaml", "dashboard.yaml", "scripts.yaml"}
    for text in examples.values():
        assert yaml.safe_load(text)
        assert set(re.findall(r"\b[a-z_]+\.earshot_balcony_\w+", text)) <= enabled
    missing = {entity for entity in enabled if entity not in examples["dashboard.yaml"]}
    assert missing == {"event.earshot_balcony_sound"}
    assert f"topic: {Topics('balcony').command}correct" in examples["scripts.yaml"]


def test_the_dashboard_needs_no_other_cards(examples):
    """Each card of the dashboard is one of Home Assistant's own, so that nothing must be installed for it."""
    dashboard = yaml.safe_load(examples["dashboard.yaml"])
    cards = [card for view in dashboard["views"] for section in view["sections"] for card in section["cards"]]
    used = {each["type"] for each in everything_in(cards) if isinstance(each, dict) and "type" in each}
    assert used == BUILT_IN_CARDS


def test_each_wish_has_a_blueprint():
    """There is a blueprint for the siren, the dog, the drill and the smoke alarm; the page links to each."""
    names = ["dog_barked_for_ten_minutes", "drill_in_quiet_hours", "siren_at_night", "smoke_alarm"]
    assert [path.stem for path in BLUEPRINTS] == names
    page = (FOLDER.parents[1] / "docs" / "home_assistant.md").read_text()
    assert all(f"../{path.relative_to(FOLDER.parents[1])}" in page for path in BLUEPRINTS)


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_a_blueprint_is_complete(path):
    """Each input has a name, a selector and a use, and a default unless it is the entity; no input is undeclared."""
    blueprint = yaml.load(path.read_text(), _Loader)
    head = blueprint.pop("blueprint")
    assert (head["domain"], head["homeassistant"]["min_version"]) == ("automation", "2024.11.0")
    assert head["name"].startswith("Earshot: ")
    assert head["description"]
    assert "source_url" not in head
    used = {each for each in everything_in(blueprint) if isinstance(each, Input)}
    assert used == set(head["input"])
    for name, declared in head["input"].items():
        assert declared["name"]
        (kind,) = declared["selector"]
        assert ("default" in declared) == (kind != "entity"), name
        if kind == "entity":
            assert declared["selector"][kind]["filter"]["device_class"] == "sound"
    assert head["input"]["actions"]["default"][0]["action"] == "persistent_notification.create"
    assert {"triggers", "actions", "mode"} <= set(blueprint)
