"""Tests of the pages: cited messages, commands, links and pictures exist."""

import ast
import itertools
import re
import shlex
from pathlib import Path

import pytest

import device.cli.parser
import training.cli.main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
DIAGNOSES = (
    "audio/capture_worker.py",
    "audio/source_state.py",
    "audio/microphone_source.py",
    "audio/capture_process.py",
    "audio/captured_source.py",
    "audio/capture_kind.py",
    "audio/stream_faults.py",
    "audio/stream_source.py",
    "audio/encoding_check.py",
    "audio/stdin_source.py",
    "audio/pipe_format.py",
    "cli/check.py",
    "cli/check_source.py",
    "cli/check_broker.py",
    "monitoring/load_shedding.py",
    "mqtt/broker_limits.py",
    "mqtt/connection_errors.py",
    "mqtt/delivery_faults.py",
    "outbox/queue.py",
    "outbox/disk_store.py",
    "history/writer.py",
    "level/calibration.py",
    "level/writer.py",
    "util/database_file.py",
)
PARSERS = {"earshot": device.cli.parser.make_parser, "earshot-train": training.cli.main._parser}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def plain(text):
    """Reduce a text to its words, without line breaks and quotation marks."""
    return re.sub(r"[\s`>]+", " ", text)


def messages(path):
    """Yield the texts of a module, split at their placeholders, in parts of three words or more."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            parts = (part.strip(" ():;,.") for part in re.split(r"%[sd]", plain(node.value)))
            yield from (part for part in parts if part.count(" ") >= 2)


@pytest.mark.parametrize("module", DIAGNOSES)
def test_each_diagnosis_is_on_the_troubleshooting_page(module):
    """Each diagnosis and each cure is in docs/troubleshooting.md word for word."""
    page = plain((ROOT / "docs" / "troubleshooting.md").read_text())
    missing = [part for part in messages(ROOT / "device" / module) if part not in page]
    assert missing == []


def commands(page):
    """Yield the words of each `earshot` and `earshot-train` command in a page's shell blocks."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line.split(" #")[0], posix=True, punctuation_chars="|&")
            lexer.whitespace_split = True
            for is_separator, group in itertools.groupby(lexer, lambda word: set(word) <= set("|&")):
                # `sudo` and variables may precede it.
                words = list(itertools.dropwhile(lambda word: word == "sudo" or "=" in word, group))
                if not is_separator and words and words[0].removeprefix(".venv/bin/") in PARSERS:
                    yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_accepted_by_the_parser(page):
    """Each `earshot` and `earshot-train` in a shell block has existing subcommands and options."""
    for program, *arguments in commands(page):
        PARSERS[program.removeprefix(".venv/bin/")]().parse_args(arguments)


def anchors(page):
    """Yield the fragments of a page's headings, as GitHub makes them, and its named anchors."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        fragment = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
        yield fragment.replace(" ", "-")
    yield from re.findall(r'<a id="([^"]+)"', text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_have_a_target(page):
    """Each relative link has a file or folder of the project as target, and its fragment a heading there."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} has no target"
        assert target.is_relative_to(ROOT), f"the target of {link} is outside the project"
        if fragment:
            assert fragment in anchors(target), f"{link}: {target.name} has no such heading"


def test_every_page_is_in_the_index():
    """docs/README.md has a link to each page of docs/."""
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(LINK.findall(index))


def test_pictures_are_small_described_and_used():
    """Each picture has less than 150 kB, all less than a megabyte; each is on a page, with an alternative text."""
    pictures = list((ROOT / "docs" / "pictures").iterdir())
    assert max(picture.stat().st_size for picture in pictures) < 150_000
    assert sum(picture.stat().st_size for picture in pictures) < 1_000_000
    shown = {}
    for page in PAGES:
        for alternative, link in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text()):
            shown[(page.parent / link).resolve()] = alternative
    assert set(shown) == set(pictures)
    assert all(text.count(" ") >= 3 for text in shown.values())
