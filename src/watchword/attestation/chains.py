"""Check a linear certificate chain, leaf first, and find the anchor at its end.

Not PKIX: vendors' chains break its rules and need stricter ones.  Chains are short and linear, they
end at one of a handful of keys, and a system's root store is never asked.

Remember issuers that hold, so that a chain costs the signatures that nobody has verified yet.

Vendors sign millions of phones with a few thousand issuers.  What is remembered is true of the bytes, whoever
sends them; what changes with time or configuration (dates, anchors, revocation, policy) is never part of it.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from watchword.attestation.certificates import Certificate, read_certificate
from watchword.attestation.interface import IssuerCache
from watchword.ports import Anchor, RevocationEntry, RevocationStatus
from watchword.reasons import MalformedError, Reason, Refusal
from watchword.vocabulary import AnchorKind

MAX_CERTIFICATES = 6
"""Most certificates of a chain; the longest real one has five."""

MAX_CHAIN_BYTES = 32 * 1024
"""Most bytes of all certificates; the largest real chain has 5.6 kB."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """Hold the anchor at the end of a chain.

    :param included: the chain's last certificate carries the anchor's own key; otherwise its last
        certificate was signed by that key, and the root was left out.
    """

    anchor: Anchor
    included: bool


@dataclass(frozen=True, slots=True)
class KnownIssuers:
    """Hold issuers that hold: each names the next one and is signed by it, the last up to an anchor.

    That is all that is remembered: it follows from the certificates' bytes and the anchors.

    :param anchors: among which ``anchored`` was found; with any other ones it says nothing.
    """

    certificates: tuple[Certificate, ...]
    anchored: Anchored
    anchors: tuple[Anchor, ...]


@dataclass(frozen=True, slots=True)
class LinkedChain:
    """Hold a chain whose links were verified, and what is wrong with them.

    :param digests: for each certificate but the leaf, SHA-256 over it and all above it.
    :param known_from: from this index on the links were known; the chain's length if none was.
    """

    certificates: tuple[Certificate, ...]
    anchored: Anchored | None
    anchors: tuple[Anchor, ...]
    refusals: tuple[Refusal, ...]
    digests: tuple[bytes, ...]
    known_from: int


def link(
    ders: Sequence[bytes], anchors: Sequence[Anchor], issuers: IssuerCache | None = None
) -> LinkedChain:
    """Read a chain, verify its links and find its anchor; what is known isn't verified again.

    Links are the names and the signatures, as of :func:`link_refusals`; below an end that is unknown only the
    names.  CA flags, dates, revocation and all the rest are judged by the caller each time.

    :raises MalformedError: as :func:`read_chain` does.
    """
    _require_within_caps(ders)
    among = tuple(anchors)
    digests = () if issuers is None else _digests(ders)
    known_from, known = len(ders), None
    if issuers is not None:
        known_from, known = _find_known(digests, among, issuers)
    chain = tuple(_read(index, data) for index, data in enumerate(ders[:known_from]))
    if known is None:
        anchored = find_anchor(chain, among)
        refusals = tuple(link_refusals(chain, signatures=anchored is not None))
    else:
        # The first known one stands in as the issuer of the last one that is new.
        refusals = tuple(link_refusals((*chain, known.certificates[0])))
        chain += known.certificates
        anchored = known.anchored
    return LinkedChain(chain, anchored, among, refusals, digests, known_from)


def remember(chain: LinkedChain, first: int, issuers: IssuerCache) -> None:
    """Remember the issuers from index ``first`` on, and from each index above it.

    Only for a chain that wasn't refused for anything: an attacker's own issuers never enter.  Whoever owns a
    genuine phone can write its certificates in other bytes (the encoding around what is signed) and fill the cache
    with them; issuers that others use all the time stay, and one that went costs a verification.  The caller chooses
    ``first`` so that what is below belongs to one device alone.
    """
    if chain.refusals or chain.anchored is None:
        raise ValueError("only chains that hold are remembered")
    if chain.known_from <= first:
        return
    root = chain.certificates[-1]
    if chain.anchored.included and not root.is_signed_by(root.spki):
        # A copy of a root that somebody bent is still its key; but there are as many copies as they like.
        return
    # A root that is known by its key has no link to be remembered.
    end = len(chain.certificates) - (1 if chain.anchored.included else 0)
    for index in range(first, min(end, chain.known_from)):
        value = KnownIssuers(chain.certificates[index:], chain.anchored, chain.anchors)
        issuers.remember(chain.digests[index], value)


def read_chain(ders: Sequence[bytes]) -> tuple[Certificate, ...]:
    """Return the certificates of a chain.

    :raises MalformedError: with ``attestation.chain_length`` beyond the caps, with
        ``evidence.malformed`` for what isn't a certificate.
    """
    _require_within_caps(ders)
    return tuple(_read(index, data) for index, data in enumerate(ders))


def _require_within_caps(ders: Sequence[bytes]) -> None:
    if not 0 < len(ders) <= MAX_CERTIFICATES:
        raise MalformedError.because(
            Reason.ATTESTATION_CHAIN_LENGTH,
            f"got {len(ders)} certificates, expected 1 to {MAX_CERTIFICATES}",
        )
    size = sum(map(len, ders))
    if size > MAX_CHAIN_BYTES:
        raise MalformedError.because(
            Reason.ATTESTATION_CHAIN_LENGTH,
            f"got a chain of {size} bytes, expected at most {MAX_CHAIN_BYTES}",
        )


def _read(index: int, data: bytes) -> Certificate:
    try:
        return read_certificate(data)
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, f"certificate {index}") from None


def _digests(ders: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return for each certificate SHA-256 over the next one's digest and its own bytes; none for the leaf.

    The digest in front has a fixed size, so that no two chains are the same bytes cut up differently.
    """
    found = [b""] * len(ders)
    above = bytes(32)
    for index in range(len(ders) - 1, 0, -1):
        above = found[index] = hashlib.sha256(above + ders[index]).digest()
    return tuple(found)


