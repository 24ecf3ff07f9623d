"""Say what is known of an instance that renews, from the store and from the vendors' lists."""

from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from watchword.attestation.claims import UnverifiedClaims
from watchword.attestation.formats import android_key
from watchword.attestation.interface import EvidenceFormat
from watchword.policy.interface import Standing
from watchword.ports import Instance, RevocationEntry, RevocationStatus
from watchword.reasons import Reason, Refusal, RefusedError
from watchword.tokens.jwk import public_key_from_jwk
from watchword.vocabulary import Withdrawal

_FORMATS_WITH_LIST: Final = frozenset({android_key.NAME})
"""Formats whose every instance is vouched for by certificates that a status list covers."""


def standing_of(
    instance: Instance,
    evidence_format: EvidenceFormat,
    revocation: RevocationStatus | None,
    now: datetime,
) -> Standing:
    """Return what policy judges of an instance between two attestations.

    Where the certificates of an instance should be known and aren't, since an earlier version
    of Watchword kept no serials, nobody can know whether one was revoked.
    """
    withdrawn: RevocationEntry | None = None
    known: bool | None = None
    if revocation is not None:
        found = [revocation.find(serial) for serial in instance.serials]
        entries = [entry for entry in found if entry is not None]
        # A policy may let suspended certificates pass; behind one there may be a revoked one.
        entries.sort(key=lambda entry: entry.status == Withdrawal.SUSPENDED)
        withdrawn = entries[0] if entries else None
        if instance.serials:
            known = revocation.is_known(now)
        elif instance.format in _FORMATS_WITH_LIST:
            known = False
    return Standing(
        format=instance.format,
        level=instance.level,
        attested_at=instance.attested_at or instance.enrolled_at,
        withdrawn=withdrawn,
        revocation_known=known,
        risk_metric=instance.risk_metric,
        key_attested=evidence_format.attested_key_proves or not _renews_by_proof_key(instance),
    )


def sent_to_enrol_again(
    refusals: tuple[Refusal, ...],
    instance: Instance,
    revocation: RevocationStatus | None,
    now: datetime,
) -> tuple[Refusal, ...]:
    """Return the refusals, so that an app whose certificates alone aren't known enrols again.

    A policy that needs the status list says "not known", to which apps come back later.  Nothing becomes
    known by waiting where the list is there and the instance's serials are what is missing.
    """
    if instance.serials or revocation is None or not revocation.is_known(now):
        return refusals
    missing = "its certificates weren't kept, expected them, to look for in the status list"
    return tuple(
        Refusal(Reason.INSTANCE_ATTESTATION_STALE, missing)
        if refusal.reason is Reason.POLICY_REVOCATION_UNKNOWN
        else refusal
        for refusal in refusals
    )


def require_same_device(claims: UnverifiedClaims, instance: Instance) -> None:
    """Refuse evidence made anew that vouches for something else than the instance.

    Otherwise a genuine device could vouch, again and again, for instances on others.  A device key is
    compared where the instance has one: evidence that doesn't tell devices apart can't vouch for it.

    :raises RefusedError: ``attestation.binding``.
    """
    if claims.public_key is not None and claims.public_key != instance.attested_key:
        raise RefusedError.because(
            Reason.ATTESTATION_BINDING, "it attests another key than the instance's"
        )
    if instance.device_key is not None and claims.device_key != instance.device_key:
        raise RefusedError.because(
            Reason.ATTESTATION_BINDING, "it is of another device than the instance's"
        )


def _renews_by_proof_key(instance: Instance) -> bool:
    """Tell whether the key that renews is the one that its own statement brought along.

    That is so where the evidence attested none, whatever the format's classes are called.  A format that
    attests the very key that the statement holds is taken for one as well: it renews for
    a shorter time than it could.
    """
    key = public_key_from_jwk(instance.proof_jwk)
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return spki == instance.attested_key
