"""Observer of a connection: the callbacks for its beginning, its end, acknowledgements and messages."""

from typing import Protocol

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from device.mqtt.broker_limits import BrokerLimits


class ConnectionObserver(Protocol):
    """Callbacks of a connection, called on its thread. They must return at once."""

    def on_connect(self, client: paho.Client, limits: BrokerLimits) -> None:
        """Handle a connection that the broker accepted, with its limits."""

    def on_disconnect(self, client: paho.Client, *, by_message: bool) -> None:
        """Handle the end of a connection. Messages in flight must be sent again with the next client.

        Args:
            client: the client of the connection.
            by_message: whether a message in flight may be the reason.
        """

    def on_fault(self, fault: str, seconds: float) -> None:
        """Handle the fault of a connection that failed, or ended unasked.

        Args:
            fault: reason and cure. The text continues "broker HOST:PORT ...".
            seconds: duration of the connection, s; 0 if it failed.
        """

    def on_acknowledge(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """Handle the acknowledgement, or the refusal, of the message with this id."""

    def on_subscribe(self, client: paho.Client, mid: int, reason: ReasonCode) -> None:
        """Handle the broker's answer to the subscription with this id, to one topic filter."""

    def on_message(self, message: paho.MQTTMessage) -> None:
        """Handle a message of a subscribed topic."""
