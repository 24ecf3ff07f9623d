"""Check the value of a secret before anything else touches it."""

import re
from typing import Final

from watchword.broker.interface import MAX_VALUE_BYTES, SecretValue
from watchword.reasons import MalformedError, Reason

_ONE_LINE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
"""Visible ASCII with blanks inside: what a header field carries unchanged (RFC 9110 section 5.5)."""

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_value(text: str, *, one_line: bool) -> SecretValue:
    """Return a value that can be kept and sent.

    :param one_line: whether it is to stand in a header or a query; otherwise line breaks and tabs are fine (a PEM).
    :raises MalformedError: ``secret.value``; the text never quotes the value.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if not 0 < size <= MAX_VALUE_BYTES:
        _refuse(f"got {size} bytes, expected 1 to {MAX_VALUE_BYTES}")
    if "\x00" in text:
        _refuse("got a NUL, expected text")
    if one_line and ("\n" in text or "\r" in text):
        _refuse("got a line break, expected one line: a key that stands in a header or a query")
    if one_line and not _ONE_LINE.fullmatch(text):
        _refuse("expected visible ASCII, without a blank at either end")
    if _CONTROLS.search(text) or any("\ud800" <= each <= "\udfff" for each in text):
        _refuse("got a control character, expected text")
    return SecretValue(text)


def _refuse(detail: str) -> None:
    raise MalformedError.because(Reason.SECRET_VALUE, detail)
