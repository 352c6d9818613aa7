"""Rendering: templates with the user's language, and addresses that are right behind a path prefix."""

from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from device.config.models import Config
from device.util.catalogue import LANGUAGES, format_number, name_of_label, translator
from device.util.local_time import local_of
from device.util.version import earshot_version
from device.web.languages import choose_language
from device.web.security import Access, root_of

_STATIC: Final = {"app.css": "text/css", "app.js": "text/javascript"}
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ALL_TEXTS: Final = _WEEKDAYS
"""Texts that code translates by a variable."""


class Renderer:
    """Templates of the page. Any thread may use it.

    Args:
        config: name of the node, and the language.
        access: decides whether the user sees forms.
    """

    def __init__(self, config: Config, access: Access) -> None:
        self._config = config
        self._access = access
        self._version = earshot_version()
        self._templates = Environment(
            loader=PackageLoader("device.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    def language(self, request: Request) -> str:
        """Return the code of the user's language."""
        return choose_language(request, self._config.web.language)

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """Render a template as the response to a request.

        Args:
            request: the request.
            template: name of the file.
            status: status of the response.
            values: variables of the template.
        """
        language = self.language(request)
        translate = translator(language)
        context = {
            "_": translate,
            "language": language,
            "languages": LANGUAGES,
            "root": root_of(request.url.path),
            "node": self._config.node,
            "version": self._version,
            "may_write": self._access.may_write(request),
            "has_token": self._access.has_token,
            "name_of": lambda label: name_of_label(label, translate),
            "number": lambda value, digits=0: format_number(value, digits, language),
            "weekday": lambda day: translate(_WEEKDAYS[day.weekday()]),
            "clock": lambda rfc3339: f"{local_of(rfc3339):%H:%M:%S}",
            "moment": lambda rfc3339: f"{local_of(rfc3339):%Y-%m-%d %H:%M:%S}",
            "query": lambda **parts: urlencode({key: value for key, value in parts.items() if value}),
            **values,
        }
        return HTMLResponse(self._templates.get_template(template).render(context), status)

    @staticmethod
    def static_file(name: str) -> Response | None:
        """Return one of the two files that pages load; None for any other name."""
        if name not in _STATIC:
            return None
        content = (files("device.web") / "static" / name).read_bytes()
        return Response(content, media_type=_STATIC[name], headers={"Cache-Control": "max-age=3600"})
