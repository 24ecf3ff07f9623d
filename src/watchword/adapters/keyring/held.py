"""Define what keeps private keys outside of the key ring's file: OpenBao, or whatever else signs for us."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_T = TypeVar("_T")


class KeyPurpose(StrEnum):
    """Say what a key signs, and nothing else: each purpose has a key of its own."""

    TOKENS = "tokens"
    BUNDLES = "bundles"


class HeldKey(Protocol):
    """Sign with a private key that is elsewhere."""

    @property
    def version(self) -> int | None:
        """Return its number where it is kept, None for one that signs no more."""

    def public_key(self) -> EllipticCurvePublicKey:
        """Return the public part."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte r||s of ES256 over a message; blocks, for a bounded time.

        :raises UnavailableError: ``secret.store_unavailable`` when it can't be signed now.
        """


class KeyKeeper(Protocol):
    """Keep private keys and seal what else is secret.

    Each method but :meth:`aside` and :meth:`held` blocks, for a bounded time, and raises
    :class:`watchword.reasons.UnavailableError` with ``secret.store_unavailable`` when it can't answer now.
    """

    def make(self, purpose: KeyPurpose) -> HeldKey:
        """Return a new P-256 key that nobody has seen before."""

    def held(self, purpose: KeyPurpose, version: int, public: EllipticCurvePublicKey) -> HeldKey:
        """Return a key that was made before; asks nobody."""

    def seal(self, data: bytes, context: bytes) -> str:
        """Return data encrypted, bound to a context."""

    def unseal(self, sealed: str, context: bytes) -> bytes:
        """Return what was sealed, with the same context."""

    async def aside(self, work: Callable[[], _T]) -> _T:
        """Return what work gives that signs, done where it may block: the event loop goes on meanwhile.

        :raises UnavailableError: ``secret.store_unavailable`` when too much of it waits already.
        """
