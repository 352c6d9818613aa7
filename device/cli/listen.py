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

from device.audio.factory import SourceOptions, make_source
from device.cli.listen_view import ListenView
from device.config.loader import load_config
from device.errors import EXIT_DONE, InputError
from device.model.scoring import Scorer
from device.pipeline import Pipeline
from device.service.runtime import check_labels, open_bundle
from device.types import Block, SourceLost, level_dbfs

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
    scorer = Scorer(bundle.manifest)
    view = ListenView(arguments.input, bundle.labels, lambda scores: scorer.live_scores(scores[np.newaxis]))
    pipeline = Pipeline(config, bundle, classifier, view)
    view.thresholds = pipeline.thresholds
    source = make_source(
        SourceOptions(arguments.input), config.audio, bundle.features.sample_rate, stop, view.on_source_state
    )
    logging.disable()  # a line of the log would tear the picture; what matters is in it
    with source, screen:
        for _ in pipeline.run(_draw_while_read(source, view, screen)):
            pass  # the view is the pipeline's observer
    return EXIT_DONE


def _draw_while_read(
    source: Iterable[Block | SourceLost], view: ListenView, screen: Screen
) -> Iterator[Block | SourceLost]:
    """Yield the source's items, and draw the screen ten times a second."""
    drawn = 0.0
    for item in source:
        if isinstance(item, Block):
            view.add_level(level_dbfs(item.samples))
        yield item
        if time.monotonic() - drawn >= _FRAME_SECONDS:
            drawn = time.monotonic()
            screen.draw(view.lines(*screen.size))
