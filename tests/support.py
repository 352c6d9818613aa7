"""Real components for the tests: a broker and a sound server of our own, on this machine only."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from device.model.bundle import Bundle
from device.model.manifest import Manifest


def free_port():
    """A TCP port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, timeout, what):
    """Wait for something that another process does; fails with its name."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
        time.sleep(0.05)


class Mosquitto:
    """A mosquitto of our own on loopback, which can be stopped and started again on the same port."""

    def __init__(self, folder, extra=""):
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self.configure(extra or "allow_anonymous true")
        self._log = (folder / "mosquitto.log").open("w")
        self._process = None

    def configure(self, lines):
        """Give it other settings, for its next start."""
        self._config.write_text(f"listener {self.port} 127.0.0.1\n{lines}\n")

    def start(self):
        """Start it and wait until it accepts connections."""
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "mosquitto is not installed: run `make test`, which installs it"
        self._process = subprocess.Popen([program, "-c", self._config], stdout=self._log, stderr=self._log)
        wait_until(self._answers, 10, "the broker's start")

    def stop(self):
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def freeze(self):
        """Let it hang, with its connections open; `kill` ends that."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self):
        """End it without a word, as a crash does."""
        self._process.kill()
        self._process.wait(timeout=10)
        self._process = None

    def close(self):
        """End it for good."""
        self.stop()
        self._log.close()

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Peer:
    """Another client of the broker: it keeps what the broker carries, and can say anything.

    Attributes:
        carried: the messages, in their order.
        confirmed: how many of ours the broker has answered.
    """

    def __init__(self, broker, user=None, password=None):
        self.carried, self.confirmed = [], 0
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_publish = self._on_publish
        self._client.username_pw_set(user, password)
        self._client.on_message = lambda _client, _data, message: self.carried.append(message)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert subscribed.wait(10), "the broker takes no subscription"

    def _on_publish(self, *_):
        self.confirmed += 1

    def heard(self, topic):
        """The payloads that a topic carried so far."""
        return [message.payload for message in list(self.carried) if message.topic == topic]

    def last(self, topic):
        """The last of them; None where there is none."""
        return (self.heard(topic) or [None])[-1]

    def until(self, topic, payload, timeout=60):
        """Wait until a topic's last payload is this one."""
        wait_until(lambda: self.last(topic) == payload, timeout, f"{topic} {payload}")

    def publish(self, topic, payload, qos=1, retain=False):
        """Say something."""
        return self._client.publish(topic, payload, qos, retain)

    def close(self):
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


class SoundServer:
    """A PulseAudio of our own, whose null sink plays the USB microphone: what is played into it is what is heard."""

    def __init__(self, folder):
        self._folder = folder
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "PULSE_RUNTIME_PATH": str(folder / "runtime"),
            "PULSE_STATE_PATH": str(folder / "state"),
            "PULSE_SERVER": f"unix:{folder / 'native'}",
        }
        self._log = (folder / "pulseaudio.log").open("w")
        self.start()

    def start(self):
        """Start it, with one microphone."""
        shutil.rmtree(self._folder / "runtime", ignore_errors=True)
        (self._folder / "runtime").mkdir()
        (self._folder / "native").unlink(missing_ok=True)
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "--disable-shm=yes",
        ]
        command += ["-L", f"module-native-protocol-unix socket={self._folder / 'native'} auth-anonymous=1"]
        self._process = subprocess.Popen(command, env=self.environment, stdout=self._log, stderr=self._log)
        wait_until(lambda: self._control("info") is not None, 10, "the sound server's start")
        self.plug_in()

    def kill(self):
        """End it without a word, as a crash does."""
        self._process.kill()
        self._process.wait(timeout=10)

    def freeze(self):
        """Let it hang; `thaw` ends that."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def plug_in(self, rate=48000, channels=1):
        """Plug the microphone in."""
        properties = [f"rate={rate}", f"channels={channels}"]
        assert self._control("load-module", "module-null-sink", "sink_name=usb_microphone", *properties)

    def unplug(self):
        """Pull the microphone out."""
        for line in self._control("list", "short", "modules").splitlines():
            if "usb_microphone" in line:
                self._control("unload-module", line.split()[0])

    def play(self, path):
        """Play a sound file into the microphone; returns when it has been played."""
        command = ["paplay", "--device=usb_microphone", path]
        subprocess.run(command, env=self.environment, check=True, timeout=120)

    def close(self):
        """End it for good."""
        self.kill()
        self._log.close()

    def _control(self, *arguments):
        done = subprocess.run(["pactl", *arguments], env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else None


def make_bundle(features, labels=("low", "high"), threshold=0.5, path="nowhere"):
    """Make a bundle for tests whose network is a plain function: a manifest with no files behind it."""
    return Bundle(
        Path(path),
        Manifest(
            format_version=1,
            name="fake",
            version="1",
            labels=labels,
            features=features,
            input={"scale": 2 / 255, "zero_point": 0},
            output={"scale": 0.1, "zero_point": 0},
            calibration={"temperature": 1.0},
            thresholds={label: {"threshold": threshold, "false_alarms_per_hour": 0.0} for label in labels},
            unknown={"output": False, "min_confidence": 0.0},
            training={},
            accuracy={},
            sha256="",
            golden_sha256="",
            manifest_sha256="",
        ),
    )
