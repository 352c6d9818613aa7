"""Components for the tests: broker, MQTT client and sound server on this machine, synthetic sound, a bundle."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
from fake_bundle import make_manifest
from paho.mqtt.enums import CallbackAPIVersion

from device.model.bundle import Bundle


def free_port():
    """Return a TCP port on loopback that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port):
    """Return True if a process listens on a TCP port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, timeout, what):
    """Wait until a condition holds.

    Args:
        condition: function that is called every 0.05 s.
        timeout: s.
        what: description of the condition, for the message of the failure.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
        time.sleep(0.05)


class Mosquitto:
    """Mosquitto on loopback that can be stopped, killed, and started again on the same port."""

    def __init__(self, folder, extra=""):
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self.configure(extra or "allow_anonymous true")
        self._log = (folder / "mosquitto.log").open("w")
        self._process = None

    def configure(self, lines):
        """Write the lines of its configuration, for the next start."""
        self._config.write_text(f"listener {self.port} 127.0.0.1\n{lines}\n")

    def start(self):
        """Start the broker, and wait until it accepts connections."""
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "mosquitto is not installed: run `make test`, which installs it"
        self._process = subprocess.Popen([program, "-c", self._config], stdout=self._log, stderr=self._log)
        wait_until(lambda: is_open(self.port), 10, "the broker's start")

    @property
    def pid(self):
        """The broker's process id."""
        return self._process.pid

    def stop(self):
        """Stop the broker with SIGTERM."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def freeze(self):
        """Suspend the broker, with its connections open; `kill` ends it."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self):
        """Kill the broker, as a crash would."""
        self._process.kill()
        self._process.wait(timeout=10)
        self._process = None

    def close(self):
        """Stop the broker, and close its log."""
        self.stop()
        self._log.close()


class Peer:
    """MQTT client that records all messages of the broker, and can publish any.

    Attributes:
        messages: the messages received so far, in their order.
        acknowledged: number of its own messages that the broker has acknowledged.
    """

    def __init__(self, broker, user=None, password=None):
        self.messages, self.acknowledged = [], 0
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_publish = self._on_publish
        self._client.username_pw_set(user, password)
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert subscribed.wait(10), "the broker acknowledges no subscription"

    def _on_publish(self, *_):
        self.acknowledged += 1

    def payloads(self, topic):
        """Return the payloads of a topic, in their order."""
        return [message.payload for message in list(self.messages) if message.topic == topic]

    def last(self, topic):
        """Return the last payload of a topic; None without one."""
        return (self.payloads(topic) or [None])[-1]

    def until(self, topic, payload, timeout=60):
        """Wait until the last payload of a topic is the given one."""
        wait_until(lambda: self.last(topic) == payload, timeout, f"{topic} {payload}")

    def publish(self, topic, payload, qos=1, retain=False):
        """Publish a message."""
        return self._client.publish(topic, payload, qos, retain)

    def close(self):
        """Disconnect from the broker."""
        self._client.disconnect()
        self._client.loop_stop()


class SoundServer:
    """PulseAudio with a null sink in place of a USB microphone: it records the sound that is played into it."""

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
        """Start the sound server, with one microphone."""
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
        """Kill the sound server, as a crash would."""
        self._process.kill()
        self._process.wait(timeout=10)

    def freeze(self):
        """Suspend the sound server; `thaw` continues it."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """Continue the suspended sound server."""
        self._process.send_signal(signal.SIGCONT)

    def plug_in(self, rate=48000, channels=1, channel_map=None):
        """Connect the microphone.

        Args:
            rate: sample rate, Hz.
            channels: number of channels.
            channel_map: their positions, separated by commas; None for the sound server's default.
        """
        properties = [f"rate={rate}", f"channels={channels}"]
        properties += [f"channel_map={channel_map}"] if channel_map else []
        assert self._control("load-module", "module-null-sink", "sink_name=usb_microphone", *properties)

    def unplug(self):
        """Disconnect the microphone."""
        for line in self._control("list", "short", "modules").splitlines():
            if "usb_microphone" in line:
                self._control("unload-module", line.split()[0])

    def play(self, path):
        """Play a sound file into the microphone, to its end."""
        command = ["paplay", "--device=usb_microphone", path]
        subprocess.run(command, env=self.environment, check=True, timeout=120)

    def close(self):
        """Kill the sound server, and close its log."""
        self.kill()
        self._log.close()

    def _control(self, *arguments):
        done = subprocess.run(["pactl", *arguments], env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else None


def make_bundle(features, labels=("low", "high"), threshold=0.5, path="nowhere"):
    """Make a bundle without files, for tests with a plain function as network."""
    return Bundle(Path(path), make_manifest(features, labels, threshold).upgraded())


def synthetic_voice(seconds, rate=16000):
    """Synthesize vowels that webrtcvad classifies as voiced, shape (seconds * rate,), int16.

    Pulses of 120 Hz excite two formants, with four syllables a second.
    """
    times = np.arange(round(seconds * rate)) / rate
    pulses = (np.diff(np.floor(120 * times), prepend=0) > 0).astype(float)
    formants = [np.exp(-times[:800] * 200) * np.sin(2 * np.pi * f * times[:800]) for f in (700, 1200)]
    sound = sum(np.convolve(pulses, formant)[: len(times)] for formant in formants)
    return (12000 * sound / np.abs(sound).max() * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * times))).astype(np.int16)
