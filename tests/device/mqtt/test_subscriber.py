"""Tests of the subscriber: messages of other programs."""

import paho.mqtt.client as paho

from device.config.models import MqttConfig
from device.mqtt.subscriber import Subscriber


def test_a_payload_that_is_no_message_is_ignored():
    """Payloads that are no JSON object, also nested ones, are left out between messages; none ends the subscriber."""
    subscriber = Subscriber(MqttConfig(), None)
    for payload in (b'{"number": 1}', b"[" * 100_000, b"\xff", b"[1]", b"", b"{", b'{"number": 2}'):
        message = paho.MQTTMessage(topic=b"earshot/test/event")
        message.payload = payload
        subscriber.on_message(message)
    subscriber.close()
    assert [message["number"] for message in subscriber] == [1, 2]
