"""Guard of the page: names of the host, origins, token, size of requests, and headers of each response.

- A foreign `Host` is refused, so that an attacker's name for this machine (DNS rebinding) reads nothing.
- A foreign `Origin` is refused, so that other sites change nothing.
- A change needs the token. Reading needs it as soon as the page can be reached from beyond this machine.
- A trusted proxy has checked its users, and the name under which they reach it, so it needs neither.
"""

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from device.config.hosts import is_address
from device.config.models import WebConfig

COOKIE: Final = "earshot_session"
YEAR_SECONDS: Final = 365 * 86400
"""Time for which a browser keeps a cookie, s."""
_METHODS: Final = ("GET", "HEAD", "POST")
_BODY_BYTES: Final = 10_000
"""Largest body of a request, bytes. Forms are much smaller."""
_FORWARDING: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-ingress-path", "x-real-ip", "via")
"""Headers by which a reverse proxy shows that a request may come from beyond this machine."""
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, a browser would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Access:
    """Rules of access: who may read, and who may change something.

    Args:
        config: address and names of the page.
        token: the token; None for none, so that nothing can be changed.
    """

    def __init__(self, config: WebConfig, token: str | None) -> None:
        self._names = _LOOPBACK_NAMES | set(config.hosts)
        self._is_beyond_loopback = config.is_beyond_loopback
        self._trusted_proxy = config.trusted_proxy
        self._token = token

    @property
    def has_token(self) -> bool:
        """True if a token is set, so that users can log in."""
        return self._token is not None

    def accepts_token(self, text: str) -> bool:
        """Return True for the token."""
        return self._token is not None and hmac.compare_digest(text.encode(), self._token.encode())

    def session(self) -> str:
        """Return the value of the cookie after login. The token cannot be derived from it."""
        assert self._token is not None  # only who has sent the token gets a session
        return hmac.new(self._token.encode(), b"earshot web session", hashlib.sha256).hexdigest()

    def may_write(self, request: HTTPConnection) -> bool:
        """Return True for a request with the token, as a bearer or by its session, or of the trusted proxy."""
        if self._is_trusted(request):
            return True
        if self._token is None:
            return False
        session = _session_of(request.headers)
        return self.has_bearer(request.headers) or hmac.compare_digest(session.encode(), self.session().encode())

    def has_bearer(self, headers: Headers) -> bool:
        """Return True for a request with `Authorization: Bearer` and the token, as programs send it."""
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.accepts_token(credentials.strip())

    def may_read(self, request: HTTPConnection) -> bool:
        """Return True for a request that may read: one that may write, or from this machine alone."""
        is_local = not self._is_beyond_loopback and not any(name in request.headers for name in _FORWARDING)
        return is_local or self.may_write(request)

    def accepts_host(self, request: HTTPConnection) -> bool:
        """Return True for a `Host` header with a name of the page, or beyond loopback with any address.

        An address is no danger, because an attacker's name never is one. The trusted proxy passes any name on.
        """
        name = _host_name(request.headers.get("host", ""))
        is_known = name in self._names or (self._is_beyond_loopback and is_address(name))
        return is_known or self._is_trusted(request)

    def accepts_origin(self, headers: Headers) -> bool:
        """Return True if the request comes from the page itself, or from no page at all."""
        if headers.get("sec-fetch-site") == "cross-site" and "origin" not in headers:
            return headers.get("sec-fetch-mode") == "navigate"  # a link from elsewhere
        origin = headers.get("origin")
        if origin is None:
            return True
        own = {headers.get("host", "").lower(), headers.get("x-forwarded-host", "").lower()} - {""}
        _, separator, place = origin.lower().partition("://")
        return bool(separator) and place in own

    def _is_trusted(self, request: HTTPConnection) -> bool:
        """Return True for a connection that comes from the trusted proxy itself, whatever its headers contain."""
        return request.client is not None and request.client.host == self._trusted_proxy


class Guard:
    """ASGI middleware that applies the rules of `Access` to each request.

    Args:
        app: the page.
        access: the rules.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refuse(scope["method"], HTTPConnection(scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refuse(self, method: str, request: HTTPConnection) -> Response | None:
        """Return the response to a request that is refused; None to answer it."""
        headers = request.headers
        for is_refused, status, text in (
            (
                not self._access.accepts_host(request),
                421,
                "this page has no such name. Add the name in the address bar to web.hosts in config.yaml",
            ),
            (
                not self._access.accepts_origin(headers),
                403,
                "the request comes from another site. A reverse proxy must pass the Host header on",
            ),
            (method not in _METHODS, 405, "only GET, HEAD and POST are allowed"),
            (
                not _is_short(headers),
                413,
                f"the body of a request has at most {_BODY_BYTES} bytes, and a Content-Length",
            ),
        ):
            if is_refused:
                return _error(status, text)
        path = request.scope["path"]
        return self._refuse_change(path, request) if method == "POST" else self._refuse_reading(path, request)

    def _refuse_change(self, path: str, request: HTTPConnection) -> Response | None:
        access, headers = self._access, request.headers
        if "origin" not in headers and not access.has_bearer(headers):
            return _error(403, "a change needs an Origin header, as browsers send it, or Authorization: Bearer TOKEN")
        if _is_open(path) or access.may_write(request):
            return None
        cure = "Log in" if access.has_token else "Set web.token_file in config.yaml, then log in"
        return _error(401, f"a change needs the token. {cure}")

    def _refuse_reading(self, path: str, request: HTTPConnection) -> Response | None:
        if _is_open(path) or self._access.may_read(request):
            return None
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(root_of(path) + "login", 303)
        return _error(401, "reading from beyond this machine needs the token. Send Authorization: Bearer TOKEN")


def _is_open(path: str) -> bool:
    """Return True for the login form and its files, which contain nothing of this device."""
    return path == "/login" or path.startswith("/static/")


def root_of(path: str) -> str:
    """Return the relative address of the page's root, as seen from a path: right also behind a path prefix."""
    return "../" * (path.count("/") - 1) or "./"


def _error(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status)


def _is_short(headers: Headers) -> bool:
    if "transfer-encoding" in headers:
        return False
    length = headers.get("content-length", "0")
    return length.isascii() and length.isdecimal() and len(length) < 10 and int(length) <= _BODY_BYTES


def _session_of(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _host_name(host: str) -> str:
    """Return the name or address in a `Host` header, without the port; empty if it has another form."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def set_session(response: Response, request: HTTPConnection, session: str) -> None:
    """Set the session's cookie; an empty one ends the session."""
    is_encrypted = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
    # Without a path, a browser uses the folder of this address, which contains the prefix of a reverse proxy.
    response.set_cookie(
        COOKIE,
        session,
        max_age=YEAR_SECONDS if session else 0,
        path=None,
        secure=is_encrypted,
        httponly=True,
        samesite="strict",
    )
