"""The pages for people: what they cite is what the code says, and what they link to is there."""

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
    "audio/signal_diagnosis.py",
    "audio/microphone_source.py",
    "audio/capture_process.py",
    "audio/stdin_source.py",
    "cli/check.py",
    "monitoring/load_shedding.py",
    "mqtt/delivery.py",
    "mqtt/connection_errors.py",
    "outbox/queue.py",
    "outbox/disk_store.py",
)
PARSERS = {"earshot": device.cli.parser.make_parser, "earshot-train": training.cli.main._parser}
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def plain(text):
    """Words alone: how lines are broken and quoted is the page's business."""
    return re.sub(r"[\s`>]+", " ", text)


def sayings(path):
    """What a module may say, in the parts between what is put in: all its texts of three words or more."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            parts = (part.strip(" ():;,.") for part in re.split(r"%[sd]", plain(node.value)))
            yield from (part for part in parts if part.count(" ") >= 2)


@pytest.mark.parametrize("module", DIAGNOSES)
def test_what_it_says_of_a_fault_can_be_looked_up(module):
    """Each diagnosis and each cure is on the page for troubleshooting, word for word."""
    page = plain((ROOT / "docs" / "troubleshooting.md").read_text())
    missing = [part for part in sayings(ROOT / "device" / module) if part not in page]
    assert missing == []


def commands(page):
    """What the page has people type, of ours: the words of each command."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line.split(" #")[0], posix=True, punctuation_chars="|&")
            lexer.whitespace_split = True
            for is_separator, group in itertools.groupby(lexer, lambda word: set(word) <= set("|&")):
                # `sudo` and variables may stand before it.
                words = list(itertools.dropwhile(lambda word: word == "sudo" or "=" in word, group))
                if not is_separator and words and words[0].removeprefix(".venv/bin/") in PARSERS:
                    yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_what_the_command_line_takes(page):
    """Each `earshot` and `earshot-train` in a block to type has commands and options that there are."""
    for program, *arguments in commands(page):
        PARSERS[program.removeprefix(".venv/bin/")]().parse_args(arguments)


def anchors(page):
    """The fragments that a link into a page may end in, as GitHub makes them from headings."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
        yield kept.replace(" ", "-")
    yield from re.findall(r'<a id="([^"]+)"', text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Each relative link is to a file or folder of the project, and its fragment to a heading there."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        if fragment:
            assert fragment in anchors(target), f"{link}: {target.name} has no such heading"


def test_every_page_is_in_the_index():
    """docs/README.md leads to each page of docs/."""
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(LINK.findall(index))


def test_pictures_are_small_described_and_used():
    """Each is under 150 kB and all under a megabyte; each is shown on a page, with words for who cannot see it."""
    pictures = list((ROOT / "docs" / "pictures").iterdir())
    assert max(picture.stat().st_size for picture in pictures) < 150_000
    assert sum(picture.stat().st_size for picture in pictures) < 1_000_000
    quoted = {}
    for page in PAGES:
        for words, link in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text()):
            quoted[(page.parent / link).resolve()] = words
    assert set(quoted) == set(pictures)
    assert all(words.count(" ") >= 3 for words in quoted.values())
