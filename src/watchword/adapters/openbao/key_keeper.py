"""Keep the service's private keys in OpenBao's transit engine, so that none lies on the service's disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from watchword.adapters.keyring.file import KeyPurpose
from watchword.adapters.openbao.connection import OpenBao
from watchword.adapters.openbao.transit import TransitKey, decrypt, encrypt, make_version

SIGNING_THREADS: Final = 8
"""Enrolments that wait for signatures at the same time; each further one waits for its turn."""

_T = TypeVar("_T")


class TransitKeyKeeper:
    """Implement :class:`watchword.adapters.keyring.file.KeyKeeper`; belongs to one event loop.

    Three keys of the engine begin with the prefix: ``PREFIX-tokens`` and ``PREFIX-bundles`` (``ecdsa-p256``), of
    which each version is a key of ours, and ``PREFIX-ring`` (``aes256-gcm96``).  Whoever sets up the engine makes
    them: the service may have new versions made, and no keys.  No two deployments may share a prefix.
    """

    def __init__(self, bao: OpenBao, prefix: str) -> None:
        """Keep the connection, which others may use and close; nothing is asked yet."""
        self._bao = bao
        self._prefix = prefix
        self._threads = ThreadPoolExecutor(SIGNING_THREADS, thread_name_prefix="openbao-signing")
        self._places = asyncio.Semaphore(SIGNING_THREADS)

    def make(self, purpose: KeyPurpose) -> TransitKey:
        """See :meth:`watchword.adapters.keyring.file.KeyKeeper.make`."""
        name, mount = self._name(purpose.value), self._bao.place.transit
        version, public = self._bao.ask_here(lambda client: make_version(client, mount, name))
        return TransitKey(name, version, public, self._bao)

    def held(self, purpose: KeyPurpose, version: int, public: EllipticCurvePublicKey) -> TransitKey:
        """See :meth:`watchword.adapters.keyring.file.KeyKeeper.held`."""
        return TransitKey(self._name(purpose.value), version, public, self._bao)

    def seal(self, data: bytes, context: bytes) -> str:
        """See :meth:`watchword.adapters.keyring.file.KeyKeeper.seal`."""
        name, mount = self._name("ring"), self._bao.place.transit
        sealed = self._bao.ask_here(lambda client: encrypt(client, mount, name, data, context))
        return sealed.decode("ascii")

    def unseal(self, sealed: str, context: bytes) -> bytes:
        """See :meth:`watchword.adapters.keyring.file.KeyKeeper.unseal`."""
        name, mount = self._name("ring"), self._bao.place.transit
        # Whatever isn't ASCII is no ciphertext, and found so there.
        wrapped = sealed.encode("ascii", "replace")
        return self._bao.ask_here(lambda client: decrypt(client, mount, name, wrapped, context))

    async def aside(self, work: Callable[[], _T]) -> _T:
        """See :meth:`watchword.adapters.keyring.file.KeyKeeper.aside`."""
        seconds = self._bao.place.timeout
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            raise self._bao.unavailable(
                f"signatures are asked for faster than they come, for {seconds:g} s"
            ) from None
        try:
            return await self._started(work)
        finally:
            self._places.release()

    def _started(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        try:
            return asyncio.get_running_loop().run_in_executor(self._threads, work)
        except RuntimeError:
            raise self._bao.unavailable("is being closed") from None

    def close(self) -> None:
        """Let go of the threads; what they do at the moment ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def aclose(self) -> None:
        """See :meth:`close`."""
        self.close()

    def _name(self, what: str) -> str:
        return f"{self._prefix}-{what}"
