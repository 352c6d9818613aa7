"""Languages of texts for users: a catalogue for each, from the English text to the translation.

A catalogue is languages/<code>.json. English needs none. A text without a translation stays English.
"""

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final

LANGUAGES: Final = {"en": "English", "de": "Deutsch"}
Translate = Callable[..., str]
"""Function from an English text, and values for its {fields}, to the text in the user's language."""


@cache
def catalogue(language: str) -> dict[str, str]:
    """Return the translations of a language, by the English text."""
    if language == "en":
        return {}
    text = (files("device.util") / "languages" / f"{language}.json").read_text(encoding="utf-8")
    translations: dict[str, str] = json.loads(text)
    return translations


def translator(language: str) -> Translate:
    """Return the function that translates texts into a language."""
    texts = catalogue(language)

    def translate(text: str, **values: Any) -> str:
        translated = texts.get(text, text)
        return translated.format(**values) if values else translated

    return translate


def name_of_label(label: str, translate: Translate) -> str:
    """Return a label in the user's language, without underscores."""
    return translate(label.replace("_", " "))


def format_number(value: float, digits: int, language: str) -> str:
    """Return a number with the decimal sign of the language."""
    text = f"{value:.{digits}f}"
    return text.replace(".", ",") if language == "de" else text
