"""Structured fields (RFC 9651): our three headers are structured fields, of which we read one text each.

So every case must be refused: as such a header, and where it could slip into one that is right in all the rest
and rightly signed.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from watchword.apps.conformance.suites import proving
from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Case,
    CaseSet,
    JsonObject,
    Must,
    Outside,
    Suite,
)
from watchword.reasons import RefusedError
from watchword.tokens.proofs import content_digest
from watchword.tokens.proofs.interface import ProofHeaders

ONE_TEXT = Outside(
    "one-text",
    "A valid field that isn't our text. `Signature-Input`, `Signature` and `Content-Digest` are read in one form each, "
    "byte for byte, so that no two parsers can read one header in two ways.",
)
LEFT_OPEN = Outside("left-open", "The suite lets parsers refuse it (`can_fail`).")

_TYPES: Final = frozenset({"item", "list", "dictionary"})


def read(file: SuiteFile) -> CaseSet | None:
    """Return the parsing cases of a list of objects with ``name`` and ``header_type``.

    Those for serialising have no ``raw``: what we write is fixed text.
    """
    found = file.json
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        return None
    if not {"name", "header_type"} <= found[0].keys():
        return None
    return CaseSet("Structured fields", _cases(file.path.stem, found))


def _cases(stem: str, cases: list[JsonObject]) -> Iterator[Case]:
    for number, case in enumerate(cases):
        if case["header_type"] not in _TYPES:
            raise ValueError(f"got the type {case['header_type']}")
        if "raw" not in case:
            continue
        # Several lines of one field are one, joined by commas (RFC 9110 section 5.2).
        raw = ", ".join(case["raw"]).encode("utf-8", "surrogatepass")
        must, outside = _verdict(case)
        yield Case(
            f"{stem} {number}: {case['name']}", must, partial(is_read_anywhere, raw), outside
        )


def _verdict(case: JsonObject) -> tuple[Must, Outside | None]:
    if case.get("must_fail"):
        return Must.REJECT, None
    return (Must.EITHER, LEFT_OPEN) if case.get("can_fail") else (Must.ACCEPT, ONE_TEXT)


def is_read_anywhere(raw: bytes) -> bool:
    """Tell whether any of our readers takes the text in any place where it could stand."""
    return any(_takes(attempt, raw) for attempt in (_as_digest, _as_header, _within_parameters))


def _takes(attempt: Callable[[bytes], bool], raw: bytes) -> bool:
    try:
        return attempt(raw)
    except RefusedError:
        return False


def _as_digest(raw: bytes) -> bool:
    """Read it as a digest, as the value of one, and as a second one beside a right one."""
    right = proving.request(b"{}").content_digest or b""
    digests = (raw, b"sha-256=" + raw, right + b", " + raw, raw + b", " + right, right + b";" + raw)
    return any(_takes(_is_digest, digest) for digest in digests if digest != right)


def _is_digest(header: bytes) -> bool:
    content_digest.read(header)
    return True


def _as_header(raw: bytes) -> bool:
    """Put it in the place of each header, and beside it as a second member."""
    signed = proving.request()
    found = False
    for kind in proving.KINDS:
        good = proving.sign(kind, signed, proving.parameters(kind))
        given, signature = good.signature_input or b"", good.signature or b""
        for changed in (
            ProofHeaders(raw, signature, None),
            ProofHeaders(given, raw, None),
            ProofHeaders(given + b", " + raw, signature, None),
            ProofHeaders(raw + b", " + given, signature, None),
            ProofHeaders(given, signature + b", " + raw, None),
            ProofHeaders(given, signature + b";" + raw, None),
        ):
            found = found or _takes(partial(_holds, kind, changed), raw)
    return found


def _within_parameters(raw: bytes) -> bool:
    """Sign it as a parameter, as a parameter's value, as a component, and as the id of the key."""
    found = False
    for kind in proving.KINDS:
        good = proving.parameters(kind)
        before, _, _ = good.rpartition(b"keyid=")
        for inside in (
            good + b";" + raw,
            good + b";x=" + raw,
            good.replace(b'"@path"', b'"@path" ' + raw, 1),
            good.replace(b'"@path"', raw, 1),
            before + b"keyid=" + raw,
        ):
            headers = proving.sign(kind, proving.request(), inside)
            found = found or _takes(partial(_holds, kind, headers), raw)
    return found


def _holds(kind: str, headers: ProofHeaders, _raw: bytes) -> bool:
    return proving.holds(kind, proving.request(), headers)


SUITE = Suite(
    title="Structured fields",
    source="github.com/httpwg/structured-field-tests",
    layout="JSON lists of objects with `name`, `header_type` and `raw`",
    held="the readers of `Signature-Input`, `Signature` and `Content-Digest`, in 27 places for each case",
    read=read,
    outside=(ONE_TEXT, LEFT_OPEN),
)
