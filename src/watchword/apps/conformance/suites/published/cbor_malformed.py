"""CBOR that isn't well-formed (RFC 8949 appendix F): every decoder must refuse it."""

import re
from collections.abc import Iterator
from functools import partial

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import Case, CaseSet, Must, Suite, agreed
from watchword.encoding import cbor

_LIMIT = 64 * 1024
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+").fullmatch


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a list of nothing but hexadecimal texts."""
    found = file.json
    if not isinstance(found, list) or not found:
        return None
    if not all(isinstance(text, str) and _HEX(text) for text in found):
        return None
    return CaseSet("CBOR, not well-formed", _cases(found))


def _cases(texts: list[str]) -> Iterator[Case]:
    for text in texts:
        yield Case(text, Must.REJECT, partial(_is_read, bytes.fromhex(text)))


def _is_read(data: bytes) -> bool:
    """Read it as a whole, and as the beginning of something: neither may be possible."""
    return agreed(partial(_is_whole, data), partial(_is_beginning, data))


def _is_whole(data: bytes) -> bool:
    cbor.decode(data, _LIMIT)
    return True


def _is_beginning(data: bytes) -> bool:
    cbor.decode_prefix(data, _LIMIT)
    return True


SUITE = Suite(
    title="CBOR, not well-formed",
    source="RFC 8949 appendix F, as a list",
    layout="a JSON list of hexadecimal texts",
    held="the CBOR decoder of App Attest",
    read=read,
)
