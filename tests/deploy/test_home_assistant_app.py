"""Tests of the Home Assistant app: its config by the Supervisor's schema, and the way from options to settings."""

import getpass
import importlib.util
import json
import re
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from device.config.keys import all_keys
from device.config.loader import load_config

ROOT = Path(__file__).parents[2]
APP = ROOT / "deploy" / "home_assistant" / "app"
CONFIG = yaml.safe_load((APP / "config.yaml").read_text())


class AppConfig(BaseModel):
    """Keys of an app's config.yaml that this app uses.

    From https://developers.home-assistant.io/docs/apps/configuration, `_SCHEMA_ADDON_CONFIG` in
    supervisor/addons/validate.py of home-assistant/supervisor, and src/config.schema.json of
    frenck/action-addon-linter. That linter also refuses values that equal the default, so the model has no such value.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    slug: Annotated[str, Field(pattern=r"^[-_.A-Za-z0-9]+$")]
    description: str
    arch: list[Literal["aarch64", "amd64"]]
    homeassistant: Annotated[str, Field(pattern=r"^\d{4}\.\d+\.\d+$")]
    audio: Literal[True]
    services: list[Annotated[str, Field(pattern="^(mqtt|mysql):(provide|want|need)$")]]
    ingress: Literal[True]
    panel_icon: Annotated[str, Field(pattern="^mdi:[a-z-]+$")]
    panel_title: str
    tmpfs: Literal[True]
    backup: Literal["cold"]
    timeout: Annotated[int, Field(gt=10, le=300)]
    options: dict[str, Any]
    options_schema: Annotated[dict[str, Any], Field(alias="schema")]


ELEMENT = re.compile(
    r"(?:bool|email|url|port|device(?:\(subsystem=[a-z]+\))?|(?:str|password|int)(?:\(\d*,\d*\))?"
    r"|float(?:\([\d.]*,[\d.]*\))?|match\(.*\)|list\(.+\))\??"
)
"""Type of an option, as RE_SCHEMA_ELEMENT in supervisor/addons/options.py."""


@pytest.fixture(scope="module")
def start():
    """Return the module start.py of the app."""
    spec = importlib.util.spec_from_file_location("start", APP / "start.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def elements(schema):
    """Yield the types of all options, at most two levels deep."""
    for value in schema.values():
        inner = value[0] if isinstance(value, list) else value
        yield from elements(inner) if isinstance(inner, dict) else [inner]


def test_the_app_s_config_follows_the_schema():
    """All keys exist, with allowed values, and each option has a type that the Supervisor knows."""
    config = AppConfig.model_validate(CONFIG)
    assert config.version == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for element in elements(config.options_schema):
        assert ELEMENT.fullmatch(element), element


def test_an_option_has_a_default_or_is_optional():
    """The Supervisor refuses to start an app without a required option, and makes an option with a default required."""
    schema = CONFIG["schema"]
    optional = {name for name, kind in schema.items() if isinstance(kind, str) and kind.endswith("?")}
    assert set(CONFIG["options"]) == set(schema) - optional


def test_each_option_maps_to_an_existing_key(start):
    """start.py reads exactly the options that the app offers, and all keys exist, also those of the page."""
    assert set(CONFIG["schema"]) == {*start.KEYS, "mqtt_password", "settings"}
    known = {".".join(key) for key in all_keys()}
    assert {*start.KEYS.values(), *start.PAGE} <= known
    assert set(start.SERVICE.values()) <= set(CONFIG["schema"])
    assert start.PAGE["web.port"] == CONFIG.get("ingress_port", 8099)


def test_the_documentation_lists_each_option_with_its_key(start):
    """DOCS.md names every option, and the key of those that have one."""
    text = (APP / "DOCS.md").read_text()
    for option in CONFIG["schema"]:
        assert f"`{option}`" in text or option == "settings", option
        assert f"`{start.KEYS.get(option, 'mqtt.password_file')}`" in text or option == "settings", option


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_option_is_translated(language):
    """Every option and field has a name and a description in each language, and nothing else is translated."""
    texts = yaml.safe_load((APP / "translations" / f"{language}.yaml").read_text())
    assert set(texts) == {"configuration"}
    assert set(texts["configuration"]) == set(CONFIG["schema"])
    assert texts["configuration"]["audioset"].pop("fields").keys() == CONFIG["schema"]["audioset"][0].keys()
    for option, text in texts["configuration"].items():
        assert set(text) == {"name", "description"}, option
        assert all(text.values())


def test_the_default_options_are_valid_settings(start, tmp_path):
    """The daemon and the page accept the settings of an app that nobody has configured."""
    (tmp_path / "settings.yaml").write_text(json.dumps(start.settings_of(CONFIG["options"])))
    config = load_config(tmp_path / "settings.yaml", environment={})
    assert config.web.trusted_proxy == "172.30.32.2"
    assert config.model.bundle == Path("/usr/lib/earshot/models/urbansound8k")


def test_every_option_reaches_its_setting(start, tmp_path):
    """Values of all options arrive in the settings; the password is a file that its owner alone may read."""
    options = CONFIG["options"] | {
        "audioset": [{"name": "Doorbell", "threshold": 0.3}],
        "quiet_hours": ["22:00-07:00"],
        "calibration_db": 120.5,
        "node_id": "küche",
        "mqtt_host": "broker.local",
        "mqtt_port": 8883,
        "mqtt_tls": True,
        "mqtt_username": "",
        "mqtt_password": "geheim",
    }
    run, state = tmp_path / "run", tmp_path / "state"
    start.prepare(options, run, state, getpass.getuser())
    config = load_config(run / "settings.yaml", environment={})
    assert config.events.audioset == {"Doorbell": 0.3}
    assert config.events.quiet_hours
    assert config.level.calibration_db == 120.5
    assert config.node == "küche"
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.tls.enabled) == ("broker.local", 8883, True)
    assert config.mqtt.username is None
    assert (run / "mqtt_password").read_text() == "geheim"
    assert "geheim" not in (run / "settings.yaml").read_text()
    assert [path.stat().st_mode & 0o077 for path in (run, state, *run.iterdir())] == [0] * 4


@pytest.fixture
def supervisor():
    """Start the services API of a Supervisor; return its address and the answers, of which the last one is repeated."""
    answers, tokens = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            tokens.append(self.headers["Authorization"])
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status if self.path == "/services/mqtt" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers, tokens
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_broker_comes_from_the_supervisor(start, supervisor):
    """The answer of the services API becomes options, after a Supervisor that had no broker yet was asked again."""
    address, answers, tokens = supervisor
    data = {"addon": "core_mosquitto", "host": "core-mosquitto", "port": 1883, "ssl": False, "protocol": "3.1.1"}
    data |= {"username": "addons", "password": "geheim"}
    answers += [(400, {"result": "error", "message": "Service not enabled"}), (200, {"result": "ok", "data": data})]
    options = start.mqtt_service("a-token", address, 0.2)
    assert options == {
        "mqtt_host": "core-mosquitto",
        "mqtt_port": 1883,
        "mqtt_username": "addons",
        "mqtt_password": "geheim",
        "mqtt_tls": False,
    }
    assert tokens == ["Bearer a-token"] * 2


def test_a_missing_broker_is_one_clear_error(start, supervisor, capsys):
    """Without a broker, the app ends with exit code 69 and the cure."""
    address, answers, _ = supervisor
    answers.append((400, {"result": "error"}))
    with pytest.raises(SystemExit) as end:
        start.mqtt_service("a-token", address, 0.1)
    assert end.value.code == 69
    assert "Install the app Mosquitto broker, or set mqtt_host" in capsys.readouterr().err


def run_both(daemon, page):
    """Return the completed process that runs a daemon and a page, each a command of the shell."""
    code = "import start, sys; start.PAGE_PAUSE_SECONDS = 0; sys.exit(start.run_both({}, {}, []))"
    commands = [["sh", "-c", text] for text in (daemon, page)]
    return subprocess.run(
        [sys.executable, "-c", code.format(*commands)], cwd=APP, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_app_ends_with_the_daemon(tmp_path):
    """The daemon's exit code is that of the app; a page that ends is started again, and ends with the daemon."""
    count = tmp_path / "count"
    done = run_both(f"until [ $(wc -l <{count}) -ge 3 ]; do sleep 0.05; done; exit 78", f"echo x >>{count}; sleep 0.1")
    assert done.returncode == 78
    assert "the page ended" in done.stderr