def _find_known(
    digests: Sequence[bytes], anchors: tuple[Anchor, ...], issuers: IssuerCache
) -> tuple[int, KnownIssuers | None]:
    """Return the lowest index above the leaf from which all issuers are known, and those."""
    for index in range(1, len(digests)):
        known = issuers.find(digests[index])
        if isinstance(known, KnownIssuers) and known.anchors == anchors:
            return index, known
    return len(digests), None


def find_anchor(chain: Sequence[Certificate], anchors: Sequence[Anchor]) -> Anchored | None:
    """Return the anchor that the last certificate is, or was signed by; None if there is none.

    Compared by public key: roots are re-issued with new dates under the same key.  A key that is
    known for vouching for software vouches for nothing else, under whatever other kind it was added.
    """
    last = chain[-1]
    for anchor in anchors:
        if last.spki == anchor.spki:
            return Anchored(_least_of_key(anchor, anchors), included=True)
    for anchor in anchors:
        if last.issuer == anchor.subject and last.is_signed_by(anchor.spki):
            return Anchored(_least_of_key(anchor, anchors), included=False)
    return None


def _least_of_key(found: Anchor, anchors: Sequence[Anchor]) -> Anchor:
    """Return the software anchor that has the same key, else the one that was found."""
    for anchor in anchors:
        if anchor.kind == AnchorKind.SOFTWARE and anchor.spki == found.spki:
            return anchor
    return found


def anchor_refusals(
    chain: Sequence[Certificate], anchored: Anchored | None, anchors: Sequence[Anchor]
) -> Iterator[Refusal]:
    """Yield what is wrong with the end of the chain: nothing we know, software, or a prolonged one."""
    if anchored is None:
        yield Refusal(
            Reason.ATTESTATION_ANCHOR_UNKNOWN,
            f"got a chain of {len(chain)} that ends at none of {len(anchors)} known keys",
        )
    elif anchored.anchor.kind == AnchorKind.SOFTWARE:
        yield Refusal(Reason.ATTESTATION_ANCHOR_SOFTWARE, f"got the root {anchored.anchor.name}")
    if any(certificate.spki == anchor.spki for certificate in chain[:-1] for anchor in anchors):
        yield Refusal(Reason.ATTESTATION_CHAIN_LENGTH, "got certificates beyond a root's own key")


