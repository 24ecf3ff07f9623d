"""Read single values of a gate bundle strictly; each raises ValueError with a text that quotes no secret."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from watchword.encoding import base64url

_MAX_NUMBER: Final = 2**53


def an_object(value: Any, names: set[str], what: str) -> Mapping[str, Any]:
    """Return an object with exactly these members."""
    if not isinstance(value, dict) or value.keys() != names:
        refuse(f"expected {what} with exactly {', '.join(sorted(names))}")
    return value


def a_list(value: Any, what: str) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        refuse(f"expected {what} as a list")
    return value


def a_text(value: Any, what: str) -> str:
    """Return text that isn't empty."""
    if not isinstance(value, str) or not value:
        refuse(f"expected {what} as text")
    return value


def a_number(value: Any, what: str, least: int) -> int:
    """Return a whole number that is at least so much."""
    if type(value) is not int or not least <= value < _MAX_NUMBER:
        refuse(f"expected {what} as a whole number from {least} on")
    return value


def an_instant(value: Any) -> float | None:
    """Return seconds since 1970, or None."""
    if value is None:
        return None
    if type(value) not in {int, float}:
        refuse("expected verify_until as a number or null")
    return float(value)


def some_bytes(value: Any, count: int, what: str) -> bytes:
    """Return so many bytes out of base64url."""
    data = base64url.decode(a_text(value, what))
    if len(data) != count:
        refuse(f"got {what} of {len(data)} bytes, expected {count}")
    return data


def refuse(detail: str) -> NoReturn:
    """Raise ValueError; the text quotes no secret."""
    raise ValueError(detail)
