"""`earshot notify`: notifications to phones and other services, a test of each service, and a dry run."""

import argparse
import logging
import threading
from typing import TYPE_CHECKING

from device.cli.output import print_json
from device.cli.signals import on_signal
from device.cli.terminal import paint
from device.config.loader import load_config
from device.config.models import Config, NotifyConfig
from device.config.secrets import NOTIFY_CREDENTIAL, ServiceAddress, read_password, read_services
from device.errors import EXIT_DONE, EXIT_UNAVAILABLE, ConfigError, UnavailableError
from device.mqtt.subscriber import Subscriber
from device.notify.delivery import Deliveries
from device.notify.notifier import FILTERS, Notifier, Send
from device.notify.texts import Text, Writer
from device.util.extras import install_command

if TYPE_CHECKING:
    from device.notify.services import Service

_LOGGER = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Notify until a signal, or test the services; return the exit code.

    Raises:
        ConfigError: there is no rule or no service, or an address or a name of a rule is wrong.
        UnavailableError: Apprise is not installed.
    """
    config = load_config(arguments.config, overrides=arguments.set)
    addresses = read_services(config.notify)
    if arguments.test:
        return _test(_open(config.notify, addresses), Writer(config.notify.language), as_json=arguments.json)
    if not config.notify.rules and config.notify.offline_minutes is None:
        raise ConfigError("notify.rules: is empty, so nothing would be sent. Write a rule, as in docs/notify.md")
    _warn_of_durations(config)
    if arguments.dry_run:
        if addresses:  # else no service is known
            _check_names(config.notify, [address.name for address in addresses])
        return _run(config, _printer(as_json=arguments.json), is_patient=False)
    services = _open(config.notify, addresses)
    _check_names(config.notify, [service.name for service in services])
    with Deliveries(services) as deliveries:
        names = ", ".join(service.name for service in services)
        _LOGGER.info("notifications by %d rules to %s", len(config.notify.rules), names)
        return _run(config, deliveries.send, is_patient=True)


def _run(config: Config, send: Send, *, is_patient: bool) -> int:
    stopping = threading.Event()
    with Subscriber(config.mqtt, read_password(config.mqtt), FILTERS, is_patient=is_patient) as subscriber:

        def stop() -> None:
            stopping.set()
            subscriber.close()

        on_signal(stop)
        Notifier(config.notify, subscriber, send).run(stopping)
    return EXIT_DONE


def _open(config: NotifyConfig, addresses: tuple[ServiceAddress, ...]) -> "list[Service]":
    """Open the services. Apprise is imported only now: `--help` and a dry run need none."""
    place = str(config.services_file or NOTIFY_CREDENTIAL)
    if not addresses:
        raise ConfigError(
            "notify.services_file: no service that this user may read. Write an address into "
            f"{NOTIFY_CREDENTIAL}, as in docs/notify.md, and use sudo"
        )
    try:
        from device.notify.services import open_services
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the package {error.name} of the notifications is not installed. Run: {install_command('notify')}"
        ) from error
    return open_services(addresses, place)


def _check_names(config: NotifyConfig, names: list[str]) -> None:
    """Check that each service of a rule exists.

    Raises:
        ConfigError: a rule names another one.
    """
    faults = [
        f"notify.rules.{number}.services: the file of services has no line `{name}=`. Its names are: "
        f"{', '.join(filter(None, names)) or 'none'}"
        for number, rule in enumerate(config.rules)
        for name in rule.services
        if name not in names
    ]
    if faults:
        raise ConfigError("\n".join(faults))


def _warn_of_durations(config: Config) -> None:
    """Log each rule that asks for a longer sound than any event. Another node may have another `maximum_seconds`."""
    longest = config.events.maximum_seconds
    for number, rule in enumerate(config.notify.rules):
        if not rule.pause_seconds and rule.lasting_seconds >= longest:
            _LOGGER.warning(
                "notify.rules.%d.lasting_seconds: is %g, and an event ends after events.maximum_seconds, %g here. "
                "Set a shorter duration, or pause_seconds",
                number,
                rule.lasting_seconds,
                longest,
            )


def _test(services: "list[Service]", writer: Writer, *, as_json: bool) -> int:
    """Send a message to each service, and print the result of each."""
    code = EXIT_DONE
    for service in services:
        fault = service.send(writer.test(service.name))
        code = EXIT_UNAVAILABLE if fault else code
        if as_json:
            print_json({"service": service.name, "state": "fault" if fault else "ok", "message": fault})
        elif fault:
            print(f"{paint('FAULT', 'red')}  {service.name} {fault}", flush=True)
        else:
            print(f"{paint('ok', 'green')}     {service.name} took the message", flush=True)
    return code


def _printer(*, as_json: bool) -> Send:
    def send(text: Text, names: tuple[str, ...]) -> None:
        if as_json:
            print_json({"title": text.title, "body": text.body, "services": list(names)})
        else:
            print(f"{text.title}: {text.body}  (to {', '.join(names) or 'all services'})", flush=True)

    return send
