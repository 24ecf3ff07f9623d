"""JSON and CBOR: documents that must be read as they say, and those that no reader may take."""

import ast
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from watchword.encoding import cbor, strict_json
from watchword.reasons import MalformedError
from watchword_conformance.suites.interface import (
    Case,
    CaseSet,
    JsonObject,
    MisreadError,
    Must,
    Outside,
    Suite,
    SuiteFile,
    agreed,
)

LEFT_OPEN = Outside(
    "left-open",
    "The suite leaves it to the parser (`i_`). What ours reads, it reads as the standard library does.",
    unjudged=True,
)
DUPLICATE_KEYS = Outside(
    "duplicate-keys", "Two members of one name are refused: two readers may believe either."
)

_JSON_PARSING_LIMIT = 1024 * 1024
_MUST = {"y_": Must.ACCEPT, "n_": Must.REJECT, "i_": Must.EITHER}


def read_json_parsing(file: SuiteFile) -> CaseSet | None:
    """Return the one case of a file under ``test_parsing``."""
    must = _MUST.get(file.path.name[:2])
    if must is None or file.path.suffix != ".json" or file.path.parent.name != "test_parsing":
        return None
    return CaseSet("JSONTestSuite", _json_parsing_cases(file, must))


def _json_parsing_cases(file: SuiteFile, must: Must) -> Iterator[Case]:
    outside = None
    if file.path.name.startswith("i_"):
        outside = LEFT_OPEN
    elif must is Must.ACCEPT and _has_duplicate_keys(file.data):
        outside = DUPLICATE_KEYS
    attempt = _is_read_anyhow if file.path.name.startswith("n_") else _json_parsing_is_read
    yield Case(file.path.name, must, partial(attempt, file.data), outside)


def _is_read_anyhow(document: bytes) -> bool:
    """Tell whether a document is read as it stands, or as a member."""
    try:
        strict_json.loads(document, _JSON_PARSING_LIMIT)
    except MalformedError:
        return _json_parsing_is_read(document)
    return True


def _json_parsing_is_read(document: bytes) -> bool:
    """Read the document as it stands where it is an object, else as a member: ours are objects only."""
    wrapped = b'{"wrapped":' + document + b"}"
    value = strict_json.loads(wrapped, _JSON_PARSING_LIMIT)
    if not _same(value, json.loads(wrapped)):
        raise MisreadError("read as something else than the standard library reads")
    if isinstance(value["wrapped"], dict):
        return strict_json.loads(document, _JSON_PARSING_LIMIT) == value["wrapped"]
    try:
        strict_json.loads(document, _JSON_PARSING_LIMIT)
    except MalformedError:
        return True
    raise MisreadError("read a document that isn't an object")


def _same(ours: Any, theirs: Any) -> bool:
    """Compare with types: to Python 1, 1.0 and True are equal."""
    return repr(ours) == repr(theirs)


def _has_duplicate_keys(document: bytes) -> bool:
    found = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        found = found or len(dict(pairs)) != len(pairs)
        return dict(pairs)

    try:
        json.loads(document, object_pairs_hook=look)
    except (ValueError, RecursionError):
        # A document that the suite calls right and nobody can read isn't excused by this.
        return False
    return found


JSON_PARSING = Suite(
    title="JSONTestSuite",
    source="github.com/nst/JSONTestSuite",
    layout="`y_*.json`, `n_*.json` and `i_*.json` under `test_parsing`",
    held="the JSON parser that reads tokens, statements and every request",
    read=read_json_parsing,
    outside=(LEFT_OPEN, DUPLICATE_KEYS),
)


TAG = Outside(
    "tag", "No authenticator writes tags, and decoders have run regular expressions for them."
)
FLOAT = Outside("float", "No authenticator writes floats.")
INDEFINITE = Outside(
    "indefinite-length",
    "Lengths are stated in front, so that a count is checked before it is believed.",
)
SIMPLE = Outside("simple-value", "True, false and null are the only simple values.")

_CBOR_EXAMPLES_LIMIT = 64 * 1024
_BYTES = re.compile(r"h'([0-9a-f]*)'")


def read_cbor_examples(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a list of objects with ``hex`` and ``roundtrip``."""
    found = file.json
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        return None
    return (
        CaseSet("CBOR, examples", _cbor_examples_cases(found))
        if {"hex", "roundtrip"} <= found[0].keys()
        else None
    )


def _cbor_examples_cases(examples: list[JsonObject]) -> Iterator[Case]:
    for example in examples:
        data = bytes.fromhex(example["hex"])
        outside = _outside(data, 0)[0]
        value = None if outside is not None else _value(example)
        yield Case(
            example["hex"], Must.ACCEPT, partial(_cbor_examples_is_read, data, value), outside
        )


def _value(example: JsonObject) -> Any:
    """Return what an example means; where JSON can't say it, the diagnostic notation does."""
    if "decoded" in example:
        return example["decoded"]
    text = example["diagnostic"]
    found = _BYTES.fullmatch(text)
    return bytes.fromhex(found[1]) if found else ast.literal_eval(text)


def _cbor_examples_is_read(data: bytes, value: Any) -> bool:
    if repr(cbor.decode(data, _CBOR_EXAMPLES_LIMIT)) != repr(value):
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


CBOR_EXAMPLES = Suite(
    title="CBOR, examples",
    source="github.com/cbor/test-vectors, `appendix_a.json`",
    layout="a JSON list of objects with `hex` and `roundtrip`",
    held="the CBOR decoder of App Attest",
    read=read_cbor_examples,
    outside=(TAG, FLOAT, INDEFINITE, SIMPLE),
)


_CBOR_MALFORMED_LIMIT = 64 * 1024
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+").fullmatch


def read_cbor_malformed(file: SuiteFile) -> CaseSet | None:
    """Return the cases of a list of nothing but hexadecimal texts."""
    found = file.json
    if not isinstance(found, list) or not found:
        return None
    if not all(isinstance(text, str) and _HEX(text) for text in found):
        return None
    return CaseSet("CBOR, not well-formed", _cbor_malformed_cases(found))


def _cbor_malformed_cases(texts: list[str]) -> Iterator[Case]:
    for text in texts:
        yield Case(text, Must.REJECT, partial(_cbor_malformed_is_read, bytes.fromhex(text)))


def _cbor_malformed_is_read(data: bytes) -> bool:
    """Read it as a whole, and as the beginning of something: neither may be possible."""
    return agreed(partial(_is_whole, data), partial(_is_beginning, data))


def _is_whole(data: bytes) -> bool:
    cbor.decode(data, _CBOR_MALFORMED_LIMIT)
    return True


def _is_beginning(data: bytes) -> bool:
    cbor.decode_prefix(data, _CBOR_MALFORMED_LIMIT)
    return True


CBOR_MALFORMED = Suite(
    title="CBOR, not well-formed",
    source="RFC 8949 appendix F, as a list",
    layout="a JSON list of hexadecimal texts",
    held="the CBOR decoder of App Attest",
    read=read_cbor_malformed,
)
