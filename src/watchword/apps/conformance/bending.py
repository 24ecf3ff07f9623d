"""Bend texts of base64 in the ways in which lenient decoders were fooled."""

import base64

from watchword.apps.conformance.corpus import Bend

_URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def encode(data: bytes, *, url_safe: bool, bend: Bend | None = None) -> str:
    """Return base64, url-safe without padding or standard with it, bent in one way.

    :raises ValueError: where the bend would change nothing, so that no case tests nothing.
    """
    if bend == "cut":
        data = data[:-1]
    elif bend == "flip":
        data = data[:-1] + bytes([data[-1] ^ 1])
    elif bend == "empty":
        return ""
    text = base64.urlsafe_b64encode(data).decode() if url_safe else base64.b64encode(data).decode()
    if url_safe:
        text = text.rstrip("=")
    bent = _respell(text, bend, url_safe=url_safe)
    if bend is not None and bend not in {"cut", "flip"} and bent == text:
        raise ValueError(f"{bend} changes nothing of {len(data)} bytes")
    return bent


def _respell(text: str, bend: Bend | None, *, url_safe: bool) -> str:
    """Return another text for the same bytes."""
    if bend == "pad":
        return text + "=" * (-len(text) % 4 or 4)
    if bend == "unpad":
        return text.rstrip("=")
    if bend == "blank":
        return f"{text[:10]} {text[10:]}"
    if bend == "line-break":
        return f"{text[:10]}\r\n {text[10:]}"
    if bend == "other-alphabet":
        # Sure to differ, which a translation alone isn't.
        other = "+/" if url_safe else "-_"
        letters = _URL_SAFE if url_safe else _STANDARD
        at = next((n for n, sign in enumerate(text) if sign in letters[62:]), None)
        return (
            text if at is None else text[:at] + other[letters.index(text[at]) - 62] + text[at + 1 :]
        )
    if bend == "spare-bits":
        letters = _URL_SAFE if url_safe else _STANDARD
        body = text.rstrip("=")
        if len(body) % 4 == 0:
            return text
        return body[:-1] + letters[letters.index(body[-1]) | 1] + text[len(body) :]
    return text
