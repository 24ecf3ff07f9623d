"""Take what a question needs out of an answer; whatever isn't there is no answer of OpenBao's."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from watchword.reasons import MalformedError, Reason

_MAX_VERSION: Final = 2**53


def members(answer: Any, *path: str) -> Mapping[str, Any]:
    """Return the object at a path.

    :raises MalformedError: ``encoding.json`` when there is none.
    """
    found = answer
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        _refuse(f"expected an object at {'.'.join(path)}")
    return found


def text(answer: Any, *path: str) -> str:
    """Return the string at a path.

    :raises MalformedError: ``encoding.json`` when there is none.
    """
    found = members(answer, *path[:-1]).get(path[-1])
    if not isinstance(found, str):
        _refuse(f"expected a string at {'.'.join(path)}")
    return found


def version(answer: Any, *path: str) -> int:
    """Return the number at a path, from 1.

    :raises MalformedError: ``encoding.json`` when there is none.
    """
    found = members(answer, *path[:-1]).get(path[-1])
    if type(found) is not int or not 0 < found < _MAX_VERSION:
        _refuse(f"expected a number at {'.'.join(path)}")
    return found


def names(answer: Any, *path: str) -> list[str]:
    """Return the list of strings at a path.

    :raises MalformedError: ``encoding.json`` when there is none.
    """
    found = members(answer, *path[:-1]).get(path[-1])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        _refuse(f"expected a list of strings at {'.'.join(path)}")
    return found


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.ENCODING_JSON, detail)
