"""Acceptance test with a real Home Assistant: entities, states, commands and restarts of a node. Run by run.sh."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT), str(ROOT / "tests")]

from server import HomeAssistant  # noqa: E402
from support import Mosquitto, wait_until  # noqa: E402

from device.model.bundle import load_bundle  # noqa: E402
from device.model.sound_names import sound_names  # noqa: E402
from device.mqtt.home_assistant import OptionalStates, discovery_message, discovery_topic  # noqa: E402

NODE = "Balkon süd"
"""Node id with characters that entity ids must not contain."""
BUNDLE = load_bundle(ROOT / "models" / "urbansound8k")


def main(root):
    """Run all steps; the traceback of an AssertionError contains the failed step."""
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder))
        home = HomeAssistant(root, broker.port, example("automations.yaml"), example("scripts.yaml"))
        node = Node(broker, Path(folder))
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
    text = (ROOT / "deploy" / "home_assistant" / name).read_text()
    return text.replace("earshot_balcony", "earshot_balkon_sud").replace("earshot/balcony", f"earshot/{NODE}")


class Node:
    """Daemon on a repeated recording, because Home Assistant may start after the first event."""

    def __init__(self, broker, folder):
        self._broker = broker
        self._process = None
        self.state = folder / "state"
        self.state.mkdir()
        self.log = folder / "daemon.log"
        self._recordings = folder / "recordings"
        self._recordings.mkdir()
        for number in range(9):
            (self._recordings / f"{number}.flac").symlink_to(ROOT / "deploy" / "demo" / "street.flac")
        message = discovery_message(
            NODE,
            sound_names(BUNDLE.labels),
            version="1",
            bundle="b@1",
            published={},
            states=OptionalStates(spectrogram=True, level_calibrated=False),
        )
        self.entities = [component["default_entity_id"] for component in message["components"].values()]

    def entity(self, platform, name):
        """Return the id of an entity of the node."""
        entity_id = f"{platform}.earshot_balkon_sud_{name}"
        assert entity_id in self.entities, entity_id
        return entity_id

    def start(self):
        """Start the daemon."""
        command = [sys.executable, "-m", "device", "run", "--input", self._recordings]
        for setting in (f"mqtt.port={self._broker.port}", f"node_id={NODE}", "clips.enabled=true"):
            command += ["--set", setting]
        environment = {**os.environ, "STATE_DIRECTORY": str(self.state), "PYTHONPATH": str(ROOT)}
        with self.log.open("a") as log:
            self._process = subprocess.Popen(command, env=environment, cwd=ROOT, stderr=log)

    def kill(self):
        """Kill the daemon, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def publish(self, topic, payload):
        """Publish a retained message in place of the daemon."""
        command = ["mosquitto_pub", "-p", str(self._broker.port), "-r", "-q", "1", "-t", topic, "-m", payload]
        subprocess.run(command, check=True)


def publish_earlier_bundle(home, node):
    """The discovery of an earlier bundle with the label `owl` creates its entities."""
    message = discovery_message(
        NODE,
        sound_names((*BUNDLE.labels, "owl")),
        version="1",
        bundle="b@1",
        published={},
        states=OptionalStates(spectrogram=True),
    )
    topic = discovery_topic("homeassistant", NODE)
    components = {key: component["platform"] for key, component in message["components"].items()}
    announced = {"topic": topic, "components": components, "labels": [*BUNDLE.labels, "owl"]}
    (node.state / "home_assistant.json").write_text(json.dumps(announced))
    node.publish(topic, json.dumps(message))
    wait_until(lambda: "binary_sensor.earshot_balkon_sud_owl" in home.states(), 30, "the owl's entity")


def check_entities(home, node):
    """Every entity of the node exists under its default id, and is available."""
    node.start()
    wait_until(lambda: home.state(node.entity("switch", "listening")) == "on", 60, "the node's entities")

    def missing():
        states = home.states()
        return [each for each in node.entities if states.get(each, {"state": None})["state"] in (None, "unavailable")]

    wait_until(lambda: not missing(), 30, f"the appearance of {missing()}")


