"""YAML reader with line numbers: values, the line of each key, and faults with their lines."""

from dataclasses import dataclass
from typing import Any

import yaml

Key = tuple[str, ...]
"""Names of the sections around a key, and its own name."""


class NotYamlError(Exception):
    """Text that is not YAML, or that uses a feature of YAML which settings do not need.

    Attributes:
        line: line number, from 1; None if unknown.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True)
class Document:
    """Content of a YAML text.

    Attributes:
        values: dictionaries, lists and scalars; None for an empty text.
        lines: line number of each key, from 1.
        repeated: keys that occur twice in one section, with the line of the later one. YAML would accept them silently.
    """

    values: Any
    lines: dict[Key, int]
    repeated: list[tuple[Key, int]]


def parse_yaml(text: str) -> Document:
    """Parse a text of one YAML document.

    Raises:
        NotYamlError: the text cannot be parsed.
    """
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        values = None if tree is None else loader.construct_document(tree)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise NotYamlError(problem, mark.line + 1 if mark else None) from error
    except ValueError as error:  # raised for a %YAML line
        raise NotYamlError("an invalid number") from error
    except RecursionError as error:
        raise NotYamlError("too many nested sections") from error
    document = Document(values, {}, [])
    _note_lines(tree, (), document)
    return document


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases, because they can contain themselves, or expand a few lines to gigabytes."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs lack its result
            raise yaml.composer.ComposerError(None, None, f"*{event.anchor} is an alias", event.start_mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Add the line to the error for an invalid value, such as the date 2024-13-45."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            problem = f"an invalid {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def _note_lines(node: yaml.Node | None, section: Key, document: Document) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key, line = (*section, str(key_node.value)), key_node.start_mark.line + 1
            if key in document.lines:
                document.repeated.append((key, line))
            document.lines[key] = line
            _note_lines(value_node, key, document)
