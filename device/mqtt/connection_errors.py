"""Connection errors: fault and cure of a connection to the broker, in one line."""

import socket
import ssl

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

_WRONG_HOST = {62, 64}
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_WRONG_TIME = {9, 10}
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""

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
            fault, cure = f"does not answer ({error.strerror or error})", "Start it, or set mqtt.host and mqtt.port"
    return f"{fault}. {cure}"


def _describe_certificate_error(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _WRONG_HOST:
        return "for another host. Set mqtt.host to the name in the certificate, or issue one for this name"
    if error.verify_code in _WRONG_TIME:
        return f"that is not valid now ({error.verify_message}). Renew it, or set the clock"
    return f"that is not trusted ({error.verify_message}). Set mqtt.tls.ca_file to the certificate of its authority"


def describe_refusal(reason: ReasonCode) -> str:
    """Return reason and cure of a refused connection. The text continues "broker HOST:PORT ..."."""
    match reason.getName():
        case "Bad user name or password" | "Not authorized":
            cure = "Check mqtt.username and mqtt.password_file"
        case "Client identifier not valid":
            cure = "Set a shorter node_id, of letters and digits alone"
        case _:
            cure = "Ask the administrator of the broker"
    return f"refuses the connection ({reason}). {cure}"


def describe_disconnect(reason: ReasonCode) -> str:
    """Return the reason for the end of an accepted connection. The text continues "broker HOST:PORT ..."."""
    if reason.getName() == "Session taken over":
        return "passed the session to another client. Set a different node_id on each device"
    return "disconnected" if reason.getName() == "Unspecified error" else f"disconnected ({reason})"
