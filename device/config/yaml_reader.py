"""YAML reader of settings: scalars as the text that was typed, the line of each key, and faults with their lines.

YAML 1.1 gives plain scalars a type by their look: `off` is a boolean, 0123 is 83, 12:30 is 750, 2024-01-01 is a date.
A user name may look like any of them. So this reader keeps the text, and the models convert it to the type of the key.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.composer import Composer

from device.util.text import one_line

Key = tuple[str, ...]
"""Names of the sections around a key, and its own name."""

NULLS = ("", "~", "null", "Null", "NULL")
"""Plain scalars that are no text but the absence of a value."""
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")


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
        values: dictionaries, lists, texts and None; None for an empty text.
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
    document = Document(None, {}, [])
    try:
        tree = _compose(text)
        values = None if tree is None else _value(tree, (), document)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise NotYamlError(problem, mark.line + 1 if mark else None) from error
    except ValueError as error:  # raised for a %YAML line
        raise NotYamlError("an invalid number") from error
    except RecursionError as error:
        raise NotYamlError("too many nested sections") from error
    return Document(values, document.lines, document.repeated)


def _compose(text: str) -> yaml.Node | None:
    """Return the tree of a text; None if it is empty.

    libyaml, which PyYAML's wheels contain, parses ten times as fast. A text that it refuses is parsed in Python again,
    whose messages are clearer.

    Raises:
        YAMLError, ValueError, RecursionError: the text cannot be parsed.
    """
    if yaml.__with_libyaml__:
        with contextlib.suppress(yaml.YAMLError, ValueError):
            return _FastLoader(text).get_single_node()
    return _Loader(text).get_single_node()


class _RestrictedComposer(Composer):
    """Composer of a document's nodes from the events of either parser."""

    def compose_node(self: Any, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases and tags.

        Aliases can contain themselves, or expand a few lines to gigabytes. A tag would set the type of a value, which
        the models do.
        """
        event = self.peek_event()
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, f"*{event.anchor} is an alias", event.start_mark)
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _TEXT_TAGS:
            name = one_line(tag.replace("tag:yaml.org,2002:", "!!"))
            raise yaml.composer.ComposerError(None, None, f"{name} is a tag", event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        if tag and isinstance(node, yaml.ScalarNode):
            node.style = "'"  # `!!str ~` is a text, as '~' is
        return node


class _Loader(_RestrictedComposer, yaml.BaseLoader):
    """Parser in Python."""


if yaml.__with_libyaml__:

    class _FastLoader(_RestrictedComposer, yaml.CBaseLoader):
        """Parser of libyaml. The nodes are composed in Python, because libyaml's composer cannot refuse aliases."""

        def __init__(self, text: str) -> None:
            yaml.CBaseLoader.__init__(self, text)
            Composer.__init__(self)


def _value(node: yaml.Node, section: Key, document: Document) -> Any:
    """Return the value of a node, and note the lines of the keys in it."""
    if isinstance(node, yaml.ScalarNode):
        return None if not node.style and node.value in NULLS else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*section, str(index)), document) for index, item in enumerate(node.value)]
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key_node.start_mark)
        key, line = (*section, key_node.value), key_node.start_mark.line + 1
        if key in document.lines:
            document.repeated.append((key, line))
        document.lines[key] = line
        values[key_node.value] = _value(value_node, key, document)
    return values
