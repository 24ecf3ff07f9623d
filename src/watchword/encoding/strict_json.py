"""Read JSON objects from strangers: capped, UTF-8, no duplicate keys, no NaN, bounded depth.

The standard library takes NaN, lets the last duplicate key win, detects UTF-16 and a byte
order mark, and ends deep nesting in RecursionError; each has been an attack on a token parser.
"""

import json
import re
from typing import Any, Final, NoReturn

from watchword.reasons import MalformedError, Reason

MAX_DEPTH = 8
"""Most levels of nesting; the deepest document of the protocol has four."""

MAX_DIGITS = 19
"""Most digits of an integer: 64 bits.  Longer ones make Python's int() quadratic."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def loads(data: bytes, limit: int) -> dict[str, Any]:
    """Return the JSON object in ``data``.

    :param limit: most bytes that are accepted; checked before anything is parsed.
    :raises MalformedError: with ``encoding.json``.
    """
    if len(data) > limit:
        _refuse(f"got {len(data)} bytes, expected at most {limit}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("got bytes that aren't UTF-8")
    if text.startswith("\ufeff"):
        _refuse("got a byte order mark")
    if _is_deep(text):
        _refuse(f"got nesting deeper than {MAX_DEPTH}")
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError):
            _refuse(f"got invalid JSON: {error.msg} at character {error.pos}")
        _refuse("got invalid JSON")
    if "\\u" in text and not _is_encodable(value):
        _refuse("got half of a surrogate pair")
    if not isinstance(value, dict):
        _refuse(f"got {type(value).__name__}, expected an object")
    return value


def dumps(value: Any) -> bytes:
    """Return compact UTF-8 JSON with keys in the order given; NaN is refused."""
    return _ENCODER.encode(value).encode()


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _is_encodable(value: Any) -> bool:
    """Tell whether every string can be written as UTF-8; an escaped lone surrogate can't."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_deep(text: str) -> bool:
    """Tell whether brackets outside of strings nest deeper than allowed, without recursion.

    Each round takes the innermost pairs away, so that as many levels as rounds are gone in the end.
    """
    if "\\" in text:
        text = _STRING.sub("", text)
    # Quotes with no bracket between them change nothing for all others; what is left is few bytes.
    brackets = text.encode().translate(_ONE_KIND, _NO_BRACKETS).replace(b'""', b"")
    if b'"' in brackets:
        brackets = b"".join(brackets.split(b'"')[::2])
    for _ in range(MAX_DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > MAX_DEPTH


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; refuse a key that occurs twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        _refuse("got a duplicate key")
    return value


def _constant(_text: str) -> NoReturn:
    """Refuse NaN and the infinities."""
    _refuse("got NaN or Infinity")


def _integer(text: str) -> int:
    """Refuse integers beyond 64 bits."""
    if len(text.lstrip("-")) > MAX_DIGITS:
        _refuse(f"got an integer of more than {MAX_DIGITS} digits")
    return int(text)


def _float(text: str) -> float:
    """Refuse numbers that overflow to infinity."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        _refuse("got a number out of range")
    return value


def _refuse(detail: str) -> NoReturn:
    raise MalformedError.because(Reason.ENCODING_JSON, detail)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
)
"""Made once: it keeps nothing between documents but the keys of the one it reads."""
