"""Tests of the example files for Home Assistant."""

import re

import pytest
import yaml

from device.model.bundle import load_bundle
from device.model.sound_names import sound_names
from device.mqtt.home_assistant import OptionalStates, discovery_message
from device.mqtt.messages import Topics


@pytest.fixture
def examples(request):
    """Return the text of each example file by its name."""
    folder = request.config.rootpath / "deploy" / "home_assistant"
    return {path.name: path.read_text() for path in folder.glob("*.yaml") if path.name != "repository.yaml"}


def test_the_examples_have_existing_entities(examples, bundle_path):
    """Each entity and topic in the examples exists for a node `balcony`; the dashboard has all but the event entity."""
    message = discovery_message(
        "balcony",
        sound_names(load_bundle(bundle_path).labels),
        version="1",
        bundle="b@1",
        published={},
        states=OptionalStates(spectrogram=True),
    )
    entities = {component["default_entity_id"] for component in message["components"].values()}
    assert set(examples) == {"automations.yaml", "dashboard.yaml", "scripts.yaml"}
    for text in examples.values():
        assert yaml.safe_load(text)
        assert set(re.findall(r"\b[a-z_]+\.earshot_balcony_\w+", text)) <= entities
    missing = {entity for entity in entities if entity not in examples["dashboard.yaml"]}
    assert missing == {"event.earshot_balcony_sound"}
    assert f"topic: {Topics('balcony').command}correct" in examples["scripts.yaml"]
