"""Tests of the page's guard: names, origins, tokens, paths, headers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from device.config.models import WebConfig
from device.web.event_view import is_event_id
from device.web.security import Access, root_of

OWN = "http://localhost:8470"


def test_a_foreign_host_is_refused(client):
    """A name that an attacker lets resolve to this machine gets nothing, and neither does a request without a name."""
    for host in ("evil.example", "evil.example:8470", "localhost.evil.example", "192.168.1.5:8470", "", "[::1"):
        response = client.get("/", headers={"Host": host})
        assert response.status_code == 421, host
        assert "siren" not in response.text


@pytest.mark.parametrize("host", ["localhost:8470", "127.0.0.1:9000", "[::1]:8470"])
def test_the_names_of_this_machine_are_answered(client, host):
    """The page answers to loopback's names with any port, as an SSH tunnel uses another one."""
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:8123", "http://localhost.evil:8470", "http://["]
)
def test_a_foreign_origin_is_refused(client, bearer, feed, clip, origin):
    """Another site, also one of this machine, neither reads nor changes anything, even with the token."""
    headers = {"Origin": origin, **bearer}
    assert client.get("/", headers=headers).status_code == 403
    assert client.post(f"/events/{clip}/correct", data={"label": "siren"}, headers=headers).status_code == 403
    assert feed.sent == []


def test_a_request_of_another_site_without_an_origin_is_refused(client):
    """A picture or script that another site embeds is refused; a link from there is followed."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/", headers=headers).status_code == 403
    assert client.get("/", headers={**headers, "Sec-Fetch-Mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": OWN},
        {"Origin": OWN, "Authorization": "Bearer wrong"},
        {"Origin": OWN, "Cookie": "earshot_session="},
    ],
)
def test_a_change_needs_the_token(client, feed, clip, headers):
    """Without the token nothing is sent to the daemon, also from this machine."""
    for address in (f"/events/{clip}/correct", "/thresholds", "/logout"):
        assert client.post(address, data={"label": "siren"}, headers=headers).status_code in (401, 403)
    assert feed.sent == []


def test_without_a_token_in_the_settings_nothing_can_be_changed(make_client, feed, clip):
    """No token, also an empty one, is accepted where none is set; reading from this machine works."""
    client = make_client(token=None)
    for headers in ({"Origin": OWN}, {"Authorization": "Bearer "}, {"Origin": OWN, "Cookie": "earshot_session="}):
        assert client.post("/thresholds", data={"slug": "siren", "value": "0.1"}, headers=headers).status_code >= 400
    assert client.post("/login", data={"token": ""}, headers={"Origin": OWN}).status_code == 403
    assert feed.sent == []
    assert client.get("/").status_code == 200


def test_login_gives_a_session_that_may_change(client, feed, clip, token):
    """The session's cookie is hidden from scripts and other sites, is not the token, and ends with logout."""
    assert client.post("/login", data={"token": "wrong"}, headers={"Origin": OWN}).status_code == 403
    response = client.post("/login", data={"token": token}, headers={"Origin": OWN})
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path" not in cookie  # a browser then uses the folder of the address, with the prefix of a proxy
    assert token not in cookie
    change = {"slug": "siren", "value": "0.6"}
    assert client.post("/thresholds", data=change, headers={"Origin": OWN}).status_code == 303
    assert client.post("/thresholds", data=change).status_code == 403  # no browser omits Origin
    client.post("/logout", headers={"Origin": OWN})
    assert client.post("/thresholds", data=change, headers={"Origin": OWN}).status_code == 401
    assert feed.sent == [("threshold/siren", "0.6")]


@pytest.mark.parametrize("web", [{"host": "0.0.0.0"}, {"hosts": ["pi.local"]}])
def test_reading_from_beyond_this_machine_needs_the_token(make_client, history, bearer, web):
    """Each address but the login asks for the token, as soon as the settings let others reach the page."""
    client = make_client(base_url="http://192.168.1.5:8470", **web)
    for address in (
        "/",
        f"/events/{history[0]['event_id']}",
        "/health",
        "/thresholds",
        "/live",
        "/metrics",
        "/nothing",
    ):
        response = client.get(address, headers={"Accept": "*/*"})
        assert response.status_code == 401, address
        assert "siren" not in response.text
    assert client.get("/", headers={"Accept": "text/html"}).headers["location"] == "./login"
    assert client.get("/events/x", headers={"Accept": "text/html"}).headers["location"] == "../login"
    assert client.get("/login").status_code == 200
    assert client.get("/", headers=bearer).status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Ingress-Path", "Forwarded"])
def test_a_request_through_a_proxy_needs_the_token(client, bearer, header):
    """A proxy on this machine may pass requests of others on, so they need the token, also without other settings."""
    assert client.get("/health", headers={header: "x"}).status_code == 401
    assert client.get("/health", headers={header: "x", **bearer}).status_code == 200


def test_a_proxy_may_replace_the_name(make_client, history, token):
    """Behind Home Assistant's ingress, the origin is the forwarded name, and the session belongs to its path."""
    client = make_client(hosts=["homeassistant.local"])
    headers = {"X-Forwarded-Host": "homeassistant.local:8123", "Origin": "http://homeassistant.local:8123"}
    assert client.post("/login", data={"token": token}, headers=headers).status_code == 303
    assert client.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/events/../../etc/passwd",
        "/events/%2e%2e%2f%2e%2e%2fetc%2fpasswd/clip.flac",
        "/static/../app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/..%2f..%2f..%2fconfig.yaml",
        "/events/*/clip.flac",
        "//etc/passwd",
        "/health/",
    ],
)
def test_no_path_leads_outside(client, path):
    """A path with dots or patterns is no address of the page."""
    assert client.get(path).status_code == 404


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_only_an_event_id_is_searched_for(text):
    """Nothing with a slash, dot or pattern counts as an event id."""
    assert not is_event_id(text) or set(text) <= set("0123456789abcdef-")


@settings(max_examples=50)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_header_makes_the_guard_fail(host, origin, cookie):
    """Any header gets an answer, and none of them the right to change something."""
    raw = [(name, value.encode("utf-8")) for name, value in ((b"host", host), (b"origin", origin), (b"cookie", cookie))]
    access = Access(WebConfig(), "a token of sufficient length")
    request = HTTPConnection({"type": "http", "headers": raw, "client": ("127.0.0.1", 50000)})
    access.accepts_host(request)
    access.accepts_origin(request.headers)
    assert not access.may_write(request)


def test_a_large_body_is_refused(client, bearer):
    """A body of more than some kilobytes, or of unknown length, is not read."""
    assert client.post("/login", content=b"x" * 20_000, headers=bearer).status_code == 413
    assert client.post("/login", content=iter([b"x"]), headers=bearer).status_code == 413
    assert client.request("DELETE", "/", headers=bearer).status_code == 405


@pytest.mark.parametrize("path", ["/", "/nothing", "/static/app.css"])
def test_each_response_has_the_policy(client, path):
    """Each response, also an error, forbids foreign content, inline scripts and sniffing."""
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "root"), [("/", "./"), ("/health", "./"), ("/events/x", "../"), ("/events/x/y", "../../")]
)
def test_the_root_is_relative(path, root):
    """Addresses start at the page's root, wherever a proxy puts it."""
    assert root_of(path) == root
