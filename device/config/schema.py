"""JSON Schema of config.yaml, and the description of each of its keys, from the models and their docstrings."""

import ast
import functools
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from device.config.keys import listed_section, variable
from device.config.models import Config
from device.config.yaml_reader import Key
from device.errors import InputError
from device.util.text import did_you_mean, one_line

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_UNIT = re.compile(
    r"\bin (seconds|minutes|days|Hz|dB/s|dB|°C|MB|mean deviations)\b"
    r"|\bnumber of (?:\w+ )*?(blocks of 30 ms|CPU threads|windows|messages|clips)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Setting:
    """Key of config.yaml.

    Attributes:
        key: names of the sections around the key, and its own name.
        description: the docstring, on one line.
        schema: the key's JSON Schema; of a section, without its keys.
        is_section: True for a section.
    """

    key: Key
    description: str
    schema: dict[str, Any]
    is_section: bool

    @property
    def name(self) -> str:
        """Dotted name, as `--set` takes it."""
        return ".".join(self.key)

    @property
    def variable(self) -> str:
        """Environment variable that overrides the key."""
        return variable(self.key)

    @property
    def default(self) -> str:
        """Default value, as JSON, which is YAML too."""
        return json.dumps(self.schema.get("default"), ensure_ascii=False)


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of config.yaml, with a description for each key and a unit for numbers."""
    schema = _section_schema(Config)
    return {"$schema": _DIALECT, "title": "Earshot's config.yaml", **schema}


@functools.cache
def settings() -> tuple[Setting, ...]:
    """Return every section and key, in the order of config.yaml."""
    return tuple(_settings(config_schema(), ()))


def find_setting(name: str) -> Setting:
    """Return the section or key with a dotted name; of `events.thresholds.siren`, the key `events.thresholds`.

    Of `notify.rules.labels`, it is the key `notify.rules`, whose schema contains it.

    Raises:
        InputError: no such key, with the key that was probably meant.
    """
    known = {setting.name: setting for setting in settings()}
    if name in known:
        return known[name]
    parent = known.get(name.rpartition(".")[0])
    if parent is not None and isinstance(parent.schema.get("additionalProperties"), dict):
        return parent
    if parent is not None and name.rpartition(".")[2] in parent.schema.get("items", {}).get("properties", ()):
        return parent
    raise InputError(f"{one_line(name)}: no such key. {did_you_mean(name, known)}")


def _settings(schema: dict[str, Any], section: Key) -> Iterator[Setting]:
    for name, content in schema["properties"].items():
        key, is_section = (*section, name), "properties" in content
        own = {keyword: value for keyword, value in content.items() if keyword != "properties"}
        yield Setting(key, content["description"], own, is_section)
        if is_section:
            yield from _settings(content, key)


class _Untitled(GenerateJsonSchema):
    """Schema without a title for each key, which would repeat its name."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        """Return False for every key."""
        return False


def _section_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of one section, with its sections written out in place of references."""
    schema: dict[str, Any] = model.model_json_schema(schema_generator=_Untitled)
    schema.pop("$defs", None)
    schema.pop("title", None)
    descriptions = _key_docstrings(model)
    properties = schema.pop("properties")
    schema["description"] = _one_line(model.__doc__ or "")
    schema["properties"] = {
        name: _section_schema(field.annotation)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        else _key_schema(_with_items(properties[name], field.annotation), descriptions[name])
        for name, field in model.model_fields.items()
    }
    return schema


def _with_items(schema: dict[str, Any], annotation: Any) -> dict[str, Any]:
    """Return the schema of a key; in a list of sections, with the section written out in place of a reference."""
    section = listed_section(annotation)
    return schema if section is None else schema | {"items": _section_schema(section)}


def _key_schema(schema: dict[str, Any], description: str) -> dict[str, Any]:
    described = {"description": description, **schema}
    if _is_number(schema):
        unit = _UNIT.search(description)
        described["unit"] = next(filter(None, unit.groups())) if unit else "none"
    return described


def _is_number(schema: dict[str, Any]) -> bool:
    """Return True for a number, a number or null, or a dictionary of numbers."""
    inner = [schema, *schema.get("anyOf", ()), schema.get("additionalProperties")]
    return any(isinstance(part, dict) and part.get("type") in {"integer", "number"} for part in inner)


def _key_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each key of a model, on one line.

    pydantic can do this itself (`use_attribute_docstrings`). It would do so whenever the models are imported, which
    takes half as long again as the import; the daemon does not need it.
    """
    (definition,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    docstrings = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docstrings[name] = _one_line(text)
            case _:
                pass
    return docstrings


def _one_line(text: str) -> str:
    return " ".join(text.split())
