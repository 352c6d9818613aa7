"""The `earshot` command: arguments, signals, exit codes."""

import argparse
import faulthandler
import io
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from device.errors import EXIT_DONE, EarshotError
from device.service.systemd import journal_handler

# Each command imports what it needs when it runs: `earshot devices` shall not wait for TFLite, nor
# `earshot classify` for MQTT.


def main(argv: list[str] | None = None) -> int:
    """Run one command; gives the exit code.

    Returns:
        0 done, 2 wrong arguments, 69 something outside is missing, 78 bad config or bundle. A traceback is a bug.
    """
    # numpy's BLAS would start a thread a core, and they spin between products: 80 % of a core for nothing.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what is no text: show it, do not fall over it
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = _parser().parse_args(argv)
    if (journal := journal_handler()) is not None:
        logging.basicConfig(level=arguments.log_level, format="%(message)s", handlers=[journal])
    else:
        logging.basicConfig(level=arguments.log_level, format="%(levelname)s: %(message)s")
    try:
        code: int = arguments.command(arguments)
        sys.stdout.flush()
    except EarshotError as error:
        _say(error)
        return error.exit_code
    except BrokenPipeError:  # `| head` has seen enough; nor shall the interpreter complain when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    return code


def _run(arguments: argparse.Namespace) -> int:
    from device.audio.factory import MICROPHONE, SourceOptions
    from device.config.loader import load_config
    from device.monitoring.health import TRACE
    from device.service import daemon
    from device.service.runtime import Settings, load_settings
    from device.service.supervisor import Supervisor
    from device.service.systemd import systemd_notify, watchdog_seconds

    if arguments.trace:
        TRACE.setLevel(logging.DEBUG)
    faulthandler.enable(2)  # the watchdog ends us with SIGABRT: then the journal tells where each thread hung
    sound = SourceOptions(
        arguments.input,
        arguments.input_rate,
        realtime=arguments.speed == "realtime",
        exit_at_end=arguments.exit_at_end,
    )

    def load() -> Settings:
        return load_settings(load_config(arguments.config, overrides=arguments.set))

    notify = systemd_notify()
    with Supervisor(load, notify, watchdog_seconds()) as service:
        _on_signal(service.stop)
        if notify is not None and sound.name == MICROPHONE:  # others cannot be opened twice
            signal.signal(signal.SIGHUP, lambda *_: service.reload())
        daemon.serve(service, sound)
    return EXIT_DONE


def _classify(arguments: argparse.Namespace) -> int:
    from device.audio.files import read_samples
    from device.config.loader import load_config
    from device.model.scoring import Scorer
    from device.pipeline import classify_clip
    from device.service.runtime import open_bundle

    bundle, classifier = open_bundle(arguments.bundle or load_config(arguments.config).model.bundle)
    scorer = Scorer(bundle.manifest)
    code = EXIT_DONE
    for file in arguments.files:
        try:
            samples = read_samples(file, bundle.features.sample_rate)
        except EarshotError as error:
            _say(error)
            code = error.exit_code
            continue
        probabilities = classify_clip(samples, bundle.features, classifier)
        label = scorer.decide(probabilities)
        scores = {name: round(float(p), 4) for name, p in zip(bundle.labels, probabilities, strict=True)}
        confidence = max(scores.values())
        if arguments.json:
            _print_json({"file": str(file), "label": label, "confidence": confidence, "scores": scores})
        else:
            best = sorted(scores.items(), key=lambda item: -item[1])[:3]
            print(f"{file}: {label} ({', '.join(f'{name} {p:.0%}' for name, p in best)})")
    return code


def _gate(arguments: argparse.Namespace) -> int:
    from device.audio.file_source import FileSource
    from device.config.loader import load_config
    from device.detection.gate import SoundGate
    from device.service.runtime import open_bundle

    config = load_config(arguments.config, overrides=arguments.set)
    bundle, _ = open_bundle(config.model.bundle)
    rate = bundle.features.sample_rate
    gate = SoundGate(config.gate, rate)
    with FileSource([arguments.file], rate, realtime=False, stop=threading.Event()) as source:
        spans = [span for block in source if (span := gate.update(block)) and not span.is_open]
    if (span := gate.close()) is not None:
        spans.append(span)
    for span in spans:
        start, end = span.start / rate, span.end / rate
        if arguments.json:
            _print_json(
                {
                    "file": str(arguments.file),
                    "start_seconds": round(start, 3),
                    "end_seconds": round(end, 3),
                    "reason": span.reason,
                }
            )
        else:
            print(f"{arguments.file}: {start:.2f} s to {end:.2f} s ({span.reason})")
    return EXIT_DONE


