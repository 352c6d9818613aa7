"""Tests of services over the real Apprise: a message arrives, and each fault has its cure and no secret."""

import logging
import socket
from io import StringIO

import pytest
from support import free_port

from device.config.models import NotifyConfig
from device.config.secrets import read_services
from device.errors import ConfigError
from device.notify.services import open_services
from device.notify.texts import Text

SECRET = "s3cretPassw0rd"


@pytest.fixture
def open_file(tmp_path):
    """Return a function that opens the services of a file with some lines."""

    def open_lines(*lines):
        path = tmp_path / "services"
        path.write_text("\n".join(lines))
        return open_services(read_services(NotifyConfig(services_file=path), {}), "the file")

    return open_lines


@pytest.fixture
def silent():
    """Return the address of a service that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def root_log():
    """Return what the process logs at any level: caplog would also listen to loggers that are silenced."""
    log, root = StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(log), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield log
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_service_takes_a_message(open_file, http_service):
    """Title, text and urgency arrive as they are, without markup or emoji being interpreted."""
    (service,) = open_file("# my phone", "", f"  phone=json://{http_service.address}/  ")
    title, body = "Dog <bark> (balcony)", "Started at 23:30:00. *Confidence*: 94 %. :smile:"
    assert (service.name, service.send(Text(title, body, "warning"))) == ("phone", "")
    (message,) = http_service.messages
    assert (message["title"], message["message"], message["type"]) == (title, body, "warning")


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("json://user:{secret}@{http}/401", "refuses the login (HTTP 401). Check the password or token in its address"),
        ("json://{http}/429/{secret}", "accepts no more messages for now (HTTP 429). Set a longer cooldown_seconds"),
        ("json://{http}/400/{secret}", "refuses the message (HTTP 400). Write its address as in https://"),
        ("json://{http}/500/{secret}", "has a fault of its own (HTTP 500). Wait until it works again"),
        ("json://127.0.0.1:{free}/{secret}", "refuses the connection. Check the network, and host and port"),
        ("json://no.such.host.invalid/{secret}", "has a host that cannot be resolved. Check the network"),
        ("json://{silent}/{secret}?rto=0.2", "does not answer in time. Check the network"),
        ("mailto://user:{secret}@127.0.0.1:{free}?from=a@b.de&to=a@b.de", "refuses the connection."),
    ],
)
def test_a_fault_has_a_cure_and_no_secret(open_file, http_service, silent, root_log, capfd, address, fault):
    """The fault is one line without the address, and Apprise's own lines are in no log."""
    (service,) = open_file(address.format(secret=SECRET, http=http_service.address, free=free_port(), silent=silent))
    found = service.send(Text("title", "body"))
    assert found.startswith(fault)
    assert "line 1" in service.name
    output = "".join([found, service.name, root_log.getvalue(), *capfd.readouterr()])
    assert SECRET not in output
    assert http_service.address not in output


def test_wrong_addresses_are_reported_together(open_file):
    """Each line that Apprise cannot use is one line with a cure, without the address."""
    with pytest.raises(ConfigError) as refusal:
        open_file(f"jsom://{SECRET}", f"tgram://{SECRET}", f"phone=qqqqqq://{SECRET}", "json://localhost")
    lines = str(refusal.value).splitlines()
    assert lines[0] == "the file: line 1: Apprise has no such service. Did you mean json://?"
    assert lines[1].startswith("the file: line 2: the address of Telegram is incomplete or wrong. Write it as in http")
    assert lines[2].startswith("the file: line 3: Apprise has no such service. All are listed at http")
    assert len(lines) == 3
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (f"json://a\n{SECRET}\n", "line 2 is no address. Write URL or NAME=URL"),
        (f"my phone={SECRET}://x", "line 1 is no address"),
        ("# nothing\n", "has 0 addresses. Write 1 to 20"),
        ("json://a\n" * 21, "has 21 addresses. Write 1 to 20"),
    ],
)
def test_a_file_without_addresses_is_refused(tmp_path, content, fault):
    """A line of another form, no address and too many are refused without the line."""
    path = tmp_path / "services"
    path.write_text(content)
    with pytest.raises(ConfigError) as refusal:
        read_services(NotifyConfig(services_file=path), {})
    assert fault in str(refusal.value)
    assert SECRET not in str(refusal.value)


def test_the_credential_of_systemd_is_read(tmp_path):
    """Without a file, the service reads systemd's copy of the credential; without that there is no service."""
    assert read_services(NotifyConfig(), {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == ()
    (tmp_path / "notify_services").write_text(f"phone=json://{SECRET}\n")
    (address,) = read_services(NotifyConfig(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (address.name, address.line, address.url) == ("phone", 1, f"json://{SECRET}")
    assert SECRET not in repr(address)