def link_refusals(chain: Sequence[Certificate], *, signatures: bool = True) -> Iterator[Refusal]:
    """Yield what is wrong between each certificate and the one above it: names and signatures.

    From the top down, and no signature below one that is wrong: no key is used before it was itself vouched for.
    A stranger's keys would be work of a stranger's choice.

    :param signatures: False looks at the names only, where nothing is known that could vouch for the top.
    """
    for index in range(len(chain) - 2, -1, -1):
        child, issuer = chain[index], chain[index + 1]
        if child.issuer != issuer.subject:
            yield name_refusal(index)
        if signatures and not child.is_signed_by(issuer.spki):
            signatures = False
            yield Refusal(
                Reason.ATTESTATION_CHAIN_SIGNATURE,
                f"certificate {index} isn't signed by the key of certificate {index + 1}",
            )


def name_refusal(index: int) -> Refusal:
    """Return the refusal of a certificate that names another issuer than the one above it."""
    return Refusal(
        Reason.ATTESTATION_CHAIN_NAME,
        f"certificate {index} names another issuer than certificate {index + 1}",
    )


def authority_refusals(chain: Sequence[Certificate], first: int, end: int = 0) -> Iterator[Refusal]:
    """Yield each issuer from index ``first`` on that isn't a CA for the certificates below it.

    RFC 5280 section 6.1.4, (k) basicConstraints, (m) path length, (n) keyUsage.

    :param end: index of the certificate at which paths end, counted from which their length is.
    :raises MalformedError: when an extension can't be read.
    """
    for index in range(first, len(chain)):
        certificate = chain[index]
        is_ca, path_length = certificate.basic_constraints()
        if not is_ca:
            yield Refusal(Reason.ATTESTATION_CHAIN_NOT_CA, f"certificate {index} isn't a CA")
        elif certificate.may_sign_certificates() is False:
            yield Refusal(
                Reason.ATTESTATION_CHAIN_NOT_CA, f"certificate {index} may not sign certificates"
            )
        below = index - 1 - end
        if path_length is not None and below > path_length:
            yield Refusal(
                Reason.ATTESTATION_CHAIN_NOT_CA,
                f"certificate {index} has {below} CAs below, expected at most {path_length}",
            )


def validity_refusals(
    chain: Sequence[Certificate], indexes: Sequence[int], now: datetime
) -> Iterator[Refusal]:
    """Yield each of the certificates at ``indexes`` that isn't valid at ``now``.

    :raises MalformedError: when a date can't be read.
    """
    for index in indexes:
        not_before, not_after = chain[index].window()
        if now < not_before:
            yield Refusal(
                Reason.ATTESTATION_CERTIFICATE_EARLY,
                f"certificate {index} begins at {not_before:%Y-%m-%dT%H:%M:%SZ}",
            )
        elif now > not_after:
            yield Refusal(
                Reason.ATTESTATION_CERTIFICATE_EXPIRED,
                f"certificate {index} ended at {not_after:%Y-%m-%dT%H:%M:%SZ}",
            )


def withdrawn(
    chain: Sequence[Certificate], revocation: RevocationStatus
) -> Iterator[tuple[int, RevocationEntry]]:
    """Yield the index of each certificate that the vendor withdrew for good or suspended, and the entry."""
    for index, certificate in enumerate(chain):
        entry = revocation.find(certificate.serial_hex)
        if entry is not None:
            yield index, entry


MAX_ENTRIES: Final = 4096
"""Most entries by default; each takes about 5 kB, so that a full cache has some 20 MB."""


class BoundedIssuerCache:
    """Implement :class:`watchword.attestation.interface.IssuerCache` in memory.

    Each operation is a few single steps of the interpreter, each harmless without the next one: between threads
    an entry may be missed and verified again, and never is one found that wasn't remembered.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        """Keep at most so many entries; raise ValueError below one."""
        if max_entries < 1:
            raise ValueError("a cache needs room for one entry at least")
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, object] = OrderedDict()

    def __len__(self) -> int:
        """Return how many entries are remembered."""
        return len(self._entries)

    def find(self, digest: bytes) -> object | None:
        """Return what was remembered under this digest, None if nothing; it is the youngest then."""
        value = self._entries.pop(digest, None)
        if value is not None:
            self._entries[digest] = value
        return value

    def remember(self, digest: bytes, value: object) -> None:
        """Remember a value; of too many, the one that was unused for the longest is forgotten."""
        self._entries[digest] = value
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
