"""Read attestation objects and assertions as App Attest writes them (WebAuthn section 6.5)."""

from dataclasses import dataclass
from typing import Final

from watchword.attestation.authenticator_data import (
    AttestedCredential,
    AuthenticatorData,
    read_with_credential,
    read_without_credential,
)
from watchword.attestation.interface import MAX_EVIDENCE_BYTES
from watchword.encoding import cbor
from watchword.reasons import MalformedError, Reason

FMT: Final = "apple-appattest"

MAX_ASSERTION_BYTES: Final = 4096
"""Most bytes of an assertion; real ones have about 150."""

CERTIFICATES: Final = 2
"""A leaf and its intermediate; the root is never sent."""


@dataclass(frozen=True, slots=True)
class AttestationObject:
    """Hold an attestation object that was read, not yet believed.

    :param chain: leaf and intermediate in DER, not read yet.
    :param receipt: empty where there is none.
    :param raw: the authenticator data as bytes, which the nonce is over.
    """

    chain: tuple[bytes, ...]
    receipt: bytes
    raw: bytes
    data: AuthenticatorData
    credential: AttestedCredential


def read_credential_id(attestation: bytes) -> bytes:
    """Return the credential id of an attestation, empty if it can't be read; nothing is verified.

    For reports on an attestation whose key id nobody kept: the id is then only compared with the
    key, not with what the app says.
    """
    try:
        return read_attestation_object(attestation).credential.credential_id
    except MalformedError:
        return b""


def read_assertion(assertion: bytes) -> tuple[AuthenticatorData, bytes, bytes]:
    """Return authenticator data as read and as bytes, and the signature; nothing is verified.

    :raises MalformedError: with ``evidence.malformed``.
    """
    try:
        members = cbor.decode(assertion, MAX_ASSERTION_BYTES)
        raw = _bytes(members, "authenticatorData")
        return read_without_credential(raw), raw, _bytes(members, "signature")
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "assertion") from None


def read_attestation_object(attestation: bytes) -> AttestationObject:
    """Return the object with its format, its receipt and its authenticator data read.

    :raises MalformedError: with ``evidence.malformed`` or ``attestation.chain_length``.
    """
    try:
        members = cbor.decode(attestation, MAX_EVIDENCE_BYTES)
        fmt = _member(members, "fmt")
        if fmt != FMT:
            raise MalformedError.because(Reason.EVIDENCE_MALFORMED, f"expected the format {FMT}")
        statement = _member(members, "attStmt")
        x5c = _member(statement, "x5c")
        raw = _bytes(members, "authData")
        data, credential = read_with_credential(raw)
    except MalformedError as error:
        raise error.as_reason(Reason.EVIDENCE_MALFORMED, "attestation object") from None
    if not isinstance(x5c, list) or len(x5c) != CERTIFICATES:
        raise MalformedError.because(
            Reason.ATTESTATION_CHAIN_LENGTH, f"expected exactly {CERTIFICATES} certificates"
        )
    if not all(isinstance(item, bytes) for item in x5c):
        raise MalformedError.because(Reason.EVIDENCE_MALFORMED, "got a certificate not in bytes")
    receipt = statement.get("receipt") if isinstance(statement, dict) else None
    return AttestationObject(
        chain=tuple(item for item in x5c if isinstance(item, bytes)),
        receipt=receipt if isinstance(receipt, bytes) else b"",
        raw=raw,
        data=data,
        credential=credential,
    )


def _member(value: cbor.Value, name: str) -> cbor.Value:
    if not isinstance(value, dict) or name not in value:
        raise MalformedError.because(Reason.EVIDENCE_MALFORMED, f"expected a map with {name}")
    return value[name]


def _bytes(value: cbor.Value, name: str) -> bytes:
    member = _member(value, name)
    if not isinstance(member, bytes):
        raise MalformedError.because(Reason.EVIDENCE_MALFORMED, f"expected {name} as bytes")
    return member
