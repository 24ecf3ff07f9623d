"""Have OpenBao's transit engine wrap keys and sign: its keys never leave it.

See https://openbao.org/api-docs/secret/transit/ for the calls.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from watchword.adapters.openbao import answers
from watchword.adapters.openbao.connection import Client, OpenBao
from watchword.adapters.openbao.faults import AnswerError, DecryptError, UnsignedError
from watchword.encoding import base64url
from watchword.reasons import MalformedError, Reason
from watchword.tokens import jose

MAX_SEALED_BYTES: Final = 512 * 1024
"""Most bytes of a ciphertext that is handed on."""

_NUMBERED: Final = re.compile(r"vault:v([1-9][0-9]{0,15}):([A-Za-z0-9+/=_-]+)", re.ASCII)


class TransitWrapper:
    """Implement :class:`watchword.adapters.secret_store.MasterKey` with an ``aes256-gcm96`` key of the engine.

    The context goes along as associated data, which the cipher authenticates: what was wrapped for one purpose
    unwraps for no other.
    """

    def __init__(self, bao: OpenBao, name: str) -> None:
        """Keep the name; nothing is asked yet.

        :param name: of the key in the engine; it must be there, and not be one with derivation.
        """
        self._bao = bao
        self._name = name
        self._version: int | None = None

    @property
    def key_id(self) -> str:
        """Return ``transit:NAME:vN``, N being the version that wrapped last; ``transit:NAME`` before the first."""
        return self._id(self._version)

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """See :meth:`watchword.broker.interface.KeyWrapper.wrap`; :attr:`key_id` is right once it returned."""
        return self._wrapped(await self._bao.ask(self._wrapping(key, context)))

    def wrap_here(self, key: bytes, context: bytes) -> bytes:
        """See :meth:`watchword.adapters.secret_store.MasterKey.wrap_here`."""
        return self._wrapped(self._bao.ask_here(self._wrapping(key, context)))

    def _wrapping(self, key: bytes, context: bytes) -> Callable[[Client], bytes]:
        mount, name = self._bao.place.transit, self._name
        return lambda client: encrypt(client, mount, name, key, context)

    def _wrapped(self, wrapped: bytes) -> bytes:
        self._version = version_of(wrapped)
        return wrapped

    async def unwrap(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """See :meth:`watchword.broker.interface.KeyWrapper.unwrap`.

        :raises UnavailableError: ``secret.store_unavailable`` also when another master key wrapped it, or it was
            changed, or stood beside another secret.
        """
        return await self._bao.ask(self._unwrapping(wrapped, context, key_id))

    def unwrap_here(self, wrapped: bytes, context: bytes, key_id: str) -> bytes:
        """See :meth:`watchword.adapters.secret_store.MasterKey.unwrap_here`."""
        return self._bao.ask_here(self._unwrapping(wrapped, context, key_id))

    def opens(self, key_id: str) -> bool:
        """See :meth:`watchword.adapters.secret_store.MasterKey.opens`: of whatever version."""
        return key_id.split(":")[:2] == ["transit", self._name]

    def _unwrapping(self, wrapped: bytes, context: bytes, key_id: str) -> Callable[[Client], bytes]:
        if not self.opens(key_id):
            raise self._bao.unavailable(
                f"got a key that {key_id[:80]!r} wrapped, expected {self._id(None)}"
            )
        mount, name = self._bao.place.transit, self._name
        return lambda client: decrypt(client, mount, name, wrapped, context)

    def _id(self, version: int | None) -> str:
        return f"transit:{self._name}" + ("" if version is None else f":v{version}")


@dataclass(frozen=True, slots=True)
class TransitKey:
    """Hold one version of an ``ecdsa-p256`` key of the engine; sign by asking.

    :param name: of the key in the engine.
    :param version: from 1.
    """

    name: str
    version: int
    public: EllipticCurvePublicKey
    bao: OpenBao = field(repr=False, compare=False)

    def public_key(self) -> EllipticCurvePublicKey:
        """Return the public part."""
        return self.public

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte r||s of ES256 over a message; blocks for one question.

        Only the message's hash is sent.  What comes back is believed once it verifies: an engine that was put
        back to another backup would otherwise sign tokens that every gate refuses.

        :raises UnavailableError: ``secret.store_unavailable`` when it can't be signed now.
        """
        digest = hashlib.sha256(message).digest()
        mount, name, version = self.bao.place.transit, self.name, self.version
        signature = self.bao.ask_here(lambda client: _sign(client, mount, name, version, digest))
        if not jose.is_signed_by(self.public, signature, message):
            raise self.bao.unavailable(
                f"version {version} of {name} isn't the key that it was; was another backup restored?"
            )
        return signature


