"""Tests of addresses. The broker's name: a URL or a name with a port is one clear error with the keys to set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from device.config.hosts import host_cure, is_web_address
from device.config.loader import load_config
from device.config.models import HomeAssistantConfig
from device.errors import ConfigError


@pytest.mark.parametrize(
    "host", ["localhost", "broker.local", "broker.local.", "192.168.1.5", "::1", "fe80::1%eth0", "b"]
)
def test_a_name_or_address_is_a_host(host):
    """A name, and an address of either kind, is used as it is."""
    assert load_config(overrides=[f"mqtt.host={host}"], environment={}).mqtt.host == host


@pytest.mark.parametrize(
    ("host", "cure"),
    [
        ("broker:1884", "Set mqtt.host: broker, mqtt.port: 1884"),
        ("192.168.1.5:1883", "Set mqtt.host: 192.168.1.5, mqtt.port: 1883"),
        ("[::1]:1883", "Set mqtt.host: ::1, mqtt.port: 1883"),
        ("[::1]", "Set mqtt.host: ::1"),
        ("12:30", "Set mqtt.host: 12, mqtt.port: 30"),
        ("mqtt://broker/", "Set mqtt.host: broker"),
        ("MQTTS://broker:8883", "Set mqtt.host: broker, mqtt.port: 8883, mqtt.tls.enabled: true"),
        (
            "wss://b.example:443/ws",
            "Set mqtt.host: b.example, mqtt.port: 443, mqtt.tls.enabled: true, mqtt.transport: websockets, "
            "mqtt.websocket_path: /ws",
        ),
        ("my broker", "It has no spaces, and no part of a URL"),
        ("http://", "It has no spaces, and no part of a URL"),
    ],
)
def test_a_url_has_the_keys_to_set_as_cure(host, cure):
    """A URL, a name with a port, or brackets around an address are refused with the keys to set."""
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=[f"mqtt.host={host}"], environment={})
    (line,) = str(caught.value).splitlines()
    assert line.endswith(f"must be a host's name or address alone. {cure}")


@pytest.mark.parametrize("host", ["mqtt://user:s3cret@broker:1883", "user:s3cret@broker", "mqtts://u:s3c@s3cret@b/"])
def test_a_password_in_a_url_is_not_repeated(tmp_path, host):
    """The error for a URL with a password does not contain it, because errors are logged."""
    path = tmp_path / "config.yaml"
    for text, overrides in ((f"mqtt: {{host: '{host}'}}", []), ("", [f"mqtt.host={host}"]), ("", [f"mqtt.hst={host}"])):
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_config(path, overrides=overrides, environment={})
        assert "s3c" not in str(caught.value)


@given(host=st.text(st.sampled_from("ab1.:/@[]%? \n\x1b#+-"), max_size=20) | st.text())
def test_any_host_is_a_host_or_has_a_cure(host):
    """Any text is a host, or has a cure of one printable line."""
    cure = host_cure(host)
    assert cure is None or cure.isprintable()


@pytest.mark.parametrize(
    "value",
    ["http://earshot.local:8470", "https://home.example/earshot/", "http://[fd00::7]:8470/", "http://192.168.1.7/"],
)
def test_the_address_of_a_page_is_accepted(value):
    """A page has http or https, a host, and perhaps a port and a path."""
    assert is_web_address(value)
    assert HomeAssistantConfig(page_url=value).page_url == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "earshot.local:8470",
        "ftp://earshot.local",
        "http://",
        "http://[x",
        "http://a:b/",
        "http://a b/",
        "http://a\n",
    ],
)
def test_another_address_of_a_page_is_refused(value):
    """Home Assistant would refuse the whole device with such a link, so the config does, with an example."""
    with pytest.raises(ValidationError, match=r"as in http://earshot\.local:8470"):
        HomeAssistantConfig(page_url=value)