def check_removed_label(home, node):
    """The entities of a label that the bundle no longer has are removed."""
    wait_until(lambda: not [each for each in home.states() if "owl" in each], 30, "the removal of the owl's entities")


def check_event(home, node):
    """The dog bark switches its sensor on and off; the event entity and the last sound contain its label."""
    dog, event = node.entity("binary_sensor", "dog_bark"), node.entity("event", "sound")
    wait_until(lambda: home.state(dog) == "on", 180, "the bark")
    wait_until(lambda: home.states()[event]["attributes"].get("event_type") == "dog_bark", 10, "the event")
    assert home.states()[event]["attributes"]["type"] == "start"
    assert home.state(node.entity("sensor", "last_sound")) == "dog_bark"
    assert 50 <= float(home.state(node.entity("sensor", "confidence"))) <= 100
    assert -60 <= float(home.state(node.entity("sensor", "level"))) <= 0
    picture = home.states()[node.entity("image", "spectrogram")]["attributes"]["entity_picture"]
    wait_until(lambda: home.get(picture).startswith(b"\x89PNG"), 10, "the spectrogram")
    wait_until(lambda: home.state(dog) == "off", 30, "the end of the bark")
    assert home.states()[event]["attributes"]["type"] == "start", "an end must not fire the event entity"


def check_health(home, node):
    """The diagnostic sensors have numbers, and the microphone, replaced by the recording, has no problem."""
    for name in ("inference_time", "lost_audio", "outbox"):
        wait_until(lambda: _is_number(home.state(node.entity("sensor", name))), 90, name)  # noqa: B023 - called before the next iteration
    assert home.state(node.entity("sensor", "temperature")) == "unknown" or _is_number(
        home.state(node.entity("sensor", "temperature"))
    )
    assert home.state(node.entity("binary_sensor", "microphone")) == "off"


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_examples(home, node):
    """Home Assistant loads the example automations, and the example script corrects the last event's clip."""
    automations = [state for entity_id, state in home.states().items() if entity_id.startswith("automation.")]
    assert [state["state"] for state in automations] == ["on"] * 4, automations
    event = home.states()[node.entity("event", "sound")]["attributes"]
    clips = node.state / "clips"
    wait_until(lambda: list(clips.glob(f"recent/*/*{event['event_id']}.flac")), 30, "the clip")
    home.call("script", "earshot_correct", label="owl")
    wait_until(lambda: list(clips.glob(f"corrected/owl/*{event['event_id']}.flac")), 10, "the correction")


def check_commands(home, node):
    """A threshold and listening, set in Home Assistant, change the daemon, and the new states are published."""
    number, switch = node.entity("number", "siren_threshold"), node.entity("switch", "listening")
    home.call("number", "set_value", entity_id=number, value=0.33)
    home.call("switch", "turn_off", entity_id=switch)
    wait_until(lambda: float(home.state(number)) == 0.33, 10, "the threshold")
    wait_until(lambda: home.state(switch) == "off", 10, "the switch")
    switches = json.loads((node.state / "switches.json").read_text())
    assert (switches["listening"], switches["thresholds"]) == (False, {"siren": 0.33})


def check_unavailable(home, node):
    """Every entity is unavailable after the daemon is killed."""
    node.kill()
    wait_until(lambda: all(home.state(each) == "unavailable" for each in node.entities), 60, "unavailability")


def check_restarts(home, node):
    """After a restart of both, all entities are available, and the settings are unchanged."""
    home.stop()
    node.start()
    home.start()
    wait_until(lambda: home.state(node.entity("number", "siren_threshold")) == "0.33", 60, "the threshold")
    assert home.state(node.entity("switch", "listening")) == "off"
    states = home.states()
    missing = [each for each in node.entities if states.get(each, {"state": None})["state"] in (None, "unavailable")]
    assert missing == []


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
    check_examples,
    check_health,
    check_commands,
    check_unavailable,
    check_restarts,
    check_logs,
)

if __name__ == "__main__":
    main(Path(sys.argv[1]))
