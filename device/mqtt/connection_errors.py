"""What is wrong between us and the broker, in one line with its cure."""

import socket
import ssl

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

_WRONG_HOST = {62, 64}
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_WRONG_TIME = {9, 10}
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""

NO_ANSWER = (
    "takes the connection but does not answer as an MQTT broker does. Check mqtt.port, mqtt.transport and mqtt.tls"
)


def explain_connect_error(error: OSError) -> str:
    """Say why no connection came about, and the cure; continues "broker HOST:PORT ..."."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"shows a certificate {_why_untrusted(error)}"
        case ssl.SSLError():
            what = f"does not agree on encryption ({error.reason or error})"
            cure = "Check mqtt.port, and mqtt.tls with its certificate_file"
        case ConnectionResetError():
            what, cure = "hangs up at once", "Check mqtt.port, and whether it wants mqtt.tls"
        case socket.gaierror():
            what, cure = "has a name that cannot be resolved", "Check mqtt.host, and the network's DNS"
        case paho.WebsocketConnectionError():
            what, cure = "speaks no WebSocket there", "Check mqtt.port, mqtt.transport and mqtt.websocket_path"
        case _:
            what, cure = f"does not answer ({error.strerror or error})", "Start it, or set mqtt.host and mqtt.port"
    return f"{what}. {cure}"


def _why_untrusted(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _WRONG_HOST:
        return "for another host. Set mqtt.host to the name in it, or have one made for this name"
    if error.verify_code in _WRONG_TIME:
        return f"that is not valid now ({error.verify_message}). Renew it, or set the clock"
    return f"that is not trusted ({error.verify_message}). Set mqtt.tls.ca_file to its authority's"


def explain_refusal(reason: ReasonCode) -> str:
    """Say why the broker does not want us, and the cure; continues "broker HOST:PORT ..."."""
    match reason.getName():
        case "Bad user name or password" | "Not authorized":
            cure = "Check mqtt.username and mqtt.password_file"
        case "Client identifier not valid":
            cure = "Set a plainer node_id"
        case _:
            cure = "Ask whoever runs it"
    return f"refuses the connection ({reason}). {cure}"


def explain_disconnect(reason: ReasonCode) -> str:
    """Say why a connection that stood has ended; continues "broker HOST:PORT ..."."""
    if reason.getName() == "Session taken over":
        return "gave our session to another client. Give each device its own node_id"
    return "is gone" if reason.getName() == "Unspecified error" else f"is gone ({reason})"
