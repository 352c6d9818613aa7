"""`earshot config`: explanation of settings, and their JSON Schema for editors."""

import argparse
import json
import shlex
from collections.abc import Iterator
from typing import Any

from device.cli.output import print_json
from device.config.schema import Setting, config_schema, find_setting, settings
from device.errors import EXIT_DONE

_TYPES = {"boolean": "true or false", "string": "text", "null": "null"}


def run(arguments: argparse.Namespace) -> int:
    """Run `earshot config explain` or `earshot config schema`, and return the exit code.

    Raises:
        InputError: no such key.
    """
    if arguments.action == "schema":
        print(schema_text(), end="")
    elif arguments.json:
        for setting in _selected(arguments.key):
            print_json(_content(setting))
    elif arguments.key is None:
        print("\n".join(map(_summary, _selected(None))))
    else:
        print("\n".join(explain(arguments.key)))
    return EXIT_DONE


def schema_text() -> str:
    """Return the content of docs/schemas/config.schema.json."""
    return json.dumps(config_schema(), ensure_ascii=False, indent=2) + "\n"


def explain(name: str) -> Iterator[str]:
    """Yield the lines that explain a key, or a section and its keys.

    Args:
        name: dotted name, as in `mqtt.port`.

    Raises:
        InputError: no such key.
    """
    setting = find_setting(name)
    yield setting.name
    yield f"  {setting.description}"
    if setting.is_section:
        yield from (f"  {_summary(inner)}" for inner in _selected(name))
        return
    yield f"  allowed:      {allowed(setting.schema)}"
    for key, schema in setting.schema.get("items", {}).get("properties", {}).items():
        yield f"    {key} ({json.dumps(schema['default'])}; {allowed(schema)}): {schema['description']}"
    if unit := setting.schema.get("unit"):
        yield f"  unit:         {unit}"
    yield f"  default:      {setting.default}"
    yield f"  environment:  {setting.variable}={shlex.quote(_typed(setting))}"
    yield f"  command line: --set {shlex.quote(f'{setting.name}={_typed(setting)}')}"


def _selected(name: str | None) -> list[Setting]:
    """Return the key of a name, the keys of a section, or without a name all keys.

    Raises:
        InputError: no such key.
    """
    selected = find_setting(name) if name is not None else None
    if selected is not None and not selected.is_section:
        return [selected]
    section = selected.key if selected is not None else ()
    return [setting for setting in settings() if not setting.is_section and setting.key[: len(section)] == section]


def _content(setting: Setting) -> dict[str, Any]:
    """Return a key as JSON, with the facts that `explain` prints."""
    return {
        "key": setting.name,
        "description": setting.description,
        "allowed": allowed(setting.schema),
        "unit": setting.schema.get("unit"),
        "default": setting.schema.get("default"),
        "environment": setting.variable,
    }


def allowed(schema: dict[str, Any]) -> str:
    """Return type and range of a value in words, as in `integer, 0 to 3, or null`."""
    if "anyOf" in schema:
        return ", or ".join(allowed(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    kind: str = schema["type"]
    if kind == "array":
        return f"list of {allowed(schema['items'])}"
    if "properties" in schema:
        return "sections of `key: value` lines"
    if kind == "object":
        return f"mapping of names to {allowed(schema['additionalProperties'])}"
    if schema.get("format") == "path":
        kind = "path"
    return "".join([_TYPES.get(kind, kind), *_range(schema)])


def _range(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the limits of a number, or of the length of a text."""
    if "minimum" in schema:
        yield f", {schema['minimum']} to {schema['maximum']}"
    elif "exclusiveMinimum" in schema:
        yield f", above {schema['exclusiveMinimum']} and up to {schema['maximum']}"
    if "maxLength" in schema:
        yield f", {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    elif "minLength" in schema:
        yield f", at least {schema['minLength']} character"
    if "pattern" in schema:
        yield f", matching {schema['pattern']}"


def _summary(setting: Setting) -> str:
    """Return a key, its default with its unit, and the first sentence of its description, on one line."""
    unit = setting.schema.get("unit", "none")
    default = setting.default if unit == "none" or setting.default == "null" else f"{setting.default} {unit}"
    return f"{setting.name} ({default}): {setting.description.split('. ')[0].rstrip('.')}"


def _typed(setting: Setting) -> str:
    """Return the default as a user would type it: text without quotation marks."""
    default = setting.schema["default"]
    return default if isinstance(default, str) else setting.default
