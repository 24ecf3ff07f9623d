"""Forward requests to the third parties that keys are lent to, with the key added and nothing of the app's besides.

The connection is this side's alone: HTTPS to the rule's origin, at an address that was checked, with the certificate of its
name, one pool for each secret.  No redirect is followed.  What comes back is capped, and searched for the key as a whole
before any of it goes on.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Final, NamedTuple

import httpcore

from watchword.adapters.edge_wire import Resolver, SystemResolver
from watchword.apps.gateway.proxy.bodies import BrokenBodyError, RequestBody
from watchword.apps.gateway.proxy.channels import Channels
from watchword.apps.gateway.proxy.exchange import (
    UPSTREAM_ERRORS,
    Receive,
    Scope,
    Send,
    Timeouts,
    check_protocol,
    end,
    while_client_stays,
)
from watchword.apps.gateway.proxy.headers import VIA, has_body
from watchword.apps.gateway.proxy.key_search import KeyForms, KeySearch
from watchword.apps.gateway.proxy.lent_answer import Ends, hand_on
from watchword.apps.gateway.proxy.turns import Room, Turns
from watchword.broker.interface import EdgeRule, LentValue, UsageLedger, Use
from watchword.gate.interface import Decision, GateState
from watchword.gate.lending import place_key, request_fields
from watchword.ports import Clock
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError

RETRY_AFTER_SECONDS: Final = 5
"""When a client may try again after a refusal for unavailability."""

_AGENT: Final = (b"user-agent", b"watchword")
"""The app's own would tell a third party what phone it is; a rule may name it, or put the key there."""

_NEVER_SENT: Final = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout)
_HTTPS: Final = 443


class _Call(NamedTuple):
    """Hold one request on its way.

    :param fields: with the key in them, or ``target`` has it.
    :param now: seconds since 1970, by which it is counted.
    """

    rule: EdgeRule
    value: LentValue
    use: Use
    now: float
    method: str
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: RequestBody


