"""Fuzz tests of the small state files: with any damage the daemon starts, and what it uses is valid.

A property is tried a hundred times by default, and ten thousand times by `make fuzz`.
"""

import pytest
from fuzz_strategies import ANYTHING, damages
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from device.mqtt.state_topics import PublishedDiscovery
from device.outbox.sequence_file import SequenceFile
from device.service.day_counts import Day
from device.service.remote_control import Switches
from device.util.clock import rfc3339
from device.util.json_store import JsonStore

CONTENTS = {
    Switches: {
        "listening": False,
        "thresholds": {"siren": 0.25, "dog_bark": 0.5},
        "cooldowns": {"siren": 9},
        "enabled": {"siren": False},
    },
    Day: {"day": "2026-11-27", "counts": {"siren": 2}, "last_times": {"siren": 1795777777.5}},
    PublishedDiscovery: {
        "topic": "homeassistant/device/earshot_node/config",
        "components": {"siren": "binary_sensor"},
        "labels": ["siren", "dog_bark"],
        "unknown": True,
    },
}
MODELS = st.sampled_from(list(CONTENTS))


@pytest.fixture(scope="module")
def path(memory_folder):
    """Return the path of a state file."""
    return memory_folder / "state.json"


def written(path, model):
    """Return the bytes of a file with switches or with discovery."""
    path.unlink(missing_ok=True)
    JsonStore(path, model).update(**CONTENTS[model])
    return path.read_bytes()


def check_use(content):
    """Assert that thresholds are probabilities, and that topics can be published."""
    if isinstance(content, Switches):
        assert all(0 <= threshold <= 1 for threshold in content.thresholds.values())
        return
    if isinstance(content, Day):
        assert all(rfc3339(time) for time in content.last_times.values())
        return
    client = Client(CallbackAPIVersion.VERSION2)
    for topic in [*content.labels, *([content.topic] if content.topic is not None else [])]:
        client.publish(topic, b"")


@pytest.mark.parametrize("model", CONTENTS)
def test_each_changed_byte_and_each_cut_is_noticed(path, model):
    """With any byte changed, or cut at any place, a file has its values or is set aside, and another can be written."""
    intact = written(path, model)
    damaged = [intact[:end] for end in range(len(intact))]
    damaged += [
        intact[:place] + bytes([intact[place] ^ bits]) + intact[place + 1 :]
        for place in range(len(intact))
        for bits in (1, 4, 0x80, 0xFF)
    ]
    right, default = model.model_validate(CONTENTS[model]), model()
    for content in damaged:
        path.write_bytes(content)
        path.with_suffix(".damaged").unlink(missing_ok=True)
        read = JsonStore(path, model).content
        assert read in (right, default)
        assert path.with_suffix(".damaged").exists() == (read == default)


@given(data=st.data(), model=MODELS)
def test_any_content_is_used_or_set_aside(path, data, model):
    """With any content, the values that are used are valid, and the next update is read back."""
    json = st.builds(lambda value: str(value).replace("'", '"').encode(errors="replace"), ANYTHING)
    path.write_bytes(data.draw(damages(written(path, model)) | json | st.binary(max_size=60)))
    store = JsonStore(path, model)
    check_use(store.content)
    store.update(**CONTENTS[model])
    assert JsonStore(path, model).content == model.model_validate(CONTENTS[model])


@given(data=st.data(), last=st.integers(1, 10**12))
def test_no_damage_of_the_sequence_file_repeats_a_number(path, data, last):
    """With any byte changed, any cut, or worse, the next number is above the last one."""
    file = path.with_name("sequence")
    file.unlink(missing_ok=True)
    SequenceFile(file).record(last)
    intact = file.read_bytes()
    place, bits = data.draw(st.integers(0, len(intact) - 1)), data.draw(st.integers(1, 255))
    flipped = intact[:place] + bytes([intact[place] ^ bits]) + intact[place + 1 :]
    file.write_bytes(flipped)
    assert SequenceFile(file).last_issued(last) == last
    file.write_bytes(data.draw(st.sampled_from([intact[:place], b""]) | damages(intact) | st.binary(max_size=70)))
    again = SequenceFile(file)
    assert again.last_issued(last) >= last
    again.record(again.last_issued(last) + 1)
    assert SequenceFile(file).last_issued(last) > last
