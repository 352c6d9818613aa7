"""Tests of the help: every subcommand has a description and examples that are valid."""

import argparse
import logging
import shlex
from pathlib import Path

import pytest

from device.cli.examples import EXAMPLES
from device.cli.parser import make_parser


def subcommands(parser, name):
    """Yield each parser below a parser, itself included, with its name."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from subcommands(inner, f"{name} {word}")


PARSERS = dict(subcommands(make_parser(), "earshot"))


def test_each_subcommand_has_examples():
    """Examples exist for each subcommand, inner ones included, and for no other."""
    assert set(EXAMPLES) == set(PARSERS)


@pytest.mark.parametrize("name", PARSERS)
def test_the_help_ends_with_the_examples(name, monkeypatch):
    """The help has a description, and one line for each example, which is not wrapped."""
    monkeypatch.setenv("COLUMNS", "60")
    text = PARSERS[name].format_help()
    assert PARSERS[name].description.endswith(".")
    _, _, examples = text.partition("\nexamples:\n")
    assert [line.split("  ")[1] for line in examples.splitlines()] == [command for command, _ in EXAMPLES[name]]


@pytest.mark.parametrize("command", [command for lines in EXAMPLES.values() for command, _ in lines])
def test_examples_are_accepted(command):
    """The parser accepts each example; --help of a subcommand ends with 0."""
    words = shlex.split(command.removeprefix("sudo "))
    assert words[0] == "earshot"
    if words[-1] == "--help":
        with pytest.raises(SystemExit, match="0"):
            make_parser().parse_args(words[1:])
    else:
        make_parser().parse_args(words[1:])


def test_each_example_belongs_to_its_subcommand():
    """An example of a subcommand runs that subcommand."""
    for name, lines in EXAMPLES.items():
        assert all(command.removeprefix("sudo ").startswith(name) for command, _ in lines)


_ACTIONS = [name for name in PARSERS if len(name.split()) == 3]


@pytest.mark.parametrize("name", _ACTIONS)
def test_common_options_may_stand_before_and_after_an_action(name):
    """`earshot clips -c FILE list` and `earshot clips list -c FILE` are the same; the last one given holds."""
    _, command, action = name.split()
    rest = ["id"] if name.endswith((" play", " export")) else []
    parse = make_parser().parse_args
    before = parse([command, "-q", "-c", "a.yaml", action, *rest])
    after = parse([command, action, *rest, "--config", "a.yaml", "--quiet"])
    assert before == after
    assert (after.config, after.log_level) == (Path("a.yaml"), logging.WARNING)
    both = parse([command, "-c", "b.yaml", action, *rest, "-c", "a.yaml"])
    neither = parse([command, action, *rest])
    assert (both.config, both.log_level) == (Path("a.yaml"), logging.INFO)
    assert (neither.config, neither.log_level) == (None, logging.INFO)


@pytest.mark.parametrize("name", _ACTIONS)
def test_an_action_accepts_each_option_of_its_command(name):
    """No option of a command has to stand before the action."""
    outer = PARSERS[name.rpartition(" ")[0]]
    options = {option for action in outer._actions for option in action.option_strings}
    assert options <= {option for action in PARSERS[name]._actions for option in action.option_strings}
