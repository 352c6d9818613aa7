"""Arguments of the `earshot` command, with examples in the help of each subcommand."""

import argparse
import logging
from functools import cache
from pathlib import Path
from typing import Any

from device.cli import argument_types
from device.cli.examples import examples
from device.cli.subcommands import FILES, FOLDERS, Subcommands, complete
from device.util.local_time import TIME_FORMS
from device.util.version import earshot_version


def make_parser() -> argparse.ArgumentParser:
    """Make the argument parser with all subcommands."""
    parser = argparse.ArgumentParser(
        prog="earshot",
        description="Detect and classify sounds, and publish them over MQTT. Audio never leaves this machine.",
        epilog=examples("earshot"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = Subcommands(parser, "earshot", "command", [_common()])
    _add_run(commands)
    _add_classify(commands)
    gate = commands.add("gate", "print the spans of a sound file in which the gate is open", _setting(), _as_json())
    complete(gate.add_argument("file", type=Path, metavar="FILE"), FILES)
    commands.add("events", "print the events of all nodes as they are published", _setting(), _as_json())
    _add_history(commands)
    _add_level(commands)
    _add_diary(commands)
    devices = commands.add("devices", "list the microphones and their levels", _as_json())
    devices.add_argument(
        "--meter",
        type=argument_types.meter_seconds,
        nargs="?",
        const=5,
        metavar="SECONDS",
        help="measure and diagnose each microphone in turn (default: 5 s each)",
    )
    text = "check everything that the daemon needs, and print each fault with its cure"
    check = commands.add("check", text, _setting(), _as_json())
    report = check.add_argument(
        "--report", type=Path, metavar="FILE", help="also write a ZIP file for a report of a problem, without secrets"
    )
    complete(report, FILES)
    text = "delete a node that no longer exists, at the broker and in Home Assistant"
    forget = commands.add("forget", text, _setting())
    forget.add_argument(
        "node", type=argument_types.node_id, metavar="NODE", help="node_id of the node, as in earshot/NODE/status"
    )
    listen = commands.add("listen", "show level, gate, spectrogram and top labels live", _setting())
    _add_input(listen)
    commands.add("bench", "measure what listening costs on this machine, as a table to send in", _setting(), _as_json())
    _add_teach(commands)
    text = "list labels, taught labels, AudioSet classes and alarm patterns, with their thresholds"
    labels = commands.add("labels", text, _setting(), _as_json())
    labels.add_argument("--search", metavar="WORD", help="only names that contain this text")
    _add_clips(commands)
    web = commands.add("web", "serve the page in the browser: history, clips, state", _setting())
    web.add_argument("--port", type=argument_types.port, metavar="N", help="TCP port (default: web.port, 8470)")
    _add_notify(commands)
    _add_config(commands)
    return parser


class _Version(argparse.Action):
    """Action that prints the version, and looks it up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print the version and exit."""
        print(f"earshot {earshot_version()}")
        parser.exit()


def _common(*, is_nested: bool = False) -> argparse.ArgumentParser:
    """Make the options that all commands have.

    Args:
        is_nested: True for an action such as `clips list`, whose command has read the same options before. An option
            that is absent there must not replace them.
    """
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS if is_nested else None)
    config = common.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="config file (default: the installed one)"
    )
    complete(config, FILES)
    if not is_nested:
        common.set_defaults(log_level=logging.INFO)
    common.add_argument(
        "-q", "--quiet", dest="log_level", action="store_const", const=logging.WARNING, help="log warnings only"
    )
    return common


@cache
def _setting() -> argparse.ArgumentParser:
    setting = argparse.ArgumentParser(add_help=False)
    setting.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a setting, as in mqtt.port=1884"
    )
    return setting


@cache
def _as_json() -> argparse.ArgumentParser:
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print one JSON object per line")
    return as_json


def _add_input(parser: Any) -> None:
    argument = parser.add_argument(
        "--input", default="mic", metavar="mic|FILE|DIR|-", help="source of the sound (default: mic)"
    )
    complete(argument, FILES)


def _add_run(commands: Subcommands) -> None:
    run = commands.add("run", "run the daemon: detect sounds and publish events", _setting())
    _add_input(run)
    run.add_argument(
        "--input-rate",
        type=argument_types.sample_rate,
        metavar="HZ",
        help="sample rate of raw samples on --input -, s16le, mono (default: the bundle's, 16000)",
    )
    run.add_argument(
        "--speed", choices=("realtime", "max"), default="realtime", help="pace of a recording (default: realtime)"
    )
    run.add_argument("--exit-at-end", action="store_true", help="exit when the recording is over")
    run.add_argument("--trace", action="store_true", help="log each label that became no event, with the reason")
    text = "touch FILE while all parts make progress, and end when they hang: a watchdog without systemd"
    complete(run.add_argument("--heartbeat", type=Path, metavar="FILE", help=text), FILES)


