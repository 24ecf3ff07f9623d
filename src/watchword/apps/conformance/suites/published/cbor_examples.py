"""Examples of CBOR with what they mean (RFC 8949 appendix A): well-formed all, and some of them in our profile."""

import ast
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Case,
    CaseSet,
    JsonObject,
    MisreadError,
    Must,
    Outside,
    Suite,
)
from watchword.encoding import cbor

TAG = Outside(
    "tag", "No authenticator writes tags, and decoders have run regular expressions for them."
)
FLOAT = Outside("float", "No authenticator writes floats.")
INDEFINITE = Outside(
    "indefinite-length",
    "Lengths are stated in front, so that a count is checked before it is believed.",
)
SIMPLE = Outside("simple-value", "True, false and null are the only simple values.")

_LIMIT = 64 * 1024
_BYTES = re.compile(r"h'([0-9a-f]*)'")


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a list of objects with ``hex`` and ``roundtrip``."""
    found = file.json
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        return None
    return (
        CaseSet("CBOR, examples", _cases(found))
        if {"hex", "roundtrip"} <= found[0].keys()
        else None
    )


def _cases(examples: list[JsonObject]) -> Iterator[Case]:
    for example in examples:
        data = bytes.fromhex(example["hex"])
        outside = _outside(data, 0)[0]
        value = None if outside is not None else _value(example)
        yield Case(example["hex"], Must.ACCEPT, partial(_is_read, data, value), outside)


def _value(example: JsonObject) -> Any:
    """Return what an example means; where JSON can't say it, the diagnostic notation does."""
    if "decoded" in example:
        return example["decoded"]
    text = example["diagnostic"]
    found = _BYTES.fullmatch(text)
    return bytes.fromhex(found[1]) if found else ast.literal_eval(text)


def _is_read(data: bytes, value: Any) -> bool:
    if repr(cbor.decode(data, _LIMIT)) != repr(value):
        raise MisreadError("read as something else than the example says")
    return True


def _outside(data: bytes, at: int) -> tuple[Outside | None, int]:
    """Walk one well-formed item (RFC 8949 appendix C); return what of it isn't in our profile, and its end.

    Written for this, and apart from the decoder that is judged by it.
    """
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    size = 1 << (info - 24) if 24 <= info <= 27 else 0
    argument = int.from_bytes(data[at : at + size]) if size else info
    at += size
    if major == 7:
        return (None if info in {20, 21, 22} else SIMPLE if info < 25 else FLOAT), at
    if info == 31:
        return INDEFINITE, at
    if major == 6:
        return TAG, at
    if major in {2, 3}:
        return None, at + argument
    items = {4: argument, 5: 2 * argument}.get(major, 0)
    for _ in range(items):
        why, at = _outside(data, at)
        if why is not None:
            return why, at
    return None, at


SUITE = Suite(
    title="CBOR, examples",
    source="github.com/cbor/test-vectors, `appendix_a.json`",
    layout="a JSON list of objects with `hex` and `roundtrip`",
    held="the CBOR decoder of App Attest",
    read=read,
    outside=(TAG, FLOAT, INDEFINITE, SIMPLE),
)
