"""Acceptance test with a real Home Assistant: entities, states, commands and restarts of a node. Run by run.sh."""

import json
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

import blueprints  # noqa: E402
from node import BUNDLE, NODE, PAGE, Node, discovery  # noqa: E402
from server import HomeAssistant  # noqa: E402
from support import Mosquitto, wait_until  # noqa: E402

from device.mqtt.home_assistant import discovery_topic  # noqa: E402

EXAMPLES = ROOT / "deploy" / "home_assistant"
CONFIGURATION = blueprints.CONFIGURATION + (
    "config:\nfrontend:\nlovelace:\n  dashboards:\n    earshot-example:\n"
    "      {mode: yaml, title: Earshot, filename: dashboard.yaml}\n"
)


def main(root):
    """Run all steps; the traceback of an AssertionError contains the failed step."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder)
        (folder / "dashboard.yaml").write_text(example("dashboard.yaml"))
        automations = example("automations.yaml") + blueprints.automations()
        files = {"dashboard.yaml": folder / "dashboard.yaml", "blueprints": blueprints.FOLDER}
        home = HomeAssistant(root, broker.port, automations, example("scripts.yaml"), CONFIGURATION, files)
        node = Node(broker, folder)
        broker.start()
        try:
            home.start()
            for step in STEPS:
                step(home, node)
                print(f"ok: {step.__doc__}", flush=True)
        finally:
            node.kill()
            home.stop()
            broker.close()


def example(name):
    """Return an example file, changed for this node."""
    text = (EXAMPLES / name).read_text()
    return text.replace("earshot_balcony", "earshot_balkon_sud").replace("earshot/balcony", f"earshot/{NODE}")


def publish_earlier_bundle(home, node):
    """The discovery of an earlier bundle with the label `owl` creates its entities."""
    message, topic = discovery("owl"), discovery_topic("homeassistant", NODE)
    components = {key: component["platform"] for key, component in message["components"].items()}
    announced = {"topic": topic, "components": components, "labels": [*BUNDLE.labels, "owl"]}
    (node.state / "home_assistant.json").write_text(json.dumps(announced))
    node.publish(topic, json.dumps(message))
    wait_until(lambda: "binary_sensor.earshot_balkon_sud_owl" in home.states(), 30, "the owl's entity")


def check_entities(home, node):
    """Every entity of the node exists under its default id, some of them disabled; the device links to the page."""
    node.start()
    wait_until(lambda: home.state(node.entity("switch", "listening")) == "on", 60, "the node's entities")

    def missing():
        states = home.states()
        return [each for each in node.entities if states.get(each, {"state": None})["state"] in (None, "unavailable")]

    wait_until(lambda: not missing(), 30, f"the appearance of {missing()}")
    registry = {each["entity_id"]: each for each in home.command("config/entity_registry/list")}
    assert {registry[each]["disabled_by"] for each in node.disabled} == {"integration"}
    (device,) = [each for each in home.command("config/device_registry/list") if each["name"] == f"Earshot {NODE}"]
    assert device["configuration_url"] == PAGE


def check_removed_label(home, node):
    """The entities of a label that the bundle no longer has are removed."""
    wait_until(lambda: not [each for each in home.states() if "owl" in each], 30, "the removal of the owl's entities")


def check_event(home, node):
    """The dog bark switches its sensor and that of any sound on and off, is counted, and is the last sound."""
    dog, event = node.entity("binary_sensor", "dog_bark"), node.entity("event", "sound")
    any_sound = node.entity("binary_sensor", "any_sound")
    wait_until(lambda: home.state(dog) == "on", 180, "the bark")
    assert home.state(any_sound) == "on"
    wait_until(lambda: home.states()[event]["attributes"].get("event_type") == "dog_bark", 10, "the event")
    assert home.states()[event]["attributes"]["type"] == "start"
    assert home.state(node.entity("sensor", "last_sound")) == "dog_bark"
    assert 50 <= float(home.state(node.entity("sensor", "confidence"))) <= 100
    assert -60 <= float(home.state(node.entity("sensor", "level"))) <= 0
    for count in (node.entity("sensor", "dog_bark_today"), node.entity("sensor", "sounds_today")):
        wait_until(lambda: int(home.state(count)) >= 1, 10, count)  # noqa: B023 - called before the next iteration
    picture = home.states()[node.entity("image", "spectrogram")]["attributes"]["entity_picture"]
    wait_until(lambda: home.get(picture).startswith(b"\x89PNG"), 10, "the spectrogram")
    wait_until(lambda: home.state(dog) == "off", 30, "the end of the bark")
    wait_until(lambda: home.state(any_sound) == "off", 30, "the end of all sounds")
    assert home.states()[event]["attributes"]["type"] == "start", "an end must not fire the event entity"


def check_correction(home, node):
    """The choice has the label of the last clip; another choice files the clip under it."""
    select = node.entity("select", "last_sound_was_really")
    wait_until(lambda: home.state(select) == "Dog bark", 10, "the label of the clip")
    event_id = home.states()[select]["attributes"]["event_id"]
    clips = node.state / "clips"
    for option, folder in (("Siren", "corrected/siren"), ("None of these", "none")):
        home.call("select", "select_option", entity_id=select, option=option)
        wait_until(lambda: list(clips.glob(f"{folder}/*{event_id}.flac")), 10, folder)  # noqa: B023 - called here
        wait_until(lambda: home.state(select) == option, 10, option)  # noqa: B023 - called here


def check_examples(home, node):
    """Home Assistant loads the example automations, and the example script corrects the last event's clip."""
    automations = {name: state["state"] for name, state in home.states().items() if name.startswith("automation.")}
    own = [state for name, state in automations.items() if not name.startswith(("automation.blue", "automation.def"))]
    assert own == ["on"] * 4, automations
    event = home.states()[node.entity("event", "sound")]["attributes"]
    clips = node.state / "clips"
    wait_until(lambda: list(clips.glob(f"*/**/*{event['event_id']}.flac")), 30, "the clip")
    home.call("script", "earshot_correct", label="owl")
    wait_until(lambda: list(clips.glob(f"corrected/owl/*{event['event_id']}.flac")), 10, "the correction")


