"""Arguments of the `earshot` command."""

import argparse
import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any


def make_parser() -> argparse.ArgumentParser:
    """Make the argument parser with all subcommands."""
    parser = argparse.ArgumentParser(
        prog="earshot",
        description="Detect and classify sounds, and publish them over MQTT. Audio never leaves this machine.",
    )
    parser.add_argument("--version", action="version", version=f"earshot {version('earshot')}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-c", "--config", type=Path, metavar="FILE", help="config file (default: the installed one)")
    common.set_defaults(log_level=logging.INFO)
    common.add_argument(
        "-q", "--quiet", dest="log_level", action="store_const", const=logging.WARNING, help="log warnings only"
    )
    setting = argparse.ArgumentParser(add_help=False)
    setting.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a setting, as in mqtt.port=1884",
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print one JSON object per line")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str, *parents: Any) -> Any:
        return commands.add_parser(name, help=text, description=text, parents=[common, *parents])

    run = add("run", "run the daemon: detect sounds and publish events", setting)
    run.add_argument("--input", default="mic", metavar="mic|FILE|DIR|-", help="source of the sound (default: mic)")
    run.add_argument(
        "--input-rate",
        type=_rate,
        metavar="HZ",
        help="sample rate of --input -, which is raw PCM, s16le, mono (default: the bundle's, 16000)",
    )
    run.add_argument(
        "--speed",
        choices=("realtime", "max"),
        default="realtime",
        help="pace of a recording (default: realtime)",
    )
    run.add_argument("--exit-at-end", action="store_true", help="exit when the recording is over")
    run.add_argument("--trace", action="store_true", help="log each label that became no event, with the reason")
    classify = add("classify", "classify sound files", as_json)
    classify.add_argument("files", nargs="+", type=Path, metavar="FILE")
    classify.add_argument("--bundle", type=Path, metavar="DIR", help="bundle to use (default: the config's)")
    gate = add("gate", "print the spans of a sound file in which the gate is open", setting, as_json)
    gate.add_argument("file", type=Path, metavar="FILE")
    add("events", "print the events of all nodes as they are published", setting, as_json)
    devices = add("devices", "list the microphones and their levels")
    devices.add_argument(
        "--meter",
        type=_meter_seconds,
        nargs="?",
        const=5,
        metavar="SECONDS",
        help="measure and diagnose each microphone in turn (default: 5 s each)",
    )
    check = add("check", "check everything that the daemon needs, and print each fault with its cure", setting, as_json)
    check.add_argument(
        "--report", type=Path, metavar="FILE", help="also write a ZIP file for a report of a problem, without secrets"
    )
    forget = add("forget", "delete a node that no longer exists, at the broker and in Home Assistant", setting)
    forget.add_argument("node", type=_node_id, metavar="NODE", help="node_id of the node, as in earshot/NODE/status")
    listen = add("listen", "show level, gate, spectrogram and top labels live", setting)
    listen.add_argument("--input", default="mic", metavar="mic|FILE|DIR|-", help="source of the sound (default: mic)")
    labels = add("labels", "list the bundle's labels and the AudioSet classes, with their thresholds", setting, as_json)
    labels.add_argument("--search", metavar="WORD", help="only names that contain this text")
    clips = add("clips", "list, play, export or purge the clips of events")
    actions = clips.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="print the clips, oldest first", parents=[as_json])
    play = actions.add_parser("play", help="play a clip on this machine's loudspeaker")
    play.add_argument("event_id", help="event id, as `list` prints it; its last characters are enough")
    export = actions.add_parser("export", help="copy the corrected clips to a folder, for earshot-train")
    export.add_argument("target", type=Path, metavar="DIR")
    purge = actions.add_parser("purge", help="delete the clips without a correction")
    purge.add_argument("--corrected", action="store_true", help="delete corrected clips as well")
    config = add("config", "explain the settings, print their JSON Schema")
    actions = config.add_subparsers(dest="action", metavar="ACTION", required=True)
    explain = actions.add_parser("explain", help="describe a key: type, range, unit, default, how to override it")
    explain.add_argument("key", nargs="?", metavar="KEY", help="key or section, as in mqtt.port (default: all keys)")
    actions.add_parser("schema", help="print the JSON Schema of config.yaml, as in docs/schemas")
    return parser


def _rate(text: str) -> int:
    if not text.isdecimal() or not 8000 <= int(text) <= 384000:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be a sample rate from 8000 to 384000, in Hz")
    return int(text)


def _node_id(text: str) -> str:
    if not text or set(text) & set("/+#\0"):
        raise argparse.ArgumentTypeError(f"is {text!r}, must be the name of a node, without '/', '+' and '#'")
    return text


def _meter_seconds(text: str) -> int:
    if not text.isdecimal() or not 5 <= int(text) <= 3600:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be seconds, 5 (the length of a diagnosis) to 3600")
    return int(text)
