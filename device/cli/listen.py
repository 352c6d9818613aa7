"""`earshot listen`: live view of level, gate, spectrogram and labels in a terminal.

Nothing is published and nothing is stored.
"""

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
from device.cli.terminal import uses_color
from device.config.loader import load_config
from device.config.paths import readable_state
from device.errors import EXIT_DONE, InputError
from device.model.scoring import Scorer
from device.pipeline import Pipeline
from device.service.runtime import check_labels, load_taught, open_bundle
from device.types import Blocks, SourceLost
from device.util.samples import level_dbfs

_REFRESH_SECONDS = 0.1
"""Shortest time between two updates of the screen."""

_ENTER = "\033[?1049h\033[?25l\033[?7l"
"""Control sequence: alternate screen, no cursor, no wrapping of long lines."""
_LEAVE = "\033[?7h\033[?25h\033[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\033[H", "\033[K", "\033[J"


class Screen:
    """Terminal in full-screen mode; a context manager, which restores the terminal at its end.

    Raises:
        InputError: the output is not a terminal.
    """

    def __init__(self) -> None:
        if not sys.stdout.isatty():
            raise InputError(
                "earshot listen: the output is not a terminal. Run it in one, or use `earshot run --trace`"
            )

    def __enter__(self) -> Self:
        self._write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        self._write(_LEAVE)

    @property
    def size(self) -> os.terminal_size:
        """Current columns and rows."""
        return os.get_terminal_size(sys.stdout.fileno())

    def draw(self, lines: list[str]) -> None:
        """Replace the screen by these lines."""
        self._write(_HOME + f"{_CLEAR_LINE}\r\n".join(lines) + _CLEAR_LINE + _CLEAR_BELOW)

    def _write(self, text: str) -> None:
        # A question mark replaces a character that the terminal's encoding does not have.
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding, errors="replace"))
        sys.stdout.buffer.flush()


def run(arguments: argparse.Namespace, stop: threading.Event) -> int:
    """Show the live view until `stop` is set or the recording ends; return the exit code."""
    screen = Screen()
    config = load_config(arguments.config, overrides=arguments.set)
    bundle, ensemble = open_bundle(config.model.bundle, config.model.threads)
    taught = load_taught(readable_state(), bundle, ensemble)
    check_labels(config, bundle, taught)
    scorer = Scorer(bundle.manifest)
    view = ListenView(arguments.input, bundle.labels, lambda scores: scorer.live_scores(scores[np.newaxis]))
    view.classes, view.color, view.taught = bundle.audioset_classes, uses_color(), taught
    classify, classify_look = ensemble.classify_live, ensemble.classify_look
    pipeline = Pipeline(config, bundle, classify, view, classify_look=classify_look, taught=taught)
    view.thresholds = {slug: each.threshold for slug, each in pipeline.tracker.settings.by_slug().items()}
    source = make_source(SourceOptions(arguments.input), config.audio, bundle.sample_rate, stop, view.on_source_state)
    logging.disable()  # a log line would damage the screen, and the view has the same information
    with source, screen:
        for _ in pipeline.run(_refresh_while_reading(source, view, screen)):
            pass  # the view is the pipeline's observer
    return EXIT_DONE


def _refresh_while_reading(
    source: Iterable[Blocks | SourceLost], view: ListenView, screen: Screen
) -> Iterator[Blocks | SourceLost]:
    """Yield the source's items, and update the screen ten times a second."""
    drawn_at = 0.0
    for item in source:
        if isinstance(item, Blocks):
            view.record_level(level_dbfs(item.samples))
        yield item
        if time.monotonic() - drawn_at >= _REFRESH_SECONDS:
            drawn_at = time.monotonic()
            screen.draw(view.render(*screen.size))
