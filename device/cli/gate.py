"""`earshot gate`: spans of a sound file in which the gate is open."""

import argparse
import threading

from device.audio.file_source import FileSource
from device.cli.output import print_json
from device.config.loader import load_config
from device.detection.gate import SoundGate
from device.errors import EXIT_DONE
from device.service.runtime import open_bundle


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each span; return the exit code."""
    config = load_config(arguments.config, overrides=arguments.set)
    bundle, _ = open_bundle(config.model.bundle)
    rate = bundle.sample_rate
    gate = SoundGate(config.gate, rate)
    with FileSource([arguments.file], rate, realtime=False, stop=threading.Event()) as source:
        spans = [span for block in source if (span := gate.update(block.samples, block.position)) and not span.is_open]
    if (span := gate.close()) is not None:
        spans.append(span)
    for span in spans:
        start, end = span.start / rate, span.end / rate
        if arguments.json:
            print_json(
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
