"""Start of the Home Assistant app: options to settings, the broker from the Supervisor, then the daemon and the page.

The container starts as root, because the options and the folder /data belong to root. This program writes the settings,
gives the state to the user `earshot`, and starts itself again as that user, without any privilege. As that user it runs
`earshot run` and `earshot web`: the app ends with the daemon, and a page that ends is started again.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

OPTIONS = Path("/data/options.json")
STATE = Path("/data/earshot")
RUN = Path("/dev/shm/earshot")  # in memory: the broker's password is never written to the disk
MODELS = Path("/usr/lib/earshot/models")
SUPERVISOR = "http://supervisor"
UNAVAILABLE = 69
ASK_SECONDS = 60
PAGE_PAUSE_SECONDS = 10

KEYS = {
    "node_id": "node_id",
    "microphone": "audio.device",
    "bundle": "model.bundle",
    "audioset": "events.audioset",
    "quiet_hours": "events.quiet_hours",
    "clips": "clips.enabled",
    "history_days": "history.days",
    "calibration_db": "level.calibration_db",
    "mqtt_host": "mqtt.host",
    "mqtt_port": "mqtt.port",
    "mqtt_tls": "mqtt.tls.enabled",
    "mqtt_username": "mqtt.username",
    "language": "web.language",
}
"""Key of config.yaml for each option. `mqtt_password` becomes a file, and `settings` arguments."""
PAGE = {"web.host": "0.0.0.0", "web.port": 8099, "web.trusted_proxy": "172.30.32.2"}
"""Settings of the page: the ingress's port, and its address, which alone may use the page."""
SERVICE = {"host": "mqtt_host", "port": "mqtt_port", "username": "mqtt_username", "password": "mqtt_password"}
"""Option for each field of the Supervisor's MQTT service."""


def main() -> int:
    """Prepare as root, and run as `earshot`; return the exit code of the daemon."""
    if os.geteuid() == 0:
        options = json.loads(OPTIONS.read_text())
        prepare(options if options.get("mqtt_host") else options | mqtt_service(os.environ["SUPERVISOR_TOKEN"]))
        become_earshot(override for key in options.get("settings", []) for override in ("--set", key))
    return run_both(
        ["earshot", "run", "--config", str(RUN / "settings.yaml"), "--heartbeat", "/dev/shm/earshot.heartbeat"],
        ["earshot", "web", "--config", str(RUN / "settings.yaml")],
        sys.argv[1:],
    )


def mqtt_service(token: str, address: str = SUPERVISOR, seconds: float = ASK_SECONDS) -> dict[str, Any]:
    """Return the options of the broker that Home Assistant uses, from the Supervisor. Ask again for some time.

    Args:
        token: text that admits this app to the Supervisor.
        address: address of the Supervisor.
        seconds: time for which a Supervisor without an answer is asked again, s.
    """
    request = urllib.request.Request(f"{address}/services/mqtt", headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                service = json.load(response)["data"]
            return {SERVICE[name]: service[name] for name in SERVICE if service.get(name)} | {
                "mqtt_tls": bool(service.get("ssl"))
            }
        except (OSError, ValueError, KeyError) as error:
            if time.monotonic() > deadline:
                fail(f"the Supervisor has no MQTT broker ({error}). Install the app Mosquitto broker, or set mqtt_host")
            time.sleep(min(5, seconds))


def settings_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings for the options, as nested objects: JSON, which is YAML as well."""
    values = PAGE | {key: options[name] for name, key in KEYS.items() if options.get(name) not in (None, "")}
    if "model.bundle" in values:
        values["model.bundle"] = str(MODELS / values["model.bundle"])
    if "events.audioset" in values:
        values["events.audioset"] = {each["name"]: each["threshold"] for each in values["events.audioset"]}
    settings: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        section = settings
        for each in sections:
            section = section.setdefault(each, {})
        section[name] = value
    return settings


def prepare(options: dict[str, Any], run: Path = RUN, state: Path = STATE, owner: str = "earshot") -> None:
    """Write the settings and the password, and give them and the state to a user.

    Args:
        options: of the app, with those of the broker.
        run: folder of the settings, replaced.
        state: folder of the state; a restored backup may belong to root.
        owner: name of the user.
    """
    shutil.rmtree(run, ignore_errors=True)
    for folder in (run, state):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.umask(0o077)
    (run / "settings.yaml").write_text(json.dumps(settings_of(options), indent=2, ensure_ascii=False))
    if options.get("mqtt_password"):
        (run / "mqtt_password").write_text(options["mqtt_password"])
    for folder in (run, state):
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, owner, owner)


def become_earshot(arguments: Any) -> NoReturn:
    """Start this program again as the user `earshot`, without capabilities, now and later."""
    os.environ.pop("SUPERVISOR_TOKEN", None)
    os.environ.pop("HASSIO_TOKEN", None)
    os.environ |= {"HOME": str(STATE), "STATE_DIRECTORY": str(STATE), "CREDENTIALS_DIRECTORY": str(RUN)}
    user = ["--reuid=earshot", "--regid=earshot", "--init-groups"]
    privileges = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    os.execvp("setpriv", ["setpriv", *user, *privileges, sys.executable, __file__, *arguments])


def run_both(daemon_command: list[str], page_command: list[str], arguments: list[str]) -> int:
    """Run the daemon and the page until the daemon ends; return its exit code. SIGTERM and SIGINT end the daemon."""
    daemons: list[subprocess.Popen[bytes]] = []
    is_stopping = threading.Event()

    def stop(*_: object) -> None:
        is_stopping.set()
        for each in daemons:
            each.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):  # before the daemon starts, because the signal may come at once
        signal.signal(number, stop)
    daemon = subprocess.Popen([*daemon_command, *arguments])
    daemons.append(daemon)
    if is_stopping.is_set():  # it came between the two lines
        daemon.terminate()
    page = subprocess.Popen([*page_command, *arguments])
    while (ended := os.wait())[0] != daemon.pid:
        if ended[0] == page.pid:
            print(f"the page ended and starts again in {PAGE_PAUSE_SECONDS} s", file=sys.stderr)
            pause = ["sh", "-c", f'sleep {PAGE_PAUSE_SECONDS}; exec "$@"', "page"]
            page = subprocess.Popen([*pause, *page_command, *arguments])
    page.terminate()
    code = os.waitstatus_to_exitcode(ended[1])
    return code if code >= 0 else 128 - code


def fail(message: str) -> NoReturn:
    """Print a message and exit: something outside is missing."""
    print(f"earshot: {message}", file=sys.stderr)
    sys.exit(UNAVAILABLE)


if __name__ == "__main__":
    sys.exit(main())