def _events(arguments: argparse.Namespace) -> int:
    from device.config.loader import load_config
    from device.config.secrets import read_password
    from device.mqtt.subscriber import Subscriber, describe

    config = load_config(arguments.config, overrides=arguments.set).mqtt
    with Subscriber(config, read_password(config)) as subscriber:
        _on_signal(subscriber.close)
        for message in subscriber:
            if arguments.json:
                _print_json(message)
            else:
                print(describe(message), flush=True)
    return EXIT_DONE


def _devices(arguments: argparse.Namespace) -> int:
    from device.cli import devices

    stop = threading.Event()
    _on_signal(stop.set)
    return devices.run(arguments, stop)


def _check(arguments: argparse.Namespace) -> int:
    from device.cli import check

    stop = threading.Event()
    _on_signal(stop.set)
    return check.run(arguments, stop)


def _listen(arguments: argparse.Namespace) -> int:
    from device.cli import listen

    stop = threading.Event()
    _on_signal(stop.set)
    return listen.run(arguments, stop)


def _clips(arguments: argparse.Namespace) -> int:
    from device.cli import clips

    return clips.run(arguments)


def _config(arguments: argparse.Namespace) -> int:
    from device.cli import config

    return config.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="earshot",
        description="Says what a microphone hears, over MQTT. Audio never leaves this machine.",
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
    as_json.add_argument("--json", action="store_true", help="one JSON object a line")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str, *parents: Any) -> Any:
        added = commands.add_parser(name, help=text, description=text, parents=[common, *parents])
        added.set_defaults(command=command)
        return added

    run = add("run", _run, "listen and publish events", setting)
    run.add_argument("--input", default="mic", metavar="mic|FILE|DIR|-", help="what to listen to (default: mic)")
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
    run.add_argument("--exit-at-end", action="store_true", help="end when the recording is over")
    run.add_argument("--trace", action="store_true", help="say of each thing that becomes no event, why not")
    classify = add("classify", _classify, "name what sound files hold", as_json)
    classify.add_argument("files", nargs="+", type=Path, metavar="FILE")
    classify.add_argument("--bundle", type=Path, metavar="DIR", help="bundle to use (default: the config's)")
    gate = add("gate", _gate, "tell when the gate is open in a sound file", setting, as_json)
    gate.add_argument("file", type=Path, metavar="FILE")
    add("events", _events, "subscribe to the events of all nodes and print them", setting, as_json)
    devices = add("devices", _devices, "list the microphones, and show how loud they are")
    devices.add_argument(
        "--meter",
        type=_meter_seconds,
        nargs="?",
        const=5,
        metavar="SECONDS",
        help="listen to each in turn: how loud it is, and what is wrong with it (default: 5 s each)",
    )
    add("check", _check, "look at all that the daemon needs; each fault with its cure", setting, as_json)
    listen = add("listen", _listen, "show live what is heard: level, gate, spectrogram, top labels", setting)
    listen.add_argument("--input", default="mic", metavar="mic|FILE|DIR|-", help="what to listen to (default: mic)")
    clips = add("clips", _clips, "the kept sound of events: list, play, export, purge")
    actions = clips.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="list the clips, oldest first", parents=[as_json])
    play = actions.add_parser("play", help="play a clip on this machine's loudspeaker")
    play.add_argument("event_id", help="as `list` prints it; its end is enough")
    export = actions.add_parser("export", help="copy the corrected clips to a folder, for earshot-train")
    export.add_argument("target", type=Path, metavar="DIR")
    purge = actions.add_parser("purge", help="delete the clips that were not corrected")
    purge.add_argument("--corrected", action="store_true", help="delete those that were corrected, too")
    config = add("config", _config, "explain the settings, print their JSON Schema")
    actions = config.add_subparsers(dest="action", metavar="ACTION", required=True)
    explain = actions.add_parser("explain", help="describe a key: type, range, unit, default, how to override it")
    explain.add_argument("key", nargs="?", metavar="KEY", help="key or section, as in mqtt.port (default: all keys)")
    actions.add_parser("schema", help="print the JSON Schema of config.yaml, as in docs/schemas")
    return parser


def _rate(text: str) -> int:
    if not text.isdecimal() or not 8000 <= int(text) <= 384000:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be a sample rate in Hz, 8000 to 384000")
    return int(text)


def _meter_seconds(text: str) -> int:
    if not text.isdecimal() or not 5 <= int(text) <= 3600:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be seconds, 5 (a diagnosis takes so long) to 3600")
    return int(text)


def _on_signal(act: Callable[[], None]) -> None:
    """Act on the first Ctrl-C or SIGTERM; the second one kills, should the first not have been enough."""

    def handle(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        act()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, ensure_ascii=False), flush=True)


def _say(error: EarshotError) -> None:
    for line in str(error).splitlines():
        print(f"earshot: {line}", file=sys.stderr)
