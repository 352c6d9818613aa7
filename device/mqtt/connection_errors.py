"""Connection errors: fault and cure of a connection to the broker, in one line."""

import socket
import ssl

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

_WRONG_HOST = {62, 64}
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_WRONG_TIME = {9, 10}
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""

_WRONG_FORM = range(79, 95)
"""X509_V_ERR_INVALID_CA to X509_V_ERR_EC_KEY_EXPLICIT_PARAMS: rules of RFC 5280, which Python checks from 3.13 on."""
CURES = {
    0x97: "Raise the broker's quota for this user, or have fewer devices share it",
    0x96: "Raise the broker's limit of messages per second for this user",
    0x9F: "Raise the broker's limit of connections per second",
    0x93: "Set mqtt.in_flight to a smaller number",
    0x95: "Raise the broker's largest packet size",
    0x9A: "Allow retained messages at the broker",
    0x9B: "Allow QoS 1 at the broker",
    0x89: "Reduce the broker's load",
    0x88: "Start the broker again",
    0x9C: "Set mqtt.host to the broker's new address",
    0x9D: "Set mqtt.host to the broker's new address",
    0x8A: "Lift the ban of this device at the broker",
    0x8C: "Allow a login by user name and password at the broker",
    0x99: "Check the broker's rules for the content of messages",
    0xA2: "Allow subscriptions with wildcards at the broker",
}
"""Cures by reason code (MQTT 5.0, section 2.4), for reasons other than access rules."""

TAKEN_OVER = 0x8E
"""Reason code of a session that another client with the same client id took over."""
AWAY = "does not answer"
"""Beginning of the fault of a broker that is not there."""
DISCONNECTED = "disconnected"
"""End of an accepted connection without a reason."""
NO_ANSWER = "accepts the connection but does not answer in MQTT. Check mqtt.port, mqtt.transport and mqtt.tls"


def describe_connect_error(error: OSError) -> str:
    """Return fault and cure of a failed connection. The text continues "broker HOST:PORT ..."."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"has a certificate {_describe_certificate_error(error)}"
        case ssl.SSLError():
            fault = f"fails in the TLS handshake ({error.reason or error})"
            cure = "Check mqtt.port, and mqtt.tls with its certificate_file"
        case ConnectionResetError():
            fault, cure = "closes the connection at once", "Check mqtt.port, and whether the broker requires mqtt.tls"
        case socket.gaierror():
            fault, cure = "has a name that cannot be resolved", "Check mqtt.host, and the network's DNS"
        case paho.WebsocketConnectionError():
            fault, cure = "offers no WebSocket there", "Check mqtt.port, mqtt.transport and mqtt.websocket_path"
        case _:
            fault, cure = f"{AWAY} ({error.strerror or error})", "Start it, or set mqtt.host and mqtt.port"
    return f"{fault}. {cure}"


def _describe_certificate_error(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _WRONG_HOST:
        return "for another host. Set mqtt.host to the name in the certificate, or issue one for this name"
    if error.verify_code in _WRONG_TIME:
        return f"that is not valid now ({error.verify_message}). Renew it, or set the clock"
    if error.verify_code in _WRONG_FORM:
        return (
            f"that breaks a rule of RFC 5280 ({error.verify_message}), which Python checks from version 3.13 on. Issue "
            "it and its authority's again with all extensions, as in docs/troubleshooting.md"
        )
    return f"that is not trusted ({error.verify_message}). Set mqtt.tls.ca_file to the certificate of its authority"


def describe_refusal(reason: ReasonCode) -> str:
    """Return reason and cure of a refused connection. The text continues "broker HOST:PORT ..."."""
    match reason.getName():
        case "Bad user name or password" | "Not authorized":
            cure = "Check mqtt.username and mqtt.password_file"
        case "Client identifier not valid":
            cure = "Set a shorter node_id, of letters and digits alone"
        case _:
            cure = CURES.get(reason.value, "Ask the administrator of the broker")
    return f"refuses the connection ({reason}). {cure}"


def describe_disconnect(reason: ReasonCode) -> str:
    """Return the reason for the end of an accepted connection. The text continues "broker HOST:PORT ..."."""
    if reason.value == TAKEN_OVER:
        return "passed the session to another client. Set a different node_id on each device"
    if reason.getName() in ("Unspecified error", "Normal disconnection"):
        return DISCONNECTED
    cure = CURES.get(reason.value)
    return f"{DISCONNECTED} ({reason}). {cure}" if cure else f"{DISCONNECTED} ({reason})"


def describe_early_ends(times: int, client_id: str) -> str:
    """Return fault and cure of successive connections that ended soon, without a reason or a message in flight.

    mosquitto before 2.0.12, and any broker with MQTT 3.1.1, give no reason when a client takes over a session.

    Args:
        times: number of those connections.
        client_id: client id of this device.
    """
    return (
        f"ended {times} connections soon after their start, without a reason. Another device may have the same node_id "
        f"and so the client id {client_id}: set a different node_id on each device, or read the broker's log"
    )