def _add_classify(commands: Subcommands) -> None:
    text = "classify sound files: each sound of a file that is longer than 10 s"
    classify = commands.add("classify", text, _setting(), _as_json())
    complete(classify.add_argument("files", nargs="+", type=Path, metavar="FILE"), FILES)
    bundle = classify.add_argument("--bundle", type=Path, metavar="DIR", help="bundle to use (default: the config's)")
    complete(bundle, FOLDERS)
    classify.add_argument("--windows", action="store_true", help="classify each window of 3 s, in place of each sound")


def _add_history(commands: Subcommands) -> None:
    history = commands.add("history", "list past events, or count them by hour or day")
    history.add_argument(
        "--since", type=argument_types.time_of, default="24h", metavar="TIME", help=f"{TIME_FORMS} (default: 24h)"
    )
    history.add_argument(
        "--until", type=argument_types.time_of, metavar="TIME", help="the same forms (default: no end)"
    )
    history.add_argument(
        "--label", action="append", default=[], metavar="LABEL", help="only this label; may be given several times"
    )
    history.add_argument("--by", choices=("hour", "day"), help="count events, by hour or day of the local clock")
    form = history.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object per line")
    form.add_argument("--csv", action="store_true", help="print a table for a spreadsheet")


def _add_level(commands: Subcommands) -> None:
    text = "measure the sound level of the microphone or of a file, or calibrate the microphone"
    level = commands.add("level", text, _setting(), _as_json())
    file = level.add_argument(
        "file", nargs="?", metavar="FILE|calibrate", help="sound file, or the word calibrate (default: the microphone)"
    )
    complete(file, FILES)
    level.add_argument("--spl", type=argument_types.decibels, metavar="DB", help="level of the calibrator, as in 94")
    _add_input(level)


def _add_diary(commands: Subcommands) -> None:
    text = "write a noise diary: what sounded when, how long and how loud, against limits"
    diary = commands.add("diary", text, _setting(), _as_json())
    diary.add_argument(
        "--from",
        dest="since",
        type=argument_types.time_of,
        default="7d",
        metavar="TIME",
        help=f"{TIME_FORMS} (default: 7d)",
    )
    diary.add_argument(
        "--to", dest="until", type=argument_types.time_of, metavar="TIME", help="the same forms (default: now)"
    )
    diary.add_argument(
        "--label", action="append", default=[], metavar="LABEL", help="only events of this label; several are possible"
    )
    output = diary.add_argument(
        "--output", type=Path, default="diary", metavar="DIR", help="folder of the page and the tables (default: diary)"
    )
    complete(output, FOLDERS)


def _add_teach(commands: Subcommands) -> None:
    teach = commands.add("teach", "teach a label from 3 to 20 clips, in seconds", _setting(), _as_json())
    teach.add_argument("label", nargs="?", metavar="LABEL", help="name of the label, as in doorbell")
    files = teach.add_argument("files", nargs="*", metavar="FILE", help="sound files, or event ids of kept clips")
    teach.add_argument("--not", dest="exclude", action="store_true", help="teach what must not become its event")
    export = teach.add_argument("--export", type=Path, metavar="FILE", help="write all that was taught to a file")
    source = teach.add_argument("--import", dest="source", type=Path, metavar="FILE", help="add an export")
    for argument in (files, export, source):
        complete(argument, FILES)
    untaught = commands.add("untaught", "remove a taught label", _setting(), _as_json())
    untaught.add_argument("label", metavar="LABEL", help="taught label, as `earshot labels` lists it")


def _add_clips(commands: Subcommands) -> None:
    clips = commands.add("clips", "list, play, export or purge the clips of events")
    actions = Subcommands(clips, "earshot clips", "action", [_common(is_nested=True)])
    actions.add("list", "print the clips, oldest first", _as_json())
    play = actions.add("play", "play a clip on this machine's loudspeaker")
    play.add_argument("event_id", help="event id, as `list` prints it; its last characters are enough")
    export = actions.add("export", "copy the corrected clips to a folder, for earshot-train")
    complete(export.add_argument("target", type=Path, metavar="DIR"), FOLDERS)
    purge = actions.add("purge", "delete the clips without a correction")
    purge.add_argument("--corrected", action="store_true", help="delete corrected clips as well")


def _add_notify(commands: Subcommands) -> None:
    notify = commands.add("notify", "send notifications of events to phones and other services", _setting(), _as_json())
    mode = notify.add_mutually_exclusive_group()
    mode.add_argument("--test", action="store_true", help="send a test message to each service, and print the result")
    mode.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")


def _add_config(commands: Subcommands) -> None:
    config = commands.add("config", "explain the settings, print their JSON Schema")
    actions = Subcommands(config, "earshot config", "action", [_common(is_nested=True)])
    text = "describe a key: type, range, unit, default, how to override it"
    explain = actions.add("explain", text, _as_json())
    explain.add_argument("key", nargs="?", metavar="KEY", help="key or section, as in mqtt.port (default: all keys)")
    actions.add("schema", "print the JSON Schema of config.yaml, as in docs/schemas")
