"""Read and write the document that tells a gate what it must know (protocol, section 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from watchword.encoding import base64url, strict_json
from watchword.gate.references import KEY_BYTES
from watchword.ports import VerificationKey
from watchword.reasons import RefusedError, WatchwordError
from watchword.tokens.jwk import jwk_from_public_key, public_key_from_jwk

MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of a document: room for 350,000 subjects revoked within the life of a token.

A vendor that withdraws a leaked batch key revokes every instance of the batch at once.
"""

_VERSION = 1
_MEMBERS = {"v", "generation", "issuer", "keys", "revoked", "reference_key"}
_MAX_GENERATION = 2**53


class GateStateError(WatchwordError):
    """Report a document that can't be used; the text says what is wrong and quotes no secret."""


@dataclass(frozen=True, slots=True)
class GateStateDocument:
    """Hold what a gate must know.

    :param generation: grows with each change, also over restarts; a gate never goes back.
    :param keys: every token key that gates may meet: prepared, active and retired.
    :param revoked: pairwise subjects of revoked instances whose tokens may still live.
    :param reference_key: 32 secret bytes under which references of refusals are sealed.
    """

    generation: int
    issuer: str
    keys: tuple[VerificationKey, ...]
    revoked: frozenset[str]
    reference_key: bytes

    def __repr__(self) -> str:
        """Show how much is held, and no key."""
        return (
            f"GateStateDocument(generation={self.generation}, keys={len(self.keys)}, "
            f"revoked={len(self.revoked)})"
        )


def to_bytes(document: GateStateDocument) -> bytes:
    """Return the document as JSON."""
    members = {
        "v": _VERSION,
        "generation": document.generation,
        "issuer": document.issuer,
        "keys": [
            {
                "kid": key.kid,
                "verify_until": key.verify_until,
                "jwk": jwk_from_public_key(key.key),
            }
            for key in document.keys
        ],
        "revoked": sorted(document.revoked),
        "reference_key": base64url.encode(document.reference_key),
    }
    return strict_json.dumps(members)


def from_bytes(data: bytes) -> GateStateDocument:
    """Return the document in ``data``, read strictly: whoever writes it decides who is let in.

    :raises GateStateError: with what is wrong.
    """
    try:
        members = strict_json.loads(data, MAX_DOCUMENT_BYTES)
        if members.keys() != _MEMBERS or members["v"] != _VERSION:
            _refuse(f"expected exactly {', '.join(sorted(_MEMBERS))}, with v {_VERSION}")
        return GateStateDocument(
            generation=_generation(members["generation"]),
            issuer=_text(members["issuer"], "issuer"),
            keys=_keys(members["keys"]),
            revoked=_revoked(members["revoked"]),
            reference_key=_reference_key(members["reference_key"]),
        )
    except RefusedError as error:
        raise GateStateError(f"got a gate state that can't be read: {error}") from None


def _generation(value: Any) -> int:
    if type(value) is not int or not 0 < value < _MAX_GENERATION:
        _refuse("expected generation as a whole number above 0")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        _refuse(f"expected {name} as text")
    return value


def _keys(value: Any) -> tuple[VerificationKey, ...]:
    if not isinstance(value, list) or not value:
        _refuse("expected a list of at least one key")
    keys = tuple(_key(each) for each in value)
    if len({key.kid for key in keys}) != len(keys):
        _refuse("got a key id twice")
    return keys


def _key(value: Any) -> VerificationKey:
    if not isinstance(value, Mapping) or value.keys() != {"kid", "verify_until", "jwk"}:
        _refuse("expected each key with exactly kid, verify_until and jwk")
    until = value["verify_until"]
    if until is not None and (isinstance(until, bool) or not isinstance(until, int | float)):
        _refuse("expected verify_until as a number or null")
    if not isinstance(value["jwk"], Mapping):
        _refuse("expected jwk as an object")
    return VerificationKey(_text(value["kid"], "kid"), public_key_from_jwk(value["jwk"]), until)


def _revoked(value: Any) -> frozenset[str]:
    if not isinstance(value, list):
        _refuse("expected revoked as a list")
    return frozenset(_text(each, "each revoked subject") for each in value)


def _reference_key(value: Any) -> bytes:
    key = base64url.decode(_text(value, "reference_key"))
    if len(key) != KEY_BYTES:
        _refuse(f"got a reference key of {len(key)} bytes, expected {KEY_BYTES}")
    return key


def _refuse(detail: str) -> NoReturn:
    raise GateStateError(f"got a gate state that can't be used: {detail}")
