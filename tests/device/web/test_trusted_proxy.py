"""Tests of the trusted proxy, with the headers of Home Assistant's ingress."""

import pytest

from device.config.loader import load_config
from device.errors import ConfigError

INGRESS = "172.30.32.2"
HEADERS = {
    "Host": "home.example:8123",
    "Origin": "https://home.example",
    "X-Forwarded-Host": "home.example",
    "X-Forwarded-For": "192.168.1.5, 172.30.32.1",
    "X-Ingress-Path": "/api/hassio_ingress/abc",
}
WEB = {"host": "0.0.0.0", "trusted_proxy": INGRESS}


def test_the_trusted_proxy_needs_no_token(make_client, feed, clip):
    """A user of the ingress reads and changes without the token, under any name."""
    client = make_client(token=None, address=INGRESS, **WEB)
    assert client.get("/", headers=HEADERS).status_code == 200
    assert client.post(f"/events/{clip}/correct", data={"label": "siren"}, headers=HEADERS).status_code == 303
    assert feed.sent[0][0] == "correct"
    assert "logout" not in client.get("/", headers=HEADERS).text


@pytest.mark.parametrize("address", ["172.30.32.3", "192.168.1.5", "::ffff:172.30.33.2"])
def test_another_address_needs_the_token(make_client, feed, clip, address):
    """The ingress's headers are no proof: another program in its network reads nothing and changes nothing."""
    for token in (None, "a token of sufficient length"):
        client = make_client(token=token, address=address, **WEB)
        assert client.get("/", headers=HEADERS).status_code in (401, 421)
        assert client.get("/", headers={"Host": "172.30.33.5:8099"}).status_code == 401
        change = {"Host": "172.30.33.5", "Origin": "http://172.30.33.5"}
        assert client.post(f"/events/{clip}/correct", data={"label": "siren"}, headers=change).status_code == 401
    assert feed.sent == []


def test_another_site_changes_nothing_through_the_trusted_proxy(make_client, feed, clip):
    """A form of another site is refused, although the browser is logged in at the proxy."""
    client = make_client(token=None, address=INGRESS, **WEB)
    headers = HEADERS | {"Origin": "https://evil.example"}
    assert client.post(f"/events/{clip}/correct", data={"label": "siren"}, headers=headers).status_code == 403
    assert feed.sent == []


def test_a_name_is_no_trusted_proxy():
    """A name in place of an address is an error with a cure, because names can be forged."""
    with pytest.raises(ConfigError, match=r"trusted_proxy.*must be one address, as in 172\.30\.32\.2"):
        load_config(overrides=["web.trusted_proxy=supervisor"])
