"""Put chains of x509-limbo and BetterTLS, and certificates that readers stumbled over, through ours."""

from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from watchword.attestation import certificates
from watchword.attestation.certificates import Certificate, load_p256, read_certificate
from watchword.pins.interface import PinError, pin_of_certificate
from watchword.ports import Anchor
from watchword.reasons import MalformedError
from watchword.vocabulary import AnchorKind
from watchword_conformance.suites.interface import (
    Case,
    CaseSet,
    JsonObject,
    Must,
    Outside,
    Suite,
    SuiteFile,
)

PATH_BUILDING = Outside(
    "path-building",
    "Vendors send their chains in line. A pile from which a path must be searched is refused: searches were attacks of their own.",
)
OTHER_PATH = Outside(
    "other-path",
    "A chain in line from which a shorter one could be cut, and which the suite wants accepted for that one. Ours takes the whole "
    "or nothing.",
    unjudged=True,
)
NAME_CONSTRAINTS = Outside(
    "name-constraints",
    "Ours compare no names with hosts, and read no constraints on them. An authority that a root of ours constrained by names "
    "would not be held to it.",
    unjudged=True,
)
EXTENSIONS = Outside(
    "extensions",
    "Key identifiers, extended usages, policies, information access, and unknown extensions, also critical ones, which "
    "RFC 5280 section 4.2 wants refused: ours read none of them, and rely on roots that issue for attestation alone.",
    unjudged=True,
)

_SOMETIME: Final = datetime(2024, 1, 1, tzinfo=UTC)


def chain_holds(ders: Sequence[bytes], roots: Sequence[bytes], now: datetime) -> bool:
    """Tell whether a linear chain holds, and its leaf's key is one that may be attested.

    Names, signatures, anchor, CA flags, lengths, and all dates but the root's.

    :param ders: the leaf first, without the root.
    :param roots: certificates whose keys are believed, and nothing else of them.
    :raises MalformedError: for what can't be read.
    """
    anchors = [_anchor(read_certificate(root)) for root in roots]
    linked = certificates.link(ders, anchors)
    chain = linked.certificates
    refusals = [
        *linked.refusals,
        *certificates.anchor_refusals(chain, linked.anchored, anchors),
        *certificates.authority_refusals(chain, 1),
        *certificates.validity_refusals(chain, range(len(chain)), now),
    ]
    return not refusals and load_p256(chain[0].spki) is not None


def _anchor(root: Certificate) -> Anchor:
    return Anchor("root", "android-key", AnchorKind.PRODUCTION, root.spki, root.subject)


@dataclass(frozen=True, slots=True)
class Line:
    """Hold certificates in the one order in which each names the next, without the roots.

    :param ends_earlier: whether one below the last names a root too, so that a shorter path may hold.
    """

    ders: tuple[bytes, ...]
    ends_earlier: bool = False


def in_line(leaf: bytes, others: Sequence[bytes], roots: Sequence[bytes]) -> Line | None:
    """Return leaf and others in line, None where there is no such order.

    What can't be read stays as it came: that is for the verifier to refuse.
    """
    try:
        left = {der: read_certificate(der) for der in others if der not in roots}
        anchors = [read_certificate(root).subject for root in roots]
        chain = [read_certificate(leaf)]
    except MalformedError:
        return Line((leaf, *others))
    ends_earlier = False
    while left:
        issuer = chain[-1].issuer
        above = [each for each in left.values() if each.subject == issuer]
        if len(above) != 1:
            return None
        ends_earlier = ends_earlier or issuer in anchors
        chain.append(left.pop(above[0].der))
    return Line(tuple(each.der for each in chain), ends_earlier)


def midpoint(der: bytes) -> datetime:
    """Return the middle of a certificate's life, for a suite that states no time."""
    try:
        begin, end = read_certificate(der).window()
    except MalformedError:
        return _SOMETIME
    return begin + (end - begin) / 2


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