def check_dashboard(home, node):
    """Home Assistant loads the example dashboard, and each of its entities exists."""
    dashboard = json.dumps(home.command("lovelace/config", url_path="earshot-example"))
    entities = set(re.findall(r"\w+\.earshot_balkon_sud_\w+", dashboard))
    assert len(entities) > 50
    assert entities <= set(home.states())


def check_health(home, node):
    """The diagnostic sensors have numbers, and the microphone, replaced by the recording, has no problem."""
    for name in ("inference_time", "lost_audio", "outbox"):
        wait_until(lambda: _is_number(home.state(node.entity("sensor", name))), 90, name)  # noqa: B023 - called before the next iteration
    assert home.state(node.entity("sensor", "temperature")) == "unknown" or _is_number(
        home.state(node.entity("sensor", "temperature"))
    )
    assert home.state(node.entity("binary_sensor", "microphone")) == "off"


def check_level(home, node):
    """A calibrated sound level is a sound pressure in dBA; an unknown sound has its name."""
    for name in ("sound_level", "maximum_sound_level", "background_sound_level"):
        level = node.entity("sensor", name)
        wait_until(lambda: _is_number(home.state(level)), 90, name)  # noqa: B023 - called before the next iteration
        attributes = home.states()[level]["attributes"]
        assert (attributes["device_class"], attributes["unit_of_measurement"]) == ("sound_pressure", "dBA")
    node.publish(f"earshot/{NODE}/unknown/last", "Typewriter")
    wait_until(lambda: home.state(node.entity("sensor", "unknown_sound")) == "Typewriter", 10, "the unknown sound")


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_commands(home, node):
    """Listening, and threshold, switch and cool-down of a label, set in Home Assistant, change the daemon."""
    number, switch = node.entity("number", "siren_threshold"), node.entity("switch", "listening")
    detection, cooldown = node.entity("switch", "siren_detection"), node.entity("number", "siren_cool_down")
    last_time = node.entity("sensor", "dog_bark_last_time")
    for entity in (cooldown, last_time):
        home.command("config/entity_registry/update", entity_id=entity, disabled_by=None)
    home.call("number", "set_value", entity_id=number, value=0.33)
    home.call("switch", "turn_off", entity_id=switch)
    home.call("switch", "turn_off", entity_id=detection)
    wait_until(lambda: float(home.state(number)) == 0.33, 10, "the threshold")
    wait_until(lambda: home.state(switch) == "off", 10, "the switch")
    wait_until(lambda: home.state(detection) == "off", 10, "the detection")
    wait_until(lambda: home.state(cooldown) == "1", 60, "the cool-down, which Home Assistant adds after half a minute")
    home.call("number", "set_value", entity_id=cooldown, value=90)
    wait_until(lambda: home.state(cooldown) == "90", 10, "the new cool-down")
    ago = datetime.now(UTC) - datetime.fromisoformat(home.state(last_time))
    assert 0 < ago.total_seconds() < 600
    switches = json.loads((node.state / "switches.json").read_text())
    assert {key: switches[key] for key in switches if key != "crc32"} == {
        "listening": False,
        "thresholds": {"siren": 0.33},
        "cooldowns": {"siren": 90},
        "enabled": {"siren": False},
    }


