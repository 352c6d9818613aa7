"""Home Assistant in a chroot: set up without its web pages, and used over its REST API."""

import base64
import hashlib
import hmac
import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from support import free_port, wait_until

_USER = {"group_ids": ["system-admin"], "is_owner": True, "is_active": True, "name": "Tester"}
_NOW = "2026-01-01T00:00:00+00:00"


class HomeAssistant:
    """Home Assistant that can be started and stopped repeatedly, and keeps its state.

    Args:
        root: root folder of the Debian that run.sh creates.
        mqtt_port: port of the broker on this machine.
        automations: text of automations.yaml.
        scripts: text of scripts.yaml.
        more: further lines of configuration.yaml.
        files: further files and folders of the configuration, by their paths there.

    Attributes:
        url: address of its web pages.
    """

    def __init__(self, root, mqtt_port, automations, scripts, more="", files=None):
        self._root = root
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._process = None
        shutil.rmtree(root / "config", ignore_errors=True)
        (root / "config" / ".storage").mkdir(parents=True)
        (root / "config" / "configuration.yaml").write_text(
            f"http:\n  server_host: 127.0.0.1\n  server_port: {port}\napi:\n"
            "automation: !include automations.yaml\nscript: !include scripts.yaml\n"
            "logger:\n  default: warning\n  logs:\n    homeassistant.components.mqtt: info\n" + more
        )
        (root / "config" / "automations.yaml").write_text(automations)
        (root / "config" / "scripts.yaml").write_text(scripts)
        for path, source in (files or {}).items():
            target = root / "config" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        self._store("auth", 1, self._authorization())
        self._store("onboarding", 4, {"done": ["user", "core_config", "analytics", "integration"]})
        self._store("core.config_entries", 1, {"entries": [_mqtt_entry(mqtt_port)]}, minor_version=5)

    def start(self):
        """Start Home Assistant, and wait until it runs."""
        program = ["chroot", self._root, "/ha/bin/hass", "-c", "/config"]
        self._process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: self._running(), 180, "Home Assistant's start")

    def stop(self):
        """Stop Home Assistant, as a restart by the user would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=60)
            self._process = None

    def states(self):
        """Return the states of all entities: entity_id -> {"state": ..., "attributes": {...}}."""
        return {state["entity_id"]: state for state in json.loads(self.get("/api/states"))}

    def state(self, entity_id):
        """Return the state of an entity; None if it does not exist."""
        return self.states().get(entity_id, {}).get("state")

    def call(self, domain, service, **data):
        """Call a service, as a click in the dashboard would."""
        self._request(f"/api/services/{domain}/{service}", json.dumps(data).encode())

    def command(self, kind, **data):
        """Return the result of a command of the WebSocket API, which the web pages use."""
        program = (Path(__file__).parent / "websocket.py").read_text()
        arguments = [self.url, self._token, json.dumps({"type": kind, **data})]
        command = ["chroot", self._root, "/ha/bin/python", "-c", program, *arguments]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)

    def devices(self, name):
        """Return the ids of the devices with a name."""
        registry = json.loads((self._root / "config" / ".storage" / "core.device_registry").read_text())
        return [device["id"] for device in registry["data"]["devices"] if device["name"] == name]

    def tokens(self):
        """Return the login that a browser stores."""
        expires = {"expires_in": 86400, "expires": round((time.time() + 86400) * 1000)}
        return {"hassUrl": self.url, "access_token": self._token, "refresh_token": "", **expires}

    def logs(self):
        """Return the log files, one a run."""
        return sorted((self._root / "config").glob("home-assistant.log*"))

    def get(self, path):
        """Return the body of a response."""
        return self._request(path)

    def _running(self):
        try:
            return json.loads(self.get("/api/config"))["state"] == "RUNNING"
        except (urllib.error.URLError, ConnectionError):
            return False

    def _request(self, path, body=None):
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read()

    def _store(self, key, version, data, minor_version=1):
        content = {"version": version, "minor_version": minor_version, "key": key, "data": data}
        (self._root / "config" / ".storage" / key).write_text(json.dumps(content))

    def _authorization(self):
        """Return an owner with a long-lived token, as made by the profile page."""
        user, token = "a" * 32, "b" * 32
        key = "c" * 128
        claims = {"iss": token, "iat": int(time.time()) - 60, "exp": int(time.time()) + 86400}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        self._token = f"{signed}.{_base64(hmac.digest(key.encode(), signed.encode(), hashlib.sha256))}"
        return {
            "users": [{"id": user, "system_generated": False, "local_only": False, **_USER}],
            "groups": [{"id": f"system-{name}", "name": name} for name in ("admin", "users", "read-only")],
            "credentials": [],
            "refresh_tokens": [
                {
                    "id": token,
                    "user_id": user,
                    "client_id": None,
                    "client_name": "check",
                    "client_icon": None,
                    "token_type": "long_lived_access_token",
                    "created_at": _NOW,
                    "access_token_expiration": 86400.0,
                    "token": "d" * 128,
                    "jwt_key": key,
                    "last_used_at": None,
                    "last_used_ip": None,
                    "expire_at": None,
                    "credential_id": None,
                    "version": None,
                }
            ],
        }


def _mqtt_entry(port):
    return {
        "created_at": _NOW,
        "modified_at": _NOW,
        "data": {"broker": "127.0.0.1", "port": port, "protocol": "5"},
        "disabled_by": None,
        "discovery_keys": {},
        "domain": "mqtt",
        "entry_id": "0" * 26,
        "minor_version": 2,
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "subentries": [],
        "title": "MQTT",
        "unique_id": None,
        "version": 1,
    }


def _base64(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
