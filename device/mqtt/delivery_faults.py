"""Delivery faults: sentences on messages and subscriptions that the broker does not accept, each with its cure."""

from typing import Literal

from paho.mqtt.reasoncodes import ReasonCode

from device.mqtt.connection_errors import CURES


def describe_topic_refusal(action: Literal["messages on", "the subscription to"], kind: str, reason: ReasonCode) -> str:
    """Return reason and cure of a refused message or subscription, as a sentence.

    Args:
        action: what the broker refused.
        kind: topic, or topic filter of all topics of a kind.
        reason: of its PUBACK or SUBACK.
    """
    verb = "publish" if action == "messages on" else "subscribe to"
    cure = CURES.get(reason.value, f"Allow this user to {verb} it in the broker's access rules")
    return f"the broker refuses {action} {kind} ({reason}). {cure}"


def describe_oversize(kind: str, limit: int | None, *, is_left_out: bool) -> str:
    """Return fault and cure of messages above the broker's packet size, as a sentence.

    Args:
        kind: topic, or topic filter of all topics of a kind.
        limit: largest packet that the broker accepts, in bytes.
        is_left_out: True if no message was sent; False if a smaller one was.
    """
    result = "left out" if is_left_out else "reduced"
    return (
        f"the broker accepts packets of at most {limit} bytes, so messages on {kind} are {result}. "
        "Raise its largest packet size"
    )


def describe_silence(kind: str) -> str:
    """Return fault and cure of states without acknowledgements, as a sentence."""
    return f"the broker does not acknowledge messages on {kind}, so they are sent at QoS 0. Read the broker's log"


def describe_event_silence(topic: str, seconds: float) -> str:
    """Return fault and cure of event messages without acknowledgements for this time, s, as a sentence."""
    return (
        f"the broker has not acknowledged a message on {topic} for {seconds:.0f} s, so the connection is opened again. "
        "Read the broker's log"
    )


def describe_suspect(kind: str, ends: int) -> str:
    """Return fault and cure of a kind of messages during which the connection ended several times, as a sentence."""
    return (
        f"the connection ended {ends} times after a message on {kind}, so such messages are sent less often. "
        "Check the broker's log, its limits and its access rules"
    )


def describe_unanswered(what: str) -> str:
    """Return fault and cure of messages or a subscription without an answer, as a sentence."""
    return f"the broker does not answer {what}. Read the broker's log"