class Lender:
    """Add keys to requests that the gate allowed, and forward them.

    :ivar room: for answers that are held until they were searched.
    """

    def __init__(
        self,
        state: GateState,
        ledger: UsageLedger,
        clock: Clock,
        *,
        resolver: Resolver | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Prepare to forward; no connection is made yet.

        :param state: knows the values; asked at each request, so that a rotation needs no restart.
        :param ledger: counts what instances use; whoever made it closes it.
        :param resolver: the system's if None.
        :param timeouts: those of connecting, of writing, of the pool and of the client's body count here; how long
            an answer may take is the rule's.
        """
        self._state = state
        self._ledger = ledger
        self._timestamp = clock.timestamp
        self._own_resolver = SystemResolver()
        self._channels = Channels(resolver or self._own_resolver)
        self._timeouts = timeouts or Timeouts()
        self._forms: dict[str, KeyForms] = {}
        self._turns = Turns()
        self.room = Room()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._channels.aclose()
        self._own_resolver.close()

    async def forward(
        self, decision: Decision, scope: Scope, receive: Receive, send: Send, ends: Ends
    ) -> None:
        """Forward one request that the gate allowed, with its key, and hand the answer back.

        1. No tunnel, no echo, no change of protocol.
        2. There is a value now, and a place for it.
        3. It has its turn (:mod:`watchword.apps.gateway.proxy.turns`).
        4. The instance has some of its quota left; the call is counted before it is sent, since nobody could take
           back what was sent too much.
        5. It is sent once.  One that certainly wasn't sent is taken off the count again.

        :param decision: with ``lending`` and ``claims``.
        :param ends: how a failure is told.
        """
        try:
            call = self._prepared(decision, scope, receive)
        except RefusedError as error:
            await ends.refuse(error.refusals[0], None)
        except UnavailableError as error:
            await ends.refuse(Refusal(error.reason, error.detail), RETRY_AFTER_SECONDS)
        else:
            await while_client_stays(self._in_turn(call, send, ends), call.body)

    def _prepared(self, decision: Decision, scope: Scope, receive: Receive) -> _Call:
        """Return the call with the key in its place.

        :raises RefusedError: ``gate.protocol``, ``secret.placeholder``, ``request.malformed``.
        :raises UnavailableError: ``secret.unavailable``; ``gate.state_unavailable``.
        """
        if decision.lending is None or decision.claims is None:
            raise RefusedError.because(Reason.TOKEN_MISSING, "a key is lent to nobody unverified")
        rule, path = decision.lending
        refusal = check_protocol(scope) or _check_upgrade(scope)
        if refusal is not None:
            raise RefusedError((refusal,))
        now_known = self._state.policy.edges.get(rule.secret)
        if now_known is not rule and now_known != rule:
            # Decided on before a body came that took its time: what is lent now isn't for the origin of then.
            raise UnavailableError(
                Reason.SECRET_UNAVAILABLE, f"{rule.secret} is lent to another origin by now"
            )
        value = self._state.lent(rule.secret)
        if value is None:
            raise UnavailableError(
                Reason.SECRET_UNAVAILABLE, f"there is nothing to lend for {rule.secret}"
            )
        fields = request_fields(rule, decision.headers)
        fields, query = place_key(rule.place, value.value, fields, scope["query_string"])
        stated = [(b"accept-encoding", b"identity"), _AGENT, VIA]
        if any(name == _AGENT[0] for name, _ in fields):
            stated.remove(_AGENT)
        fields = [(b"host", _authority(rule)), *fields, *stated]
        if scope["method"] == "HEAD":
            # As in the proxy: some servers send a body all the same.
            fields.append((b"connection", b"close"))
        return _Call(
            rule=rule,
            value=value,
            use=Use(
                rule.secret, value.version, decision.claims.counted_as, rule.cost, rule.allowances
            ),
            now=self._timestamp(),
            method=scope["method"],
            target=path + b"?" + query if query else path,
            fields=fields,
            body=RequestBody(receive, expected=has_body(fields), patience=self._timeouts.body),
        )

    async def _in_turn(self, call: _Call, send: Send, ends: Ends) -> None:
        """Carry the call out once its instance has fewer others under way."""
        async with AsyncExitStack() as turn:
            try:
                await turn.enter_async_context(
                    self._turns.one(call.rule.secret, call.use.who, self._timeouts.pool)
                )
            except TimeoutError:
                failure = f"{call.rule.secret}: this instance has too many calls under way"
                await ends.refuse(Refusal(Reason.GATE_UPSTREAM, failure), None)
                return
            await self._run(call, send, ends)

    async def _run(self, call: _Call, send: Send, ends: Ends) -> None:
        """Count the call, send it once, and answer with what comes back or with why nothing did."""
        try:
            spent = await self._ledger.take(call.use, call.now)
            if spent is not None:
                reason = Reason.SECRET_QUOTA if spent.by_calls else Reason.SECRET_SPEND
                wait = max(1, math.ceil(spent.wait))
                refusal = Refusal(reason, f"{call.rule.secret}: the window ends in {wait} s")
                await ends.refuse(refusal, wait)
                return
            async with self._channels.pool(call.rule, self._state.policy.edges) as pool:
                response = await self._sent(call, pool)
                if isinstance(response, Refusal):
                    await ends.refuse(response, None)
                    return
                search = KeySearch(
                    self._forms_of(call),
                    whole=call.rule.reflects,
                    clock=asyncio.get_running_loop().time,
                )
                try:
                    with self.room.one(call.use.who) as room:
                        await hand_on(
                            response,
                            call.rule,
                            search,
                            send,
                            ends,
                            room=room,
                            timeouts=self._timeouts,
                            bodiless=call.method == "HEAD",
                        )
                finally:
                    await end(response)
        except UnavailableError as error:
            await ends.refuse(Refusal(error.reason, error.detail), RETRY_AFTER_SECONDS)

    async def _sent(
        self, call: _Call, pool: httpcore.AsyncConnectionPool
    ) -> httpcore.Response | Refusal:
        """Send the request once; return the answer's head, or why there is none."""
        body, seconds = call.body, call.rule.seconds
        expected = has_body(call.fields)
        try:
            async with asyncio.timeout(seconds + self._timeouts.body * expected) as limit:
                request = httpcore.Request(
                    call.method,
                    _url(call),
                    headers=call.fields,
                    content=self._paced(body, limit, seconds) if expected else None,
                    extensions={"timeout": self._waits(call.rule)},
                )
                return await pool.handle_async_request(request)
        except (httpcore.LocalProtocolError, BrokenBodyError):
            return Refusal(Reason.REQUEST_MALFORMED, "got a request that can't be forwarded")
        except RefusedError as error:
            await self._give_back(call)
            return error.refusals[0]
        except _NEVER_SENT as error:
            await self._give_back(call)
            return _no_answer(call, error)
        except UPSTREAM_ERRORS as error:
            return _no_answer(call, error)

    async def _paced(
        self, body: RequestBody, limit: asyncio.Timeout, seconds: float
    ) -> AsyncIterator[bytes]:
        """Yield a body, and let the time for the answer's head begin where it ends."""
        clock = asyncio.get_running_loop().time
        async for piece in body.chunks():
            limit.reschedule(clock() + self._timeouts.body + seconds)
            yield piece
        limit.reschedule(clock() + seconds)

    def _waits(self, rule: EdgeRule) -> dict[str, float]:
        return {
            "connect": min(self._timeouts.connect, rule.seconds),
            "read": rule.seconds,
            "write": min(self._timeouts.write, rule.seconds),
            "pool": self._timeouts.pool,
        }

    def _forms_of(self, call: _Call) -> KeyForms:
        """Return in what forms this call's key may come back; those of an older value are let go."""
        name, value = call.rule.secret, call.value.value
        forms = self._forms.get(name)
        if forms is None or forms.value != value:
            forms = self._forms[name] = KeyForms(value)
        return forms

    async def _give_back(self, call: _Call) -> None:
        # Where that fails too, the call stays counted: never the other way round.
        with suppress(UnavailableError):
            await self._ledger.give_back(call.use, call.now)


def _url(call: _Call) -> httpcore.URL:
    host = call.rule.host.encode("ascii")
    return httpcore.URL(scheme=b"https", host=host, port=call.rule.port, target=call.target)


def _authority(rule: EdgeRule) -> bytes:
    """Return ``Host`` of the origin: IPv6 in brackets, the usual port left out."""
    host = f"[{rule.host}]" if ":" in rule.host else rule.host
    return (host if rule.port == _HTTPS else f"{host}:{rule.port}").encode("ascii")


def _check_upgrade(scope: Scope) -> Refusal | None:
    if any(name.lower() == b"upgrade" for name, _ in scope["headers"]):
        return Refusal(Reason.GATE_PROTOCOL, "got Upgrade, expected a request for an answer")
    return None


def _no_answer(call: _Call, error: Exception) -> Refusal:
    return Refusal(
        Reason.GATE_UPSTREAM, f"{call.rule.secret}: no answer of its origin: {type(error).__name__}"
    )
