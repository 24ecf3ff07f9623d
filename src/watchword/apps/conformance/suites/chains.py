"""Put chains of published suites through the verifier of attestation chains, and say what of theirs it doesn't judge."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from watchword.apps.conformance.suites.interface import Outside
from watchword.attestation import chains
from watchword.attestation.certificates import Certificate, load_p256, read_certificate
from watchword.ports import Anchor
from watchword.reasons import MalformedError
from watchword.vocabulary import AnchorKind

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


def holds(ders: Sequence[bytes], roots: Sequence[bytes], now: datetime) -> bool:
    """Tell whether a linear chain holds, and its leaf's key is one that may be attested.

    Names, signatures, anchor, CA flags, lengths, and all dates but the root's.

    :param ders: the leaf first, without the root.
    :param roots: certificates whose keys are believed, and nothing else of them.
    :raises MalformedError: for what can't be read.
    """
    anchors = [_anchor(read_certificate(root)) for root in roots]
    linked = chains.link(ders, anchors)
    chain = linked.certificates
    refusals = [
        *linked.refusals,
        *chains.anchor_refusals(chain, linked.anchored, anchors),
        *chains.authority_refusals(chain, 1),
        *chains.validity_refusals(chain, range(len(chain)), now),
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
