"""YAML as a person writes it: its values, the line of each key, and what is wrong with it, at its line."""

from dataclasses import dataclass
from typing import Any

import yaml

Key = tuple[str, ...]
"""Names of the sections around a key, and its own."""


class NotYamlError(Exception):
    """The text is no YAML, or holds more of YAML than a file of settings needs.

    Attributes:
        line: where, from 1; None where it is not known.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True)
class Document:
    """What a text holds.

    Attributes:
        values: dictionaries, lists and scalars; None where there is nothing.
        lines: the line of each key, from 1.
        repeated: keys that stand twice in one section, with the line of the later one: YAML would take that silently.
    """

    values: Any
    lines: dict[Key, int]
    repeated: list[tuple[Key, int]]


def parse_yaml(text: str) -> Document:
    """Read a text of one document.

    Raises:
        NotYamlError: it cannot be read.
    """
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        values = None if tree is None else loader.construct_document(tree)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise NotYamlError(problem, mark.line + 1 if mark else None) from error
    except ValueError as error:  # of a %YAML line
        raise NotYamlError("a number that is none") from error
    except RecursionError as error:
        raise NotYamlError("sections within sections without end") from error
    document = Document(values, {}, [])
    _note_lines(tree, (), document)
    return document


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases: they can hold themselves, or a few lines grow to gigabytes."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs lack its result
            raise yaml.composer.ComposerError(None, None, f"*{event.anchor} is an alias", event.start_mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Tell the line, too, of a value that is not what it looks like, as is the date 2024-13-45."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            problem = f"a value that looks like {node.tag.rpartition(':')[2]} and is none"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def _note_lines(node: yaml.Node | None, section: Key, document: Document) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key, line = (*section, str(key_node.value)), key_node.start_mark.line + 1
            if key in document.lines:
                document.repeated.append((key, line))
            document.lines[key] = line
            _note_lines(value_node, key, document)
