"""Language of the page: of a cookie, of the config, or of the browser."""

from typing import Final

from starlette.requests import Request

from device.util.catalogue import LANGUAGES

COOKIE: Final = "earshot_language"


def choose_language(request: Request, configured: str) -> str:
    """Return the language of a request: of its cookie, else as configured, else the browser's first known one.

    Args:
        request: the request.
        configured: `web.language`.
    """
    chosen = request.cookies.get(COOKIE, configured)
    if chosen in LANGUAGES:
        return chosen
    for part in request.headers.get("accept-language", "").split(","):
        code = part.partition(";")[0].strip().lower().partition("-")[0]
        if code in LANGUAGES:
            return code
    return "en"
