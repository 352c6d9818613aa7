"""`earshot listen`: what the daemon would hear, live in a terminal. It tells no broker and keeps nothing."""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np

from device.audio.factory import Input, make_source
from device.cli.listen_view import View
from device.config.loader import load_config
from device.errors import EXIT_DONE, InputError
from device.model.features import level_dbfs
from device.pipeline import Pipeline
from device.service.runtime import check_labels, open_bundle
from device.types import Block, SourceLost

_FRAME_SECONDS = 0.1

_ENTER = "\033[?1049h\033[?25l\033[?7l"
"""Another screen, no cursor, no wrapping of long lines."""
_LEAVE = "\033[?7h\033[?25h\033[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\033[H", "\033[K", "\033[J"


class Screen:
    """The terminal, which is as it was once this is left; a context manager.

    Raises:
        InputError: the output is no terminal.
    """

    def __init__(self) -> None:
        if not sys.stdout.isatty():
            raise InputError("earshot listen: the output is no terminal. Run it in one, or use `earshot run --trace`")

    def __enter__(self) -> Self:
        self._write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        self._write(_LEAVE)

    @property
    def size(self) -> os.terminal_size:
        """Columns and rows as they are now."""
        return os.get_terminal_size(sys.stdout.fileno())

    def draw(self, lines: list[str]) -> None:
        """Show these lines, over what was there."""
        self._write(_HOME + f"{_CLEAR_LINE}\r\n".join(lines) + _CLEAR_LINE + _CLEAR_BELOW)

    def _write(self, text: str) -> None:
        # Not every terminal knows every character: a question mark is better than an error.
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding, errors="replace"))
        sys.stdout.buffer.flush()


def run(arguments: argparse.Namespace, stop: threading.Event) -> int:
    """Show what is heard until `stop` is set or the recording ends; gives the exit code."""
    screen = Screen()
    config = load_config(arguments.config, overrides=arguments.set)
    bundle, classifier = open_bundle(config.model.bundle, config.model.threads)
    check_labels(config, bundle)
    view = View(arguments.input, bundle.labels, lambda scores: bundle.live(scores[np.newaxis]))
    pipeline = Pipeline(config, bundle, classifier, view)
    view.thresholds = pipeline.thresholds
    source = make_source(Input(arguments.input), config.audio, bundle.features.sample_rate, stop, view.diagnosed)
    logging.disable()  # a line of the log would tear the picture; what matters is in it
    with source, screen:
        for event in pipeline.run(_shown(source, view, screen)):
            view.heard(event)
    return EXIT_DONE


def _shown(source: Iterable[Block | SourceLost], view: View, screen: Screen) -> Iterator[Block | SourceLost]:
    """Pass on what the source yields, and draw ten times a second."""
    drawn = 0.0
    for item in source:
        if isinstance(item, Block):
            view.sounded(level_dbfs(item.samples))
        yield item
        if time.monotonic() - drawn >= _FRAME_SECONDS:
            drawn = time.monotonic()
            screen.draw(view.lines(*screen.size))
