"""Jinja templates of this package, rendered with the values of an evaluation."""

from pathlib import Path
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """Render a template of this package; only HTML is escaped.

    Args:
        template: file name.
        values: variables of the template; one that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment.get_template(template).render(values)


def percent(share: float | None) -> str:
    """Return a share, 0 to 1, as a percentage with one decimal; None as a dash."""
    return "-" if share is None else f"{100 * share:.1f} %"
