"""Read a raw path in the one way that every server behind the gate shares, or refuse it.

Servers disagree on ``..``, on empty segments, on encoded slashes, on what comes after ``;`` and
on how often percent-encoding is undone.  A gate that picked one reading would guard another
resource than the one that is served.
"""

import re

from watchword.gate.hygiene import MAX_PATH_BYTES
from watchword.reasons import Reason, Refusal

_COMMON = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
"""Paths that need no second look: no encoding, no segment that starts with a dot."""

_VISIBLE = re.compile(rb"[\x21-\x7e]*")
_FORBIDDEN = re.compile(rb"[\\;#?]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_FORBIDDEN_DECODED = re.compile(rb"[\x00-\x1f\x7f/\\;#?]|\xc2[\x80-\x9f]|%[0-9A-Fa-f]{2}")
"""The control characters of ISO 8859 (U+0080 to U+009F) are two bytes each."""


def read_path(raw_path: bytes) -> tuple[str, ...] | Refusal:
    """Return the decoded segments of a raw path, without the empty one after a last slash.

    1. At most :data:`MAX_PATH_BYTES`, visible ASCII, starting with ``/`` (RFC 3986 section 3.3).
    2. No backslash, ``;``, ``#`` or ``?``, raw or encoded: path parameters and Windows separators
       are dropped or turned by some servers and not by others.
    3. Percent-encoding is whole; decoded, it is UTF-8 without control characters, ``/`` or another
       percent-encoding, which a server that decodes twice would undo.
    4. No segment is ``.`` or ``..``, and none is empty but the last.

    A last slash means the same as none: frameworks serve or redirect ``/admin/`` as ``/admin``, so
    that a rule for one must hold for both.
    """
    if len(raw_path) > MAX_PATH_BYTES:
        return Refusal(
            Reason.REQUEST_HEADERS_TOO_LARGE,
            f"got a path of {len(raw_path)} bytes, expected at most {MAX_PATH_BYTES}",
        )
    if not raw_path.startswith(b"/"):
        return _ambiguous("expected a path that starts with a slash")
    if not _COMMON.fullmatch(raw_path):
        if not _VISIBLE.fullmatch(raw_path):
            return _ambiguous("got bytes outside of visible ASCII")
        if _FORBIDDEN.search(raw_path):
            return _ambiguous("got a backslash, semicolon, hash or question mark")
        if _BAD_ESCAPE.search(raw_path):
            return _ambiguous("got a percent sign without two hexadecimal digits")
    return _decode_segments(raw_path[1:].split(b"/"))


def _decode_segments(raw_segments: list[bytes]) -> tuple[str, ...] | Refusal:
    """Carry out steps 3 and 4."""
    if raw_segments[-1] == b"":
        raw_segments.pop()
    segments = []
    for raw in raw_segments:
        segment = _ESCAPE.sub(_unescape, raw)
        if segment in {b"", b".", b".."}:
            return _ambiguous("got an empty segment or one of dots")
        if segment != raw and _FORBIDDEN_DECODED.search(segment):
            return _ambiguous("got an encoded separator, control character or percent sign")
        try:
            segments.append(segment.decode("utf-8"))
        except UnicodeDecodeError:
            return _ambiguous("got percent-encoded bytes that aren't UTF-8")
    return tuple(segments)


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode("ascii"))


def _ambiguous(detail: str) -> Refusal:
    return Refusal(Reason.REQUEST_PATH_AMBIGUOUS, detail)
