"""BetterTLS: path building, and name constraints, of which a line of certificates is what ours take."""

from base64 import b64decode
from collections.abc import Iterator
from functools import partial

from watchword.apps.conformance.suites import chains
from watchword.apps.conformance.suites.chains import (
    EXTENSIONS,
    NAME_CONSTRAINTS,
    OTHER_PATH,
    PATH_BUILDING,
)
from watchword.apps.conformance.suites.files import SuiteFile
from watchword.apps.conformance.suites.interface import (
    Case,
    CaseSet,
    JsonObject,
    Must,
    Outside,
    Suite,
)

_UNJUDGED = {
    "INVALID_REASON_NAME_CONSTRAINTS": NAME_CONSTRAINTS,
    "INVALID_REASON_BAD_EKU": EXTENSIONS,
}


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of an export."""
    suite = file.json_object("trustRoot", "testCases")
    return None if suite is None else CaseSet("BetterTLS", _cases(suite))


def _cases(suite: JsonObject) -> Iterator[Case]:
    root = b64decode(suite["trustRoot"])
    now = chains.midpoint(root)
    for case in suite["testCases"]:
        leaf, *others = map(b64decode, case["certificates"])
        line = chains.in_line(leaf, others, [root])
        must = Must(case["expected"].lower())
        attempt = partial(chains.holds, (leaf, *others) if line is None else line.ders, [root], now)
        outside = PATH_BUILDING if line is None else _outside(case, must, line)
        yield Case(f"{case['suite']} {case['id']}", must, attempt, outside)


def _outside(case: JsonObject, must: Must, line: chains.Line) -> Outside | None:
    if must is Must.ACCEPT:
        return OTHER_PATH if line.ends_earlier else None
    if case["suite"] == "nameconstraints":
        return NAME_CONSTRAINTS
    return next((_UNJUDGED[name] for name in case["requiredFeatures"] if name in _UNJUDGED), None)


SUITE = Suite(
    title="BetterTLS",
    source="github.com/Netflix/bettertls, exported test cases",
    layout="JSON with `trustRoot` and `testCases`",
    held="the verifier of attestation chains, in a line from the leaf to a root's key",
    read=read,
    outside=(PATH_BUILDING, OTHER_PATH, NAME_CONSTRAINTS, EXTENSIONS),
)
