"""Attach a token and a proof to every request of an httpx client."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import httpx

from watchword.client.attempts import Attempts, GateMemory
from watchword.client.choice import ProofChoice
from watchword.client.client import WatchwordClient
from watchword.vocabulary import Proof


class WatchwordAuth(httpx.Auth):
    """Send each request with a token for one API and a proof that it comes from this instance.

    What a gate refuses and the client can mend is mended, and the request sent again with a new
    proof, twice at most: see :mod:`watchword.client.attempts`.

    Use it on an ``httpx.Client`` that talks to this API alone, and leave redirects off (httpx's
    default): a redirected request would carry the token to wherever it is sent.

    A request whose body is a stream can't be sent twice: its refusal is handed back as it is, except a
    411, after which it goes with its length.  It can't be hashed before it is sent either: unless the app
    sets ``Content-Digest`` itself (:func:`watchword.client.content_digest`), it goes with the token alone.

    An answer that never came is httpx's own error here, since no ``httpx.Auth`` hears of it:
    :class:`watchword.client.WatchwordTransport` does, and follows redirects.
    """

    def __init__(
        self,
        client: WatchwordClient,
        audience: str,
        *,
        proof: ProofChoice = Proof.SESSION,
        dpop: bool = False,
        binding_header: str | None = None,
        or_without: bool = False,
    ) -> None:
        """Take tokens for ``audience`` from ``client``.

        :param proof: ``session`` (an HMAC: costs nothing), ``device`` (a signature by the hardware), ``bearer``
            (the token alone), or what chooses for each request: ``Proofs(device=["/payments/**"])`` or any
            function.  Where a route asks for none, a proof is ignored; where it asks for another one, the
            request is sent once more with that.
        :param dpop: make device proofs as DPoP (RFC 9449), which cover neither query nor body.
        :param binding_header: bind tokens to the value of this header in each request (``binding_header``
            of the API); a changed value gets new tokens.  For one user at a time.
        :param or_without: send a request without a token where none is to be had, instead of
            raising, with ``Watchword-Status`` in its place.  For the time of a roll-out: a gate in ``monitor``
            counts such requests and lets them pass, one in ``enforce`` refuses them.  The server decides, never the app.
        :raises ValueError: on a name that is no proof's.
        """
        self._client = client
        self._audience = audience
        self._proof: ProofChoice = proof if callable(proof) else Proof(proof)
        self._dpop = dpop
        self._binding_header = binding_header
        self._or_without = or_without
        self._memory = GateMemory()

    def begin(self, request: httpx.Request, *, redirected: bool = False) -> Attempts:
        """Return what carries a request through its attempts; nothing is attached yet.

        :param redirected: whether an answer led to it, and not the app.
        """
        if self._binding_header is not None:
            value = request.headers.get(self._binding_header)
            if value is not None:  # A request without it must not cost the others their tokens.
                self._client.bind(value)
        return Attempts(
            self._client,
            self._audience,
            request,
            self._proof,
            self._memory,
            dpop=self._dpop,
            or_without=self._or_without,
            redirected=redirected,
        )

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Attach token and proof; after a refusal that can be mended do so again."""
        attempts = self.begin(request)
        attempts.watch_wire(asynchronous=False)
        if attempts.wants_length:
            attempts.give_length(attempts.kept_body())
        attempts.prepare()
        response = yield request
        while True:
            if attempts.needs_length(response):
                attempts.prepare_with_length(attempts.kept_body())
            elif not attempts.may_go_on(response) or not attempts.prepare_again(
                response, response.read()
            ):
                return
            response = yield request

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do the same for an ``httpx.AsyncClient``; service and device are asked in a thread."""
        attempts = self.begin(request)
        attempts.watch_wire(asynchronous=True)
        if attempts.wants_length:
            attempts.give_length(await attempts.kept_body_async())
        await asyncio.to_thread(attempts.prepare)
        response = yield request
        while True:
            if attempts.needs_length(response):
                body = await attempts.kept_body_async()
                await asyncio.to_thread(attempts.prepare_with_length, body)
            elif not attempts.may_go_on(response) or not await asyncio.to_thread(
                attempts.prepare_again, response, await response.aread()
            ):
                return
            response = yield request
