"""Forms, as a browser sends them."""

from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

_MOST_FIELDS = 50


async def read_form(request: Request) -> dict[str, list[str]]:
    """Return the values of each field of a form.

    Raises:
        HTTPException: it has too many fields, or is not UTF-8.
    """
    try:
        return parse_qs((await request.body()).decode("utf-8"), max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise HTTPException(400, "the form cannot be read. Send it as application/x-www-form-urlencoded") from error


def last(form: dict[str, list[str]], field: str) -> str:
    """Return the last value of a field; empty without one."""
    return form.get(field, [""])[-1]