def test_a_signal_ends_the_daemon_first(tmp_path):
    """SIGTERM reaches the daemon, which ends in its own time; the app waits for it."""
    daemon = f'trap "sleep 0.3; echo done >{tmp_path}/end; exit 0" TERM; kill -TERM $PPID; while :; do sleep 0.05; done'
    assert run_both(daemon, "sleep 30").returncode == 0
    assert (tmp_path / "end").read_text() == "done\n"


@pytest.mark.parametrize("image", ["", "registry.example/earshot-app"])
def test_the_app_s_repository_is_complete(tmp_path, image):
    """make_app.sh writes what Home Assistant installs, with no second config.yaml where it searches for apps."""
    subprocess.run([APP.parent / "make_app.sh", tmp_path, *([image] if image else [])], check=True)
    assert yaml.safe_load((tmp_path / "repository.yaml").read_text())["name"] == "Earshot"
    found = [path for path in tmp_path.glob("**/config.*") if "rootfs" not in path.parts]
    assert found == [tmp_path / "earshot" / "config.yaml"]
    config = yaml.safe_load(found[0].read_text())
    assert config.get("image", "") == image
    names = {path.name for path in (tmp_path / "earshot").iterdir()}
    assert {"CHANGELOG.md", "DOCS.md", "README.md", "translations"} <= names
    assert ("Dockerfile" in names) == (not image)
    if not image:
        dockerfile = (tmp_path / "earshot" / "Dockerfile").read_text()
        assert "ARG PROJECT=rootfs\n" in dockerfile
        assert "ARG APP=.\n" in dockerfile
        assert dockerfile.endswith("\nFROM app\n")
        assert (tmp_path / "earshot" / "rootfs" / "deploy" / "debian" / "build.sh").stat().st_mode & 0o100
