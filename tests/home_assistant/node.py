"""The node of the acceptance test: a daemon on a repeated recording, and its entities in Home Assistant."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from device.model.bundle import load_bundle
from device.model.sound_names import sound_names
from device.mqtt.home_assistant import DeviceInfo, discovery_message
from device.mqtt.home_assistant_entities import OptionalStates

ROOT = Path(__file__).resolve().parents[2]
NODE = "Balkon süd"
"""Node id with characters that entity ids must not contain."""
BUNDLE = load_bundle(ROOT / "models" / "urbansound8k")
PAGE = "http://earshot.local:8470/"
_SETTINGS = (
    f"node_id={NODE}",
    "clips.enabled=true",
    "clips.keep_speech=true",
    "level.calibration_db=100",
    f"home_assistant.page_url={PAGE}",
)
_STATES = OptionalStates(spectrogram=True, unknown=True, level_calibrated=True, clips=True)


def discovery(*more_labels):
    """Make the discovery message of the node, with more labels than the bundle has."""
    names = sound_names((*BUNDLE.labels, *more_labels))
    return discovery_message(DeviceInfo(NODE, "1", "b@1"), names, published={}, states=_STATES)


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
        components = discovery()["components"].values()
        self.entities = [each["default_entity_id"] for each in components if each.get("enabled_by_default", True)]
        self.disabled = [each["default_entity_id"] for each in components if not each.get("enabled_by_default", True)]

    def entity(self, platform, name):
        """Return the id of an entity of the node."""
        entity_id = f"{platform}.earshot_balkon_sud_{name}"
        assert entity_id in [*self.entities, *self.disabled], entity_id
        return entity_id

    def barks(self, home):
        """Return the time of the last bark, the count of barks, and the day, as Home Assistant has them."""
        values = {name: home.state(self.entity("sensor", f"dog_bark_{name}")) for name in ("last_time", "today")}
        return values | {"day": datetime.now(UTC).date()}

    def start(self, *settings):
        """Start the daemon."""
        command = [sys.executable, "-m", "device", "run", "--input", self._recordings]
        for setting in (f"mqtt.port={self._broker.port}", *_SETTINGS, *settings):
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
