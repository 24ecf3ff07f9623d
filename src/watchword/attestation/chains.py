"""Check a linear certificate chain, leaf first, and find the anchor at its end.

Not PKIX: vendors' chains break its rules and need stricter ones.  Chains are short and linear, they
end at one of a handful of keys, and a system's root store is never asked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from watchword.attestation.certificates import Certificate, read_certificate
from watchword.ports import Anchor, RevocationStatus
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


def read_chain(ders: Sequence[bytes]) -> tuple[Certificate, ...]:
    """Return the certificates of a chain.

    :raises MalformedError: with ``attestation.chain_length`` beyond the caps, with
        ``evidence.malformed`` for what isn't a certificate.
    """
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
    chain = []
    for index, data in enumerate(ders):
        try:
            chain.append(read_certificate(data))
        except MalformedError as error:
            raise error.as_reason(Reason.EVIDENCE_MALFORMED, f"certificate {index}") from None
    return tuple(chain)


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
    known = {anchor.spki for anchor in anchors}
    if any(certificate.spki in known for certificate in chain[:-1]):
        yield Refusal(Reason.ATTESTATION_CHAIN_LENGTH, "got certificates beyond a root's own key")


def link_refusals(chain: Sequence[Certificate]) -> Iterator[Refusal]:
    """Yield what is wrong between each certificate and the one above it: names and signatures."""
    for index, (child, issuer) in enumerate(pairwise(chain)):
        if child.issuer != issuer.subject:
            yield Refusal(
                Reason.ATTESTATION_CHAIN_NAME,
                f"certificate {index} names another issuer than certificate {index + 1}",
            )
        if not child.is_signed_by(issuer.spki):
            yield Refusal(
                Reason.ATTESTATION_CHAIN_SIGNATURE,
                f"certificate {index} isn't signed by the key of certificate {index + 1}",
            )


def authority_refusals(chain: Sequence[Certificate], first: int) -> Iterator[Refusal]:
    """Yield each issuer from index ``first`` on that isn't a CA for the certificates below it.

    RFC 5280 section 6.1.4, (k) basicConstraints, (m) path length, (n) keyUsage.

    :raises MalformedError: when an extension can't be read.
    """
    for index, certificate in enumerate(chain[first:], start=first):
        is_ca, path_length = certificate.basic_constraints()
        if not is_ca:
            yield Refusal(Reason.ATTESTATION_CHAIN_NOT_CA, f"certificate {index} isn't a CA")
        elif certificate.may_sign_certificates() is False:
            yield Refusal(
                Reason.ATTESTATION_CHAIN_NOT_CA, f"certificate {index} may not sign certificates"
            )
        if path_length is not None and index - 1 > path_length:
            yield Refusal(
                Reason.ATTESTATION_CHAIN_NOT_CA,
                f"certificate {index} has {index - 1} CAs below, expected at most {path_length}",
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


def revocation_refusals(
    chain: Sequence[Certificate], revocation: RevocationStatus | None
) -> Iterator[Refusal]:
    """Yield each certificate that the vendor withdrew; a suspended one isn't trusted either.

    :param revocation: None knows of none (claims then list it as unchecked).
    """
    if revocation is None:
        return
    for index, certificate in enumerate(chain):
        entry = revocation.find(certificate.serial_hex)
        if entry is not None:
            yield Refusal(
                Reason.ATTESTATION_REVOKED, f"certificate {index}: {entry.status} ({entry.reason})"
            )
