"""Sign observations, and tell which of them an observer that we know vouches for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from watchword.apps.observations.document import ObservationError, from_json, to_json
from watchword.encoding import strict_json
from watchword.observations import Claim, Observation, Vouched
from watchword.ports import Signer
from watchword.reasons import MalformedError
from watchword.tokens import strict_jws
from watchword.tokens.es256 import is_signed_by
from watchword.tokens.jwk import jwk_from_public_key, thumbprint

OBSERVATION_TYPE: Final = "watchword-observation+jwt"
"""The ``typ`` of a signed observation: nothing else that a key signs passes for one, nor the other way."""

MAX_LINE_BYTES: Final = 16 * 1024
"""Most bytes of one observation, signed or not."""


@dataclass(frozen=True, slots=True)
class Observers:
    """Hold whose word counts, by the key ids that signatures name.

    :param by_kid: name and public key, by the key's RFC 7638 thumbprint.
    """

    by_kid: Mapping[str, tuple[str, EllipticCurvePublicKey]]

    @classmethod
    def of(cls, keys: Mapping[str, EllipticCurvePublicKey]) -> Self:
        """Return the observers of the names and P-256 keys given."""
        return cls(
            {thumbprint(jwk_from_public_key(key)): (name, key) for name, key in keys.items()}
        )


def sign(observation: Observation, signer: Signer) -> str:
    """Return the observation as a compact JWS, signed: one line of the file."""
    return strict_jws.assemble(strict_json.dumps(to_json(observation)), OBSERVATION_TYPE, signer)


def unsigned(observation: Observation) -> str:
    """Return the observation as a JSON object on one line: a claim."""
    return strict_json.dumps(to_json(observation)).decode()


def verify(line: str, observers: Observers) -> Vouched | Claim:
    """Return what a line says, vouched for where a configured observer signed it.

    What an unknown key signed is read, as a claim: the key may be configured later.  A signature
    of a known key that doesn't hold leaves nothing: nobody says what stands there.

    :raises ObservationError: when it isn't an observation, or its signature doesn't hold.
    """
    if line.lstrip().startswith("{"):
        return Claim(_read(line.encode()), "it is unsigned")
    try:
        jws = strict_jws.parse(line.strip(), OBSERVATION_TYPE, MAX_LINE_BYTES)
    except MalformedError as error:
        raise ObservationError(
            "line", f"what is no signed observation ({error.detail})", "a JSON object or a JWS"
        ) from None
    name, key = observers.by_kid.get(jws.kid, (None, None))
    if key is None or name is None:
        return Claim(_read(jws.payload), "no configured observer has the key that signed it")
    if not is_signed_by(key, jws.signature, jws.signing_input):
        raise ObservationError(
            "line", f"a signature that doesn't hold under the key of {name}", f"one by {name}"
        )
    return Vouched(_read(jws.payload), name)


def _read(data: bytes) -> Observation:
    try:
        members = strict_json.loads(data, MAX_LINE_BYTES)
    except MalformedError as error:
        raise ObservationError(
            "line", f"what is no JSON object ({error.detail})", "an observation"
        ) from None
    return from_json(members)
