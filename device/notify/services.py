"""Services that show notifications to people, over Apprise: their addresses, and the reasons for which they fail.

Apprise's own log lines contain addresses, hence secrets, so none of them is logged or printed. They are matched against
known faults, and only texts of this module are passed on.
"""

import logging
import re
from typing import Any, Final

import apprise

from device.config.secrets import ServiceAddress
from device.errors import ConfigError
from device.notify.texts import Text
from device.util.text import similar_names

_TYPES: Final = {"info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING}
_LIST: Final = "https://appriseit.com/services/"
_HTTP_ERROR = re.compile(r"error=(\d{3})\b")
_CHECK_SECRET: Final = "Check the password or token in its address"
_CHECK_ADDRESS: Final = "Check its address"
_CHECK_NETWORK: Final = "Check the network, and host and port in its address"
_HTTP_FAULTS: Final = {
    401: ("refuses the login", _CHECK_SECRET),
    403: ("refuses access", _CHECK_SECRET),
    404: ("is not found", _CHECK_ADDRESS),
    405: ("is not found", _CHECK_ADDRESS),
    429: ("accepts no more messages for now", "Set a longer cooldown_seconds"),
}
_CAUSES: Final = (
    (
        r"NameResolutionError|Name or service not known|name resolution|No address",
        "has a host that cannot be resolved",
        _CHECK_NETWORK,
    ),
    (r"CERTIFICATE_VERIFY_FAILED", "has a certificate that is not trusted", "Renew it, or use the host that it is for"),
    (r"Connection refused", "refuses the connection", _CHECK_NETWORK),
    (r"timed out|Timeout", "does not answer in time", _CHECK_NETWORK),
    (r"(?i)connection error|communication error|socket exception", "cannot be reached", _CHECK_NETWORK),
    (r"(?i)authenticat|\b535\b|\blogin\b", "refuses the login", _CHECK_SECRET),
)
"""Pattern of Apprise's log lines, the fault for which it stands, and the cure. The first that is found counts."""


class Service:
    """Service of one address.

    Args:
        address: as in the file.
        place: the file, for errors.

    Raises:
        ConfigError: Apprise has no such service, or the address is incomplete. The message contains no address.
    """

    def __init__(self, address: ServiceAddress, place: str) -> None:
        self._apprise = apprise.Apprise(asset=_asset())
        line = f"{place}: line {address.line}"
        scheme = address.url.partition("://")[0].lower()
        plugin = _plugin(scheme, line)
        if not self._apprise.add(address.url):
            raise ConfigError(
                f"{line}: the address of {plugin.service_name!s} is incomplete or wrong. Write it as in {_page(plugin)}"
            )
        self._page = _page(plugin)
        self.name = address.name or f"{plugin.service_name!s} of line {address.line}"

    def send(self, text: Text) -> str:
        """Send a notification; return the fault and its cure, or an empty text. The text continues the service's name.

        Apprise waits 4 s for a connection, and 4 s for an answer.
        """
        result = self._apprise.notify(
            body=text.body,
            title=text.title,
            notify_type=_TYPES[text.urgency],
            body_format=apprise.NotifyFormat.TEXT,
            log_level=logging.DEBUG,
        )
        if result:
            return ""
        return self._fault("\n".join(entry.message for entry in result.logs()))

    def _fault(self, lines: str) -> str:
        as_in_docs = f"Write its address as in {self._page}"
        if status := _HTTP_ERROR.search(lines):
            code = int(status[1])
            is_own = code >= 500
            other = (
                ("has a fault of its own", "Wait until it works again")
                if is_own
                else ("refuses the message", as_in_docs)
            )
            fault, cure = _HTTP_FAULTS.get(code, other)
            return f"{fault} (HTTP {code}). {cure}"
        for pattern, fault, cure in _CAUSES:
            if re.search(pattern, lines):
                return f"{fault}. {cure}"
        return f"does not take the message. {as_in_docs}"


def open_services(addresses: tuple[ServiceAddress, ...], place: str) -> list[Service]:
    """Open the services of a file.

    Args:
        addresses: as in the file.
        place: the file, for errors.

    Raises:
        ConfigError: one line for each address that cannot be used.
    """
    silence_apprise()
    services, faults = [], []
    for address in addresses:
        try:
            services.append(Service(address, place))
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return services


def silence_apprise() -> None:
    """Keep the log lines of Apprise and its HTTP client, which contain addresses, from all handlers."""
    for name in ("apprise", "urllib3", "requests", "requests_oauthlib"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    # Only lines of this level contain the reason of a failed connection. Apprise keeps them in its result.
    logging.getLogger("apprise").setLevel(logging.DEBUG)


def _asset() -> apprise.AppriseAsset:
    """Return the look of the messages: Earshot's name, and no pictures from elsewhere. Nothing is stored on disk."""
    return apprise.AppriseAsset(
        app_id="Earshot",
        app_desc="Earshot sound sensor",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        secure_logging=True,
        async_mode=False,  # else Apprise has threads of its own, for which the end of the process waits
        service_timeout=0,
    )


def _plugin(scheme: str, line: str) -> Any:
    """Return Apprise's class of a service.

    Raises:
        ConfigError: there is none, or it needs further packages.
    """
    manager: Any = apprise.apprise.N_MGR
    if scheme not in manager:
        similar = similar_names(scheme, manager.schemas(), 1)
        cure = f"Did you mean {similar[0]}://?" if similar else f"All are listed at {_LIST}"
        raise ConfigError(f"{line}: Apprise has no such service. {cure}")
    plugin = manager[scheme]
    if not plugin.enabled:
        packages = plugin.requirements.get("packages_required") or "further packages"
        needed = packages if isinstance(packages, str) else ", ".join(map(str, packages))
        raise ConfigError(
            f"{line}: {plugin.service_name!s} needs the Python package {needed}. Install it, or use another service"
        )
    return plugin


def _page(plugin: Any) -> str:
    return str(plugin.setup_url or _LIST)
