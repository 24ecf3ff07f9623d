"""Read and write the gate bundle: all that a gate must know of its API, signed by the service.

A bundle is a compact JWS (RFC 7515) of strict JSON.  It holds secrets, so that it is kept as a
private file and sent over mutual TLS alone; the signature is there beside both, so that whoever
can replace the file, or stands in for the service, still can't say who is let in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from watchword.broker.interface import CanaryWatch, LentValue
from watchword.encoding import strict_json
from watchword.gate.bundle_members import content_from_json, content_to_json
from watchword.gate.compiled import CompiledPolicy
from watchword.gate.interface import GatePolicy
from watchword.ports import Signer, VerificationKey
from watchword.reasons import RefusedError, WatchwordError
from watchword.tokens import strict_jws
from watchword.tokens.es256 import SigningKey, is_signed_by
from watchword.tokens.jwk import jwk_from_public_key, public_key_from_jwk, thumbprint
from watchword.tokens.proofs.interface import GateSecret

BUNDLE_TYPE: Final = "watchword-gate+jwt"
"""The ``typ`` of a bundle: nothing else that the service signs passes for one."""

MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of what is signed: room for 350,000 subjects revoked within the life of a token.

A vendor that withdraws a leaked batch key revokes every instance of the batch at once.
"""

MAX_BUNDLE_BYTES: Final = MAX_PAYLOAD_BYTES * 4 // 3 + 1024
"""Most bytes of a bundle: the payload in base64url, header and signature."""

MAX_SIGNER_BYTES: Final = 1024
"""Most bytes of the file with the service's public key; it has about 130."""

_VERSION: Final = 1
_MEMBERS: Final = {"v", "generation", "made_at", "policy", "keys", "secrets", "revoked"} | {
    "reference_key",
    "verdict_key",
    "lent",
    "canaries",
}
_MAX_NUMBER: Final = 2**53


class GateBundleError(WatchwordError):
    """Report a bundle that can't be used; the text says what is wrong and quotes no secret."""


@dataclass(frozen=True, slots=True)
class GateBundle:
    """Hold what a gate must know.

    :param generation: grows with each change, also over restarts; a gate never goes back.
    :param made_at: seconds since 1970, for people; nothing is decided by it.
    :param keys: every token key that the gate may meet: prepared, active and retired.
    :param secrets: of the audience, by epochs: prepared, active, and retired ones whose tokens live.
    :param revoked: the audience's names of revoked instances whose tokens may still live.
    :param reference_key: 32 secret bytes under which references of refusals are sealed.
    :param verdict_key: signs verdicts for the API.
    :param lent: by secret, what is added to calls at the edge now.
    :param canaries: by what canary keys are recognised, None where none is planted.
    """

    generation: int
    made_at: int
    policy: GatePolicy
    keys: tuple[VerificationKey, ...]
    secrets: tuple[GateSecret, ...]
    revoked: frozenset[str]
    reference_key: bytes
    verdict_key: SigningKey
    lent: Mapping[str, LentValue] = field(default_factory=dict)
    canaries: CanaryWatch | None = None

    def __repr__(self) -> str:
        """Show how much is held, and no key."""
        return (
            f"GateBundle(api={self.policy.api!r}, generation={self.generation}, "
            f"keys={len(self.keys)}, secrets={len(self.secrets)}, revoked={len(self.revoked)})"
        )


def to_jws(bundle: GateBundle, signer: Signer) -> bytes:
    """Return the bundle, signed.

    :raises GateBundleError: when it would be larger than gates accept.
    """
    payload = strict_json.dumps(
        {
            "v": _VERSION,
            "generation": bundle.generation,
            "made_at": bundle.made_at,
            **content_to_json(
                bundle.policy,
                bundle.keys,
                bundle.secrets,
                bundle.revoked,
                bundle.reference_key,
                bundle.verdict_key,
                bundle.lent,
                bundle.canaries,
            ),
        }
    )
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise GateBundleError(
            f"got {len(payload)} bytes for the gate of {bundle.policy.api} with "
            f"{len(bundle.revoked)} revoked instances, expected at most {MAX_PAYLOAD_BYTES}; "
            "gates keep what they have"
        )
    return strict_jws.assemble(payload, BUNDLE_TYPE, signer).encode("ascii")


def from_jws(data: bytes, key: VerificationKey) -> GateBundle:
    """Return the bundle in ``data``, once it was found to be signed by ``key``.

    1. Bytes of one compact JWS, capped, with the type of a bundle and ES256
       (:func:`watchword.tokens.strict_jws.parse`).
    2. It names this key, and the signature holds.
    3. Only then the payload is read: exactly the members that it must have, each strictly.  A
       member that this version doesn't know may be a condition that it wouldn't keep.

    :raises GateBundleError: with what is wrong.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        _refuse(f"got {len(data)} bytes, expected at most {MAX_BUNDLE_BYTES}")
    try:
        jws = strict_jws.parse(data.decode("latin-1"), BUNDLE_TYPE, MAX_BUNDLE_BYTES)
        if jws.kid != key.kid:
            _refuse(f"it is signed by another key than {key.kid}, the one that was agreed on")
        if not is_signed_by(key.key, jws.signature, jws.signing_input):
            _refuse(f"its signature isn't one by the key {key.kid}")
        members = strict_json.loads(jws.payload, MAX_PAYLOAD_BYTES)
        if members.keys() != _MEMBERS or members["v"] != _VERSION:
            _refuse(f"expected exactly {', '.join(sorted(_MEMBERS))}, with v {_VERSION}")
        bundle = GateBundle(
            _whole_number(members, "generation"),
            _whole_number(members, "made_at"),
            *content_from_json(members),
        )
        # What can't be decided by is refused here, where the last good one is kept.
        CompiledPolicy(bundle.generation, bundle.policy)
    except (RefusedError, ValueError) as error:
        # What the reading below raises is written there and quotes no secret.
        raise GateBundleError(f"the gate bundle can't be used: {error}") from None
    return bundle


def signer_to_json(key: VerificationKey) -> bytes:
    """Return the public key by which gates know the service, as a JWK for a file."""
    return strict_json.dumps(jwk_from_public_key(key.key)) + b"\n"


def signer_from_json(data: bytes) -> VerificationKey:
    """Return the key out of such a file; its id is its RFC 7638 thumbprint.

    :raises GateBundleError: when it is anything else than the JWK of a P-256 public key.
    """
    try:
        jwk = strict_json.loads(data, MAX_SIGNER_BYTES)
        return VerificationKey(thumbprint(jwk), public_key_from_jwk(jwk))
    except (RefusedError, KeyError, TypeError) as error:
        detail = str(error) if isinstance(error, RefusedError) else "expected kty, crv, x and y"
        raise GateBundleError(f"the service's public key can't be used: {detail}") from None


def _whole_number(members: Mapping[str, Any], name: str) -> int:
    value = members[name]
    if type(value) is not int or not 0 < value < _MAX_NUMBER:
        _refuse(f"expected {name} as a whole number above 0")
    return value


def _refuse(detail: str) -> NoReturn:
    raise GateBundleError(f"the gate bundle can't be used: {detail}")