def make_version(client: Client, mount: str, name: str) -> tuple[int, EllipticCurvePublicKey]:
    """Have the engine make a new version of a key, and return its number and public part.

    :raises AnswerError: when there is no such key.
    :raises MalformedError: when it isn't an ``ecdsa-p256`` key.
    """
    answer = client.secrets.transit.rotate_key(name, mount_point=mount)
    if "data" not in answer:
        # Older Vaults don't say what they made.
        answer = client.secrets.transit.read_key(name, mount_point=mount)
    version = answers.version(answer, "data", "latest_version")
    pem = answers.text(answer, "data", "keys", str(version), "public_key")
    try:
        public = load_pem_public_key(pem.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        raise _malformed("expected a public key in PEM") from None
    if not isinstance(public, EllipticCurvePublicKey) or not isinstance(public.curve, SECP256R1):
        raise _malformed("expected a key of the type ecdsa-p256")
    return version, public


def encrypt(client: Client, mount: str, name: str, data: bytes, context: bytes) -> bytes:
    """Return data encrypted by a key of the engine, with the number of its version in front."""
    answer = client.secrets.transit.encrypt_data(
        name, _base64(data), associated_data=_base64(context), mount_point=mount
    )
    sealed = answers.text(answer, "data", "ciphertext")
    if not _NUMBERED.fullmatch(sealed):
        raise _malformed("expected a ciphertext")
    return sealed.encode("ascii")


def decrypt(client: Client, mount: str, name: str, sealed: bytes, context: bytes) -> bytes:
    """Return what :func:`encrypt` was given.

    :raises DecryptError: when it isn't something that it returned, by this key and with this context.
    """
    if len(sealed) > MAX_SEALED_BYTES or not _NUMBERED.fullmatch(sealed.decode("latin-1")):
        raise DecryptError
    try:
        answer = client.secrets.transit.decrypt_data(
            name, sealed.decode("ascii"), associated_data=_base64(context), mount_point=mount
        )
    except AnswerError as error:
        if error.status == 400:
            raise DecryptError from None
        raise
    try:
        return base64.b64decode(answers.text(answer, "data", "plaintext"), validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("expected a plaintext in base64") from None


def version_of(sealed: bytes) -> int:
    """Return which version of a key encrypted something that :func:`encrypt` returned."""
    numbered = _NUMBERED.fullmatch(sealed.decode("ascii"))
    assert numbered is not None
    return int(numbered[1])


def _sign(client: Client, mount: str, name: str, version: int, digest: bytes) -> bytes:
    try:
        answer = client.secrets.transit.sign_data(
            name,
            hash_input=_base64(digest),
            key_version=version,
            hash_algorithm="sha2-256",
            prehashed=True,
            marshaling_algorithm="jws",
            mount_point=mount,
        )
    except AnswerError as error:
        if error.status in {400, 500}:
            # A version that isn't there is an internal error to OpenBao; it is none of the backend as a whole.
            raise UnsignedError(f"version {version} of {name}") from None
        raise
    numbered = _NUMBERED.fullmatch(answers.text(answer, "data", "signature"))
    if numbered is None:
        raise _malformed("expected a signature")
    signature = base64url.decode(numbered[2])
    if len(signature) != jose.SIGNATURE_BYTES:
        raise _malformed(f"expected a signature of {jose.SIGNATURE_BYTES} bytes")
    return signature


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _malformed(detail: str) -> MalformedError:
    return MalformedError.because(Reason.ENCODING_JSON, detail)