def check_unavailable(home, node):
    """Every entity is unavailable after the daemon is killed."""
    node.counted = node.barks(home)
    node.kill()
    wait_until(lambda: all(home.state(each) == "unavailable" for each in node.entities), 60, "unavailability")


def check_restarts(home, node):
    """After a restart of both, in German, all entities are available under their old ids, with settings and counts."""
    home.stop()
    node.start("home_assistant.language=de")
    home.start()
    wait_until(lambda: home.state(node.entity("number", "siren_threshold")) == "0.33", 60, "the threshold")
    assert home.state(node.entity("switch", "listening")) == "off"
    assert home.state(node.entity("switch", "siren_detection")) == "off"
    wait_until(lambda: node.barks(home)["last_time"] == node.counted["last_time"], 10, "the last time")
    if node.barks(home)["day"] == node.counted["day"]:  # else midnight has passed
        assert node.barks(home) == node.counted
    states = home.states()
    missing = [each for each in node.entities if states.get(each, {"state": None})["state"] in (None, "unavailable")]
    assert missing == []
    assert states[node.entity("sensor", "dog_bark_today")]["attributes"]["friendly_name"].endswith("Hundegebell heute")


def check_logs(home, node):
    """The logs contain no warning of Home Assistant's MQTT integration, and no traceback of the daemon."""
    lines = [line for log in home.logs() for line in log.read_text().splitlines()]
    assert any("binary_sensor.earshot_balkon_sud_dog_bark" in line for line in lines), (
        "the log does not contain the node"
    )
    warnings = [line for line in lines if "mqtt" in line and (" WARNING " in line or " ERROR " in line)]
    assert warnings == [], "\n".join(warnings)
    log = node.log.read_text()
    assert "Traceback" not in log, log


STEPS = (
    publish_earlier_bundle,
    check_entities,
    check_removed_label,
    check_event,
    check_correction,
    check_examples,
    check_dashboard,
    blueprints.check_blueprints,
    blueprints.check_default_actions,
    check_health,
    check_level,
    check_commands,
    check_unavailable,
    check_restarts,
    check_logs,
)

if __name__ == "__main__":
    main(Path(sys.argv[1]))
