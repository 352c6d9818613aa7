"""Tests of `earshot config`."""

import json
import shlex

import pytest

from device.cli.config import allowed
from device.cli.main import main
from device.config.loader import load_config
from device.config.schema import settings

KEYS = [setting.name for setting in settings() if not setting.is_section]


def explain(capsys, *key):
    assert main(["config", "explain", *key]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_key_is_explained(capsys):
    """The explanation has description, allowed values, unit, default, environment variable and option."""
    assert explain(capsys, "gate.probe_seconds") == [
        "gate.probe_seconds",
        "  Rest after which the gate opens for a probe of `learn_seconds`, in seconds. A probe finds sounds that were"
        " there before, such as an air conditioner; null turns it off.",
        "  allowed:      number, 5 to 86400, or null",
        "  unit:         seconds",
        "  default:      60.0",
        "  environment:  EARSHOT_GATE__PROBE_SECONDS=60.0",
        "  command line: --set gate.probe_seconds=60.0",
    ]


def test_a_section_is_explained_by_its_keys(capsys):
    """A section has its description and one line for each key, those of inner sections included."""
    heading, description, *keys = explain(capsys, "mqtt")
    assert heading == "mqtt"
    assert description == "  Connection to the MQTT broker."
    assert [line.split()[0] for line in keys] == [name for name in KEYS if name.startswith("mqtt.")]


def test_without_a_key_all_keys_are_listed(capsys):
    """Each key of config.yaml is one line."""
    lines = explain(capsys)
    assert [line.split()[0] for line in lines] == KEYS
    assert "gate.hangover_seconds (0.5 seconds): Hang-over: quiet after which a sound is over, in seconds" in lines


@pytest.mark.parametrize("key", KEYS)
def test_the_printed_override_is_accepted(capsys, key):
    """The printed option and the printed variable are valid, and set the default."""
    lines = explain(capsys, key)
    option, value = shlex.split(lines[-1].removeprefix("  command line: "))
    (variable,) = shlex.split(lines[-2].removeprefix("  environment:  "))
    assert option == "--set"
    name, _, text = variable.partition("=")
    assert load_config(overrides=[value], environment={}) == load_config(overrides=[value], environment={name: text})


def test_json_has_the_facts_of_a_key(capsys):
    """--json prints one object for the key, for each key of a section, or for all keys; an unknown key is an error."""
    (line,) = explain(capsys, "gate.probe_seconds", "--json")
    content = json.loads(line)
    assert content.pop("description").startswith("Rest after which the gate opens for a probe")
    assert content == {
        "key": "gate.probe_seconds",
        "allowed": "number, 5 to 86400, or null",
        "unit": "seconds",
        "default": 60.0,
        "environment": "EARSHOT_GATE__PROBE_SECONDS",
    }
    of_section = [json.loads(line)["key"] for line in explain(capsys, "mqtt", "--json")]
    assert of_section == [name for name in KEYS if name.startswith("mqtt.")]
    assert [json.loads(line)["key"] for line in explain(capsys, "--json")] == KEYS
    assert main(["config", "explain", "mqtt.prot", "--json"]) == 2


def test_an_unknown_key_ends_with_exit_code_2(capsys):
    """An unknown key is reported with the key that was probably meant."""
    assert main(["config", "explain", "mqtt.prot"]) == 2
    assert capsys.readouterr().err == "earshot: mqtt.prot: no such key. Did you mean mqtt.port?\n"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("node_id", "text, 1 to 64 characters, or null"),
        ("gate.level", "true or false"),
        ("gate.vad_mode", "integer, 0 to 3, or null"),
        ("gate.floor.lasting_share", "number, above 0 and up to 1"),
        ("model.bundle", "path"),
        ("events.thresholds", "mapping of names to number, 0 to 1"),
        ("events.quiet_hours", "list of text"),
        ("notify.rules", "list of sections of `key: value` lines"),
        ("mqtt.host", "text, at least 1 character"),
        ("mqtt.transport", "one of tcp, websockets"),
        ("mqtt.websocket_path", "text, matching ^/[!-~]*$"),
        ("mqtt.tls.ca_file", "path, or null"),
        ("home_assistant.discovery_prefix", "text, 0 to 256 characters"),
    ],
)
def test_the_allowed_values_are_named(key, text):
    """Type, range, length and pattern of a value are printed in words."""
    (setting,) = (setting for setting in settings() if setting.name == key)
    assert allowed(setting.schema) == text
