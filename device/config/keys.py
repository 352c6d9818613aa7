"""Keys of the settings: the type that the models ask for, and the environment variable that overrides a key."""

from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from device.config.models import Config
from device.config.yaml_reader import Key

ENVIRONMENT_PREFIX = "EARSHOT_"


def key_type(key: Key) -> Any:
    """Return the annotation of a key, as in `int | None`; None for an unknown key."""
    annotation: Any = Config
    for name in key:
        if _is_section(annotation):
            field = annotation.model_fields.get(name)
            annotation = field.annotation if field else None
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        elif section := listed_section(annotation):
            annotation = section
        else:
            return None
    return annotation


def listed_section(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a list consists of, as of `notify.rules`; None for any other annotation."""
    item = get_args(annotation)[0] if get_origin(annotation) is tuple else None
    return item if _is_section(item) else None


def takes_one_value(key: Key) -> bool:
    """Return True for a key of a text, number, path or word; False for a section, list, dictionary or unknown key."""
    annotation = key_type(key)
    return annotation is not None and not _is_section(annotation) and get_origin(annotation) not in (dict, list, tuple)


def takes_null(key: Key) -> bool:
    """Return True for a key that null turns off, or leaves to a default."""
    return NoneType in get_args(key_type(key))


def known_names(section: Key) -> list[str]:
    """Return the names of the keys in a section."""
    return list(key_type(section).model_fields)


def variable(key: Key) -> str:
    """Return the environment variable that overrides a key."""
    return ENVIRONMENT_PREFIX + "__".join(key).upper()


def all_keys(section: Key = ()) -> Iterator[Key]:
    """Yield every key, without the sections."""
    for name in known_names(section):
        key = (*section, name)
        if _is_section(key_type(key)):
            yield from all_keys(key)
        else:
            yield key


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
