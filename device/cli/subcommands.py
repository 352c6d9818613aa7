"""Subcommands of the `earshot` command, and the completion of their arguments in a shell."""

import argparse
from typing import Any

from device.cli.examples import examples

FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "fish": "(__fish_complete_path (commandline -ct))"}
"""Completion of file names, in the form of shtab (deploy/make_completion.py)."""
FOLDERS = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "fish": "(__fish_complete_directories)"}


class Subcommands:
    """Subcommands of a parser.

    Args:
        parser: the parser to which they belong.
        name: the words of the command so far, as in "earshot clips".
        dest: attribute of the arguments that contains the name of the subcommand.
        parents: parsers whose options every subcommand has.
    """

    def __init__(self, parser: Any, name: str, dest: str, parents: list[Any]) -> None:
        self._parsers = parser.add_subparsers(dest=dest, metavar=dest.upper(), required=True)
        self._name = name
        self._parents = parents

    def add(self, name: str, text: str, *parents: Any) -> Any:
        """Add a subcommand, with its examples, and return its parser.

        Args:
            name: its name.
            text: what it does, as an imperative without a full stop.
            parents: parsers with further options.
        """
        return self._parsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=examples(f"{self._name} {name}"),
            parents=[*self._parents, *parents],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )


def complete(argument: argparse.Action, completion: dict[str, str]) -> None:
    """Set the completion of an argument's values in a shell."""
    argument.complete = completion  # type: ignore[attr-defined]  # shtab reads it