_X509_LIMBO_UNJUDGED: Final = (
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


def read_x509_limbo(file: SuiteFile) -> CaseSet | None:
    """Return the cases of ``limbo.json``."""
    suite = file.json_object("version", "testcases")
    return None if suite is None else CaseSet("x509-limbo", _x509_limbo_cases(suite))


def _x509_limbo_cases(suite: JsonObject) -> Iterator[Case]:
    for case in suite["testcases"]:
        leaf = _der(case["peer_certificate"])
        roots = [_der(text) for text in case["trusted_certs"]]
        others = [_der(text) for text in case["untrusted_intermediates"]]
        stated = case["validation_time"]
        now = datetime.fromisoformat(stated) if stated else midpoint(leaf)
        line = in_line(leaf, others, roots)
        must = Must.ACCEPT if case["expected_result"] == "SUCCESS" else Must.REJECT
        attempt = partial(chain_holds, (leaf, *others) if line is None else line.ders, roots, now)
        outside = PATH_BUILDING if line is None else _x509_limbo_outside(case["id"], must, line)
        yield Case(case["id"], must, attempt, outside)


def _x509_limbo_outside(name: str, must: Must, line: Line) -> Outside | None:
    if must is Must.REJECT:
        return next((why for begin, why in _X509_LIMBO_UNJUDGED if name.startswith(begin)), None)
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


X509_LIMBO = Suite(
    title="x509-limbo",
    source="github.com/C2SP/x509-limbo, `limbo.json`",
    layout="JSON with `version` and `testcases`",
    held="the verifier of attestation chains, in a line from the leaf to a root's key",
    read=read_x509_limbo,
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


_BETTERTLS_UNJUDGED = {
    "INVALID_REASON_NAME_CONSTRAINTS": NAME_CONSTRAINTS,
    "INVALID_REASON_BAD_EKU": EXTENSIONS,
}


def read_bettertls(file: SuiteFile) -> CaseSet | None:
    """Return the cases of an export."""
    suite = file.json_object("trustRoot", "testCases")
    return None if suite is None else CaseSet("BetterTLS", _bettertls_cases(suite))


def _bettertls_cases(suite: JsonObject) -> Iterator[Case]:
    root = b64decode(suite["trustRoot"])
    now = midpoint(root)
    for case in suite["testCases"]:
        leaf, *others = map(b64decode, case["certificates"])
        line = in_line(leaf, others, [root])
        must = Must(case["expected"].lower())
        attempt = partial(chain_holds, (leaf, *others) if line is None else line.ders, [root], now)
        outside = PATH_BUILDING if line is None else _bettertls_outside(case, must, line)
        yield Case(f"{case['suite']} {case['id']}", must, attempt, outside)


def _bettertls_outside(case: JsonObject, must: Must, line: Line) -> Outside | None:
    if must is Must.ACCEPT:
        return OTHER_PATH if line.ends_earlier else None
    if case["suite"] == "nameconstraints":
        return NAME_CONSTRAINTS
    return next(
        (
            _BETTERTLS_UNJUDGED[name]
            for name in case["requiredFeatures"]
            if name in _BETTERTLS_UNJUDGED
        ),
        None,
    )


BETTERTLS = Suite(
    title="BetterTLS",
    source="github.com/Netflix/bettertls, exported test cases",
    layout="JSON with `trustRoot` and `testCases`",
    held="the verifier of attestation chains, in a line from the leaf to a root's key",
    read=read_bettertls,
    outside=(PATH_BUILDING, OTHER_PATH, NAME_CONSTRAINTS, EXTENSIONS),
)


NO_VERDICT = Outside(
    "no-verdict",
    "The collection says of no certificate whether it is a good one. Readers of ours may read it or refuse it, and do nothing else.",
    unjudged=True,
)

_BEGIN: Final = b"-----BEGIN "
_LABELS: Final = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE"})
_SUFFIXES: Final = frozenset({".pem", ".der"})
_READERS: Final[tuple[Callable[[Certificate], Any], ...]] = (
    Certificate.window,
    Certificate.basic_constraints,
    Certificate.may_sign_certificates,
    Certificate.subject_attributes,
    lambda certificate: certificate.is_signed_by(certificate.spki),
)


def read_pyca_certificates(file: SuiteFile) -> CaseSet | None:
    """Return the one case of a file in PEM or DER under ``custom``."""
    if file.path.suffix not in _SUFFIXES or "custom" not in file.path.parts:
        return None
    return CaseSet("pyca x509/custom", _pyca_certificates_cases(file))


def _pyca_certificates_cases(file: SuiteFile) -> Iterator[Case]:
    data, label = file.data, b"CERTIFICATE"
    if _BEGIN in data:
        _, label, text, *_ = data[data.index(_BEGIN) :].split(b"-----")
        data, label = b64decode(b"".join(text.split())), label.removeprefix(b"BEGIN ")
    outside = NO_VERDICT if label in _LABELS else None
    must = Must.REJECT if outside is None else Must.EITHER
    yield Case(file.path.name, must, partial(_is_read, data), outside)


def _is_read(data: bytes) -> bool:
    """Read everything of a certificate; whatever can't be read is refused, at whichever step."""
    refused = 0
    try:
        pin_of_certificate(data)
    except PinError:
        refused += 1
    certificate = read_certificate(data)
    for look in _READERS:
        try:
            look(certificate)
        except MalformedError:
            refused += 1
    return refused == 0


PYCA_CERTIFICATES = Suite(
    title="pyca x509/custom",
    source="github.com/pyca/cryptography, `vectors/cryptography_vectors/x509/custom`",
    layout="`*.pem` and `*.der` under `custom`",
    held="the readers of certificates and pins; CRLs and private keys must be refused",
    read=read_pyca_certificates,
    outside=(NO_VERDICT,),
)
