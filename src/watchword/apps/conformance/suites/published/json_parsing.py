"""JSONTestSuite: documents that a JSON parser must accept (y), must refuse (n), or may treat as it likes (i)."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Case,
    CaseSet,
    MisreadError,
    Must,
    Outside,
    Suite,
)
from watchword.encoding import strict_json
from watchword.reasons import MalformedError

LEFT_OPEN = Outside(
    "left-open",
    "The suite leaves it to the parser (`i_`). What ours reads, it reads as the standard library does.",
    unjudged=True,
)
DUPLICATE_KEYS = Outside(
    "duplicate-keys", "Two members of one name are refused: two readers may believe either."
)

_LIMIT = 1024 * 1024
_MUST = {"y_": Must.ACCEPT, "n_": Must.REJECT, "i_": Must.EITHER}


def read(file: SuiteFile) -> CaseSet | None:
    """Return the one case of a file under ``test_parsing``."""
    must = _MUST.get(file.path.name[:2])
    if must is None or file.path.suffix != ".json" or file.path.parent.name != "test_parsing":
        return None
    return CaseSet("JSONTestSuite", _cases(file, must))


def _cases(file: SuiteFile, must: Must) -> Iterator[Case]:
    outside = None
    if file.path.name.startswith("i_"):
        outside = LEFT_OPEN
    elif must is Must.ACCEPT and _has_duplicate_keys(file.data):
        outside = DUPLICATE_KEYS
    attempt = _is_read_anyhow if file.path.name.startswith("n_") else _is_read
    yield Case(file.path.name, must, partial(attempt, file.data), outside)


def _is_read_anyhow(document: bytes) -> bool:
    """Tell whether a document is read as it stands, or as a member."""
    try:
        strict_json.loads(document, _LIMIT)
    except MalformedError:
        return _is_read(document)
    return True


def _is_read(document: bytes) -> bool:
    """Read the document as it stands where it is an object, else as a member: ours are objects only."""
    wrapped = b'{"wrapped":' + document + b"}"
    value = strict_json.loads(wrapped, _LIMIT)
    if not _same(value, json.loads(wrapped)):
        raise MisreadError("read as something else than the standard library reads")
    if isinstance(value["wrapped"], dict):
        return strict_json.loads(document, _LIMIT) == value["wrapped"]
    try:
        strict_json.loads(document, _LIMIT)
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


SUITE = Suite(
    title="JSONTestSuite",
    source="github.com/nst/JSONTestSuite",
    layout="`y_*.json`, `n_*.json` and `i_*.json` under `test_parsing`",
    held="the JSON parser that reads tokens, statements and every request",
    read=read,
    outside=(LEFT_OPEN, DUPLICATE_KEYS),
)
