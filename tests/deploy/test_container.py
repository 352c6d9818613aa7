"""Tests of the container's files: the packages of the image, its context, and the confinement of compose.yaml."""

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from device.config.loader import load_config
from device.service.heartbeat import HEARTBEAT_SECONDS

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "deploy" / "container"
DOCKERFILE = (CONTAINER / "Dockerfile").read_text()


@pytest.fixture
def compose():
    """Return the services of compose.yaml."""
    return yaml.safe_load((CONTAINER / "compose.yaml").read_text())


def unit(name="earshot"):
    """Return the lines of a systemd unit as pairs; of a repeated key, the last one."""
    lines = (ROOT / "deploy" / "systemd" / f"{name}.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_the_image_contains_the_debian_package():
    """One list for both: the image installs what build.sh builds, with its Python packages and dependencies."""
    assert "/project/deploy/debian/build.sh /package" in DOCKERFILE
    assert "apt-get install -y --no-install-recommends /package/*.deb" in DOCKERFILE
    assert not re.search(r"\bpip\b", DOCKERFILE)


def test_the_context_contains_what_the_package_is_built_from():
    """Each path of the project that build.sh reads is admitted to the build, and nothing secret."""
    rules = [line for line in (CONTAINER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] not in "#"]

    def is_admitted(path):
        admitted = True
        for rule in rules:
            pattern = rule.removeprefix("!")
            if any(fnmatch(str(each), pattern) for each in (path, *path.parents[:-1])):
                admitted = rule.startswith("!")
        return admitted

    script = (ROOT / "deploy" / "debian" / "build.sh").read_text()
    read = set(re.findall(r"(?:models|deploy|docs)/[\w./-]+|\b(?:README|CHANGELOG)\.md|\bconfig\.yaml", script))
    read = {Path(path) for path in read if (ROOT / path).exists()} | {Path("device/types.py"), Path("training/data")}
    read.add(Path("deploy/home_assistant/app/start.py"))
    assert len(read) > 8
    for path in read:
        assert is_admitted(path), path
    for path in (
        ".git/config",
        ".venv/bin/python",
        "deploy/container/secrets/web_token",
        "runs/mine",
        "tests/support.py",
    ):
        assert not is_admitted(Path(path)), path


def test_the_health_check_is_older_than_no_live_daemon():
    """Check, daemon and app name one heartbeat, and the check's age is that of the watchdog."""
    check = re.search(r"HEALTHCHECK .*\\\n\s+CMD (.+)", DOCKERFILE)[1]
    assert shlex.split(check)[:2] == ["test", "-n"]
    file = re.search(r"find (\S+) -newermt '-(\d+) seconds'", check)
    assert float(file[2]) == HEARTBEAT_SECONDS == float(unit()["WatchdogSec"])
    assert f'"--heartbeat", "{file[1]}"' in DOCKERFILE
    assert f'"--heartbeat", "{file[1]}"' in (ROOT / "deploy" / "home_assistant" / "app" / "start.py").read_text()


def test_compose_has_broker_daemon_and_page(compose):
    """The three services share a network; only the broker is open to it, and the page to this machine."""
    services = compose["services"]
    assert set(services) == {"broker", "daemon", "page"}
    assert "ports" not in services["daemon"]
    assert services["page"]["ports"] == ["127.0.0.1:8470:8470"]
    assert services["page"]["hostname"] == services["daemon"]["hostname"]


def test_compose_confines_as_the_units_do(compose):
    """No capabilities, no new privileges, a read-only root, and the limits of the units."""
    services = compose["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "cap_add" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]
    for service, lines in ((services["daemon"], unit()), (services["page"], unit("earshot-web"))):
        assert service["mem_limit"].upper() == lines["MemoryMax"]
        assert service["pids_limit"] == int(lines["TasksMax"])
        assert service["cpus"] * 100 == int(lines["CPUQuota"].rstrip("%"))
        assert service["ulimits"] == {"core": int(lines["LimitCORE"]), "nofile": int(lines["LimitNOFILE"])}
    assert services["daemon"]["stop_grace_period"] == f"{unit()['TimeoutStopSec']}s"
    assert "devices" not in services["page"]


@pytest.mark.parametrize("service", ["daemon", "page"])
def test_compose_sets_existing_keys(compose, service):
    """The variables of each service are settings that exist."""
    environment = {name: str(value) for name, value in compose["services"][service]["environment"].items()}
    assert load_config(ROOT / "config.yaml", environment=environment).mqtt.host == "broker"


def test_compose_s_secrets_are_those_that_the_image_reads(compose):
    """The names are those of systemd's credentials, so a secret needs no setting."""
    assert "CREDENTIALS_DIRECTORY=/run/secrets" in DOCKERFILE
    credentials = {line.partition(":")[0] for line in (unit("earshot-web")["LoadCredential"], "mqtt_password:")}
    assert credentials == set(compose["services"]["page"]["secrets"])
    assert set(compose["services"]["daemon"]["secrets"]) == {"mqtt_password"}
    assert all(secret["file"].startswith("./secrets/") for secret in compose["secrets"].values())
