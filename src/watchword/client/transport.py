"""Attach token and proof to each attempt on the wire: below the HTTP library's redirects and retries."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from watchword.client.attempts import UNSENT, Attempts
from watchword.client.auth import WatchwordAuth
from watchword.client.errors import ClientError, OutcomeUnknownError

_SENT: Final = "watchword.sent"
"""Extension of a request; httpx hands it on to the requests that redirects make of it."""

_GATEWAYS_OWN: Final = frozenset({502, 504})
"""Answers of a gateway that lost the API's: it may have carried the request out."""


class _Sent:
    """Hold what became of a request of the app so far.

    :ivar origin: the API's; what is redirected elsewhere gets no token.
    :ivar unknown: whether it may have been carried out, and no answer tells.
    """

    def __init__(self, origin: tuple[str, bytes, int | None], request: httpx.Request) -> None:
        self.origin = origin
        self.unknown = False
        self._first = request

    def is_redirect(self, request: httpx.Request) -> bool:
        """Tell whether a redirect made this request; whoever repeats one sends the same object."""
        return request is not self._first

    @contextmanager
    def watched(self, attempts: Attempts) -> Iterator[None]:
        """Note that the outcome is unknown until there is an answer.

        :raises OutcomeUnknownError: if it is already, and the request mustn't be repeated.
        """
        if self.unknown:
            attempts.forbid_repetition()
        self.unknown = True
        try:
            yield
        except OutcomeUnknownError:
            raise
        except (ClientError, *UNSENT):
            self.unknown = False
            raise

    def settle(self, response: httpx.Response) -> httpx.Response:
        """Note what an answer tells, and return it."""
        self.unknown = response.status_code in _GATEWAYS_OWN
        return response


def _sent(request: httpx.Request) -> _Sent | None:
    """Return what became of a request so far; None where a redirect leads it to another origin."""
    url = request.url
    origin = (url.scheme, url.raw_host, url.port)
    sent = request.extensions.get(_SENT)
    if sent is None:
        sent = _Sent(origin, request)
        request.extensions = {**request.extensions, _SENT: sent}
    assert isinstance(sent, _Sent)
    return sent if sent.origin == origin else None


def _copy(request: httpx.Request) -> httpx.Request:
    """Return the request to be sent: token and proof stay out of the app's, and so out of redirects."""
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions=request.extensions,
    )


class WatchwordTransport(httpx.BaseTransport):
    """Be the transport of an ``httpx.Client`` for one API: ``httpx.Client(transport=WatchwordTransport(auth))``.

    Does what :class:`watchword.client.WatchwordAuth` does, and what that can't:

    * an answer that is lost is asked for again where the request may be repeated; elsewhere
      :class:`watchword.client.OutcomeUnknownError` is raised;
    * a redirect within the API's origin is proved anew, one to another origin goes without token and proof;
    * retries above it get a fresh proof each, and none for what mustn't be repeated.

    A client with a transport takes no proxy from the environment; name it in ``transport``.
    """

    def __init__(self, auth: WatchwordAuth, transport: httpx.BaseTransport | None = None) -> None:
        """Attach by ``auth`` and send by ``transport``, an ``httpx.HTTPTransport()`` where it is None."""
        self._auth = auth
        self._transport = httpx.HTTPTransport() if transport is None else transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; at a refusal or a lost answer do what :mod:`watchword.client.attempts` says."""
        sent = _sent(request)
        if sent is None:
            return self._transport.handle_request(request)
        wire = _copy(request)
        attempts = self._auth.begin(wire, redirected=sent.is_redirect(request))
        with sent.watched(attempts):
            attempts.watch_wire(asynchronous=False)
            if attempts.wants_length:
                attempts.give_length(attempts.kept_body())
            attempts.prepare()
            while True:
                try:
                    response = self._transport.handle_request(wire)
                    if not self._goes_on(attempts, response):
                        return sent.settle(response)
                except httpx.TransportError as error:
                    attempts.prepare_after(error)

    @staticmethod
    def _goes_on(attempts: Attempts, response: httpx.Response) -> bool:
        """Prepare another attempt after an answer that asks for one; tell whether there is one."""
        if attempts.needs_length(response):
            response.close()
            attempts.prepare_with_length(attempts.kept_body())
            return True
        return attempts.may_go_on(response) and attempts.prepare_again(response, response.read())

    def close(self) -> None:
        """Close the transport below."""
        self._transport.close()


class AsyncWatchwordTransport(httpx.AsyncBaseTransport):
    """Be the same for an ``httpx.AsyncClient``; service and device are asked in a thread."""

    def __init__(
        self, auth: WatchwordAuth, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Attach by ``auth`` and send by ``transport``, an ``httpx.AsyncHTTPTransport()`` where it is None."""
        self._auth = auth
        self._transport = httpx.AsyncHTTPTransport() if transport is None else transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Do what :meth:`WatchwordTransport.handle_request` does."""
        sent = _sent(request)
        if sent is None:
            return await self._transport.handle_async_request(request)
        wire = _copy(request)
        attempts = self._auth.begin(wire, redirected=sent.is_redirect(request))
        with sent.watched(attempts):
            attempts.watch_wire(asynchronous=True)
            if attempts.wants_length:
                attempts.give_length(await attempts.kept_body_async())
            await asyncio.to_thread(attempts.prepare)
            while True:
                try:
                    response = await self._transport.handle_async_request(wire)
                    if not await self._goes_on(attempts, response):
                        return sent.settle(response)
                except httpx.TransportError as error:
                    await asyncio.to_thread(attempts.prepare_after, error)

    @staticmethod
    async def _goes_on(attempts: Attempts, response: httpx.Response) -> bool:
        if attempts.needs_length(response):
            await response.aclose()
            body = await attempts.kept_body_async()
            await asyncio.to_thread(attempts.prepare_with_length, body)
            return True
        if not attempts.may_go_on(response):
            return False
        return await asyncio.to_thread(attempts.prepare_again, response, await response.aread())

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._transport.aclose()
