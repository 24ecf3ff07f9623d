"""x509-limbo: chains for TLS, of which links, anchors, CA flags, lengths, dates and keys are judged in ours too."""

from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Final

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
from watchword.attestation.certificates import load_p256, read_certificate
from watchword.reasons import MalformedError

HOST_NAMES = Outside(
    "host-names",
    "Attestation chains name no host: subject and alternative names aren't compared.",
    unjudged=True,
)
REVOCATION_LISTS = Outside(
    "revocation-lists",
    "Vendors withdraw certificates by a list of their own, and not by CRLs; that list is judged elsewhere.",
    unjudged=True,
)
ROOTS = Outside(
    "roots",
    "A root is known by its key. What its certificate says means nothing: vendors issue theirs anew, and one has expired.",
    unjudged=True,
)
WEB_PROFILE = Outside(
    "web-profile",
    "Serial numbers, version, an empty name of a CA, and whether the leaf calls itself a CA: ours ask none of it.",
    unjudged=True,
)
DEPTH = Outside(
    "depth",
    "The case sets its verifier a depth; ours is fixed at six certificates.",
    unjudged=True,
)
LEAF_KEY = Outside("leaf-key", "Attested keys are on P-256; any other is refused.")
GRANULARITY = Outside(
    "granularity",
    "5 ms after the last second of a certificate: the suite calls it ambiguous, and ours is refused.",
)

_UNJUDGED: Final = (
    ("crl::", REVOCATION_LISTS),
    ("bettertls::nameconstraints::", NAME_CONSTRAINTS),
    ("cve::cve-2025-61727", NAME_CONSTRAINTS),
    ("rfc5280::nc::", NAME_CONSTRAINTS),
    ("webpki::nc::", NAME_CONSTRAINTS),
    ("rfc5280::san::", HOST_NAMES),
    ("webpki::san::", HOST_NAMES),
    ("webpki::cn::", HOST_NAMES),
    ("rfc5280::ca-as-leaf-wrong-san", HOST_NAMES),
    ("rfc5280::aki::", EXTENSIONS),
    ("webpki::aki::", EXTENSIONS),
    ("rfc5280::ski::", EXTENSIONS),
    ("rfc5280::eku::", EXTENSIONS),
    ("webpki::eku::", EXTENSIONS),
    ("rfc5280::pc::", EXTENSIONS),
    ("rfc5280::unknown-critical-extension", EXTENSIONS),
    ("rfc5280::ee-critical-aia-invalid", EXTENSIONS),
    ("webpki::malformed-aia", EXTENSIONS),
    ("rfc5280::validity::expired-root", ROOTS),
    ("rfc5280::root-", ROOTS),
    ("webpki::forbidden-weak-rsa-key-in-root", ROOTS),
    ("webpki::forbidden-rsa-not-divisible-by-8-in-root", ROOTS),
    ("rfc5280::serial::", WEB_PROFILE),
    ("rfc5280::ca-empty-subject", WEB_PROFILE),
    ("rfc5280::leaf-ku-keycertsign", WEB_PROFILE),
    ("webpki::v1-cert", WEB_PROFILE),
    ("webpki::ee-basicconstraints-ca", WEB_PROFILE),
    ("webpki::ca-as-leaf", WEB_PROFILE),
    ("pathlen::max-chain-depth-", DEPTH),
)
"""By the beginning of an id: why a chain that the suite wants refused may hold for us."""


def read(file: SuiteFile) -> CaseSet | None:
    """Return the cases of ``limbo.json``."""
    suite = file.json_object("version", "testcases")
    return None if suite is None else CaseSet("x509-limbo", _cases(suite))


def _cases(suite: JsonObject) -> Iterator[Case]:
    for case in suite["testcases"]:
        leaf = _der(case["peer_certificate"])
        roots = [_der(text) for text in case["trusted_certs"]]
        others = [_der(text) for text in case["untrusted_intermediates"]]
        stated = case["validation_time"]
        now = datetime.fromisoformat(stated) if stated else chains.midpoint(leaf)
        line = chains.in_line(leaf, others, roots)
        must = Must.ACCEPT if case["expected_result"] == "SUCCESS" else Must.REJECT
        attempt = partial(chains.holds, (leaf, *others) if line is None else line.ders, roots, now)
        outside = PATH_BUILDING if line is None else _outside(case["id"], must, line)
        yield Case(case["id"], must, attempt, outside)


def _outside(name: str, must: Must, line: chains.Line) -> Outside | None:
    if must is Must.REJECT:
        return next((why for begin, why in _UNJUDGED if name.startswith(begin)), None)
    if name == "rfc5280::validity::notafter-fractional":
        return GRANULARITY
    if line.ends_earlier:
        return OTHER_PATH
    try:
        return None if load_p256(read_certificate(line.ders[0]).spki) is not None else LEAF_KEY
    except MalformedError:
        return None


def _der(pem: str) -> bytes:
    """Return the bytes of the one block, whatever they are: what isn't a certificate is for ours to refuse."""
    return b64decode("".join(pem.split("-----")[2].split()), validate=True)


SUITE = Suite(
    title="x509-limbo",
    source="github.com/C2SP/x509-limbo, `limbo.json`",
    layout="JSON with `version` and `testcases`",
    held="the verifier of attestation chains, in a line from the leaf to a root's key",
    read=read,
    outside=(
        PATH_BUILDING,
        OTHER_PATH,
        NAME_CONSTRAINTS,
        EXTENSIONS,
        HOST_NAMES,
        REVOCATION_LISTS,
        ROOTS,
        WEB_PROFILE,
        DEPTH,
        LEAF_KEY,
        GRANULARITY,
    ),
)
