"""Attach a token to every request of an httpx client."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Final

import httpx

from watchword.client.client import WatchwordClient
from watchword.client.errors import ClientError
from watchword.client.exchange import MAX_ANSWER_BYTES, read_problem
from watchword.reasons import PublicClass

TOKEN_HEADER: Final = "Watchword-Token"  # noqa: S105 - the header's name.


class WatchwordAuth(httpx.Auth):
    """Send each request with a token for one API; renew and send it again once if that is refused.

    Use it on an ``httpx.Client`` that talks to this API alone, and leave redirects off (httpx's
    default): a redirected request would carry the token to wherever it is sent.

    A request whose body is a stream can't be sent twice: its refusal is handed back as it is.
    """

    def __init__(self, client: WatchwordClient, audience: str, *, or_without: bool = False) -> None:
        """Take tokens for ``audience`` from ``client``.

        :param or_without: send a request without a token where none is to be had, instead of
            raising.  For the time of a roll-out: a gate in ``monitor`` counts such requests and
            lets them pass, one in ``enforce`` refuses them.  The server decides, never the app.
        """
        self._client = client
        self._audience = audience
        self._or_without = or_without

    def _token(self) -> str | None:
        """Return a token; None only where requests may go without."""
        try:
            return self._client.token(self._audience)
        except ClientError:
            if self._or_without:
                return None
            raise

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Attach a token; after a refusal of it attach another one, once."""
        token = self._token()
        if token is None:
            yield request
            return
        request.headers[TOKEN_HEADER] = token
        repeatable = isinstance(request.stream, httpx.ByteStream)
        response = yield request
        if not repeatable or response.status_code != PublicClass.TOKEN_REFUSED.status:
            return
        if _is_token_refused(response, response.read()):
            request.headers[TOKEN_HEADER] = self._client.replace_token(self._audience, token)
            yield request

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do the same for an ``httpx.AsyncClient``; the service is asked in a thread."""
        token = await asyncio.to_thread(self._token)
        if token is None:
            yield request
            return
        request.headers[TOKEN_HEADER] = token
        repeatable = isinstance(request.stream, httpx.ByteStream)
        response = yield request
        if not repeatable or response.status_code != PublicClass.TOKEN_REFUSED.status:
            return
        if _is_token_refused(response, await response.aread()):
            request.headers[TOKEN_HEADER] = await asyncio.to_thread(
                self._client.replace_token, self._audience, token
            )
            yield request


def _is_token_refused(response: httpx.Response, body: bytes) -> bool:
    """Tell a gate's refusal of the token from a 401 of the API behind it."""
    problem = read_problem(response, body[:MAX_ANSWER_BYTES])
    return problem is not None and problem.slug == PublicClass.TOKEN_REFUSED.slug
