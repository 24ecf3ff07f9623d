"""Seal a secret to the instance that it is for (protocol, section 5, with an info of its own).

The info names all that the answer says of the secret beside it: whoever ends the TLS connection can neither read
the value nor pass it off as another name's, version's or lease's, nor give it a longer life.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from watchword.broker.interface import SecretValue
from watchword.encoding import length_prefixed
from watchword.tokens.envelope import seal_with_info

SECRET_LABEL: Final = b"watchword/secret/v1\x00"
"""What the info of a sealed secret begins with; a session key's begins otherwise, so that neither opens as the other."""


@dataclass(frozen=True, slots=True)
class SecretContext:
    """Hold what a sealed secret is bound to.

    :param binding: SHA-256 of the statement that asked for it, 32 bytes.
    :param app: the app's name in the configuration.
    :param name: of the secret.
    :param version: from 1.
    :param lease: id of the lease.
    :param expires_at: seconds since 1970 at which the lease ends.
    """

    binding: bytes
    app: str
    name: str
    version: int
    lease: str
    expires_at: int


def secret_info(context: SecretContext) -> bytes:
    """Return the HPKE info of one sealed secret.

    The label, the binding, and then, each behind its length (4 bytes, big endian): app, name, version in
    decimal digits, lease id, end of the lease in decimal digits.
    """
    return (
        SECRET_LABEL
        + context.binding
        + length_prefixed.join(
            context.app.encode(),
            context.name.encode(),
            str(context.version).encode(),
            context.lease.encode(),
            str(context.expires_at).encode(),
        )
    )


def seal_secret(value: SecretValue, seal_jwk: Mapping[str, str], context: SecretContext) -> bytes:
    """Return the encapsulated key and the ciphertext, one after the other.

    81 bytes longer than the value in UTF-8 for a P-256 seal key, 48 for X25519.

    :param seal_jwk: P-256 or X25519 public key that the instance enrolled with.
    :raises MalformedError: ``statement.key`` if nothing can be sealed to it.
    """
    return seal_with_info(value.text.encode(), seal_jwk, secret_info(context))
