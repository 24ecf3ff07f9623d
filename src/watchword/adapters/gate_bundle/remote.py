"""Fetch a bundle from a service on another machine, over mutual TLS."""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from watchword.adapters.http_server.tls import load_authority, load_certificate
from watchword.gate.bundle import MAX_BUNDLE_BYTES
from watchword.gate.chain import MAX_CHAIN_BYTES, VERSION
from watchword.reasons import WatchwordError

VERSION_HEADER: Final = "watchword-bundle"
"""Names the version of bundles that a gate reads, and where its chain ends: ``2``, or ``2 TIP GENERATION``."""

CHAIN_MEDIA_TYPE: Final = "application/watchword-chain"
"""What an answer is that holds lines of a chain."""

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 40.0
"""How long nothing may come: the service lets a gate wait for 25 seconds."""

BODY_SECONDS: Final = 120.0
"""In which a bundle must be there once it began: the largest one at 200 kB/s."""

_MODIFIED: Final = 200
_NOT_MODIFIED: Final = 304
_DENIED: Final = frozenset({401, 403, 404})


class FetchError(WatchwordError):
    """Report that no bundle came; it is worth another try."""


class DeniedError(WatchwordError):
    """Report that none will come before somebody changes something; the text says what."""


def client_tls(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return what a gate needs to fetch its bundle: TLS 1.3, its certificate, whom to believe.

    :param authority: who signs the service's certificate; no other authority is believed.
    :raises TlsFilesError: when one of the files can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    load_certificate(context, certificate, key)
    load_authority(context, authority)
    return context


@dataclass(frozen=True, slots=True)
class Known:
    """Hold what a gate has when it asks.

    :param wait_above: the generation that it has, which lets the service wait for a higher one; None asks for whatever
        there is.
    :param tip: the hash of its chain's last line, None where it has no chain.
    :param generation: of that line.
    """

    wait_above: int | None = None
    tip: str | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """Hold what came, unverified.

    :param chain: whether it is a chain or what follows ours, and not a bundle of the first version.
    """

    data: bytes
    chain: bool

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Fetched({len(self.data)} bytes, chain={self.chain})"


class BundleSource:
    """Ask one service for the bundle of one API."""

    def __init__(
        self,
        url: str,
        api: str,
        tls: ssl.SSLContext,
        *,
        body_seconds: float = BODY_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is opened yet.

        :param url: ``https://host:port`` of the service's listener for gates.
        :param body_seconds: how long a bundle may take that comes in small pieces.
        """
        self._body_seconds = body_seconds
        self._monotonic = monotonic
        self._path = f"{url.rstrip('/')}/v1/gates/{api}/bundle"
        self._api = api
        self._http = httpx.Client(
            verify=tls,
            # Secrets come back: nobody in between is to be trusted because a variable says so.
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def fetch(self, known: Known) -> Fetched | None:
        """Return what the service has, unverified; None when there is nothing newer.

        The question names the highest version that we read.  A service that doesn't know it answers with the first.

        :raises FetchError: when the service can't be reached or can't answer now.
        :raises DeniedError: when it isn't the service, or it doesn't know this gate.
        """
        told = str(VERSION) if known.tip is None else f"{VERSION} {known.tip} {known.generation}"
        headers = {"accept-encoding": "identity", VERSION_HEADER: told}
        if known.wait_above is not None:
            headers["if-none-match"] = f'"{known.wait_above}"'
        try:
            with self._http.stream("GET", self._path, headers=headers) as answer:
                return self._read(answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _explained(error) from None

    def fetch_first(self, known: int | None) -> bytes | None:
        """Return the first version of the bundle, unverified; None where it is of the generation ``known``.

        :raises FetchError, DeniedError: as :meth:`fetch`.
        """
        headers = {"accept-encoding": "identity"}
        try:
            with self._http.stream("GET", self._path, headers=headers) as answer:
                if known is not None and answer.headers.get("etag") == f'"{known}"':
                    return None
                found = self._read(answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _explained(error) from None
        return None if found is None else found.data

    def _read(self, answer: httpx.Response) -> Fetched | None:
        if answer.status_code == _NOT_MODIFIED:
            return None
        if answer.status_code in _DENIED:
            raise DeniedError(
                f"the service refused: this gate's certificate isn't under gates.clients with the "
                f"API {self._api} (status {answer.status_code})"
            )
        if answer.status_code != _MODIFIED:
            raise FetchError(f"the service answered with status {answer.status_code}")
        chain = answer.headers.get("content-type") == CHAIN_MEDIA_TYPE
        most = MAX_CHAIN_BYTES if chain else MAX_BUNDLE_BYTES
        body, until = bytearray(), self._monotonic() + self._body_seconds
        for chunk in answer.iter_raw():
            body += chunk
            if len(body) > most:
                raise FetchError(f"the service sent more than {most} bytes")
            if self._monotonic() > until:
                # A byte now and then would keep the gate from hearing anything, and say nothing.
                raise FetchError(
                    f"the service sent its bundle for more than {self._body_seconds} s"
                )
        return Fetched(bytes(body), chain)


def _explained(error: Exception) -> FetchError | DeniedError:
    """Tell a matter of certificates, which stays, from one of the network, which passes."""
    tls = _tls_error(error)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return DeniedError(
            f"the service's certificate isn't to be believed: {tls.verify_message}; compare --ca "
            "and the host in --url with it"
        )
    if tls is not None and "ALERT" in (tls.reason or ""):
        return DeniedError(
            "the service doesn't believe this gate's certificate: expected one that gates.client_ca "
            f"signed, for a client, and in its days ({(tls.reason or '').lower().replace('_', ' ')})"
        )
    return FetchError(f"the service can't be reached: {str(error) or type(error).__name__}")


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None
