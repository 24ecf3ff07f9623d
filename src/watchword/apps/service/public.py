"""Answer the public requests, and those of gates on other machines: one route a line."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog

from watchword.adapters.gate_bundle.remote import CHAIN_MEDIA_TYPE, VERSION_HEADER
from watchword.apps.service.app import (
    Request,
    Response,
    Route,
    Urgency,
    json_response,
    require_members,
    text_member,
)
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.openapi import DOCUMENT
from watchword.encoding import base64url
from watchword.enrolment.interface import (
    MAX_STATEMENT_BYTES,
    Enrolled,
    EnrolmentRequest,
    RenewalRequest,
)
from watchword.enrolment.pace import MAX_PLACE_CHARACTERS
from watchword.enrolment.statement import MAX_NAME_CHARACTERS, PURPOSES
from watchword.enrolment.tickets import MAX_BYTES
from watchword.pins.interface import ROOTS_MEDIA_TYPE, SET_MEDIA_TYPE
from watchword.pins.reports import MAX_REPORT_BYTES, parse_report
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError
from watchword.tokens.jose import published_jwk
from watchword.vocabulary import Purpose

PROTOCOL: Final = "1.1"
"""What the answer to a challenge says: clients send nothing newer than 1.0 before they read it."""

_MAX_STATEMENT_CHARACTERS: Final = (MAX_STATEMENT_BYTES * 4 + 2) // 3
_MAX_ID_CHARACTERS: Final = 64
_MAX_TICKET_CHARACTERS: Final = (MAX_BYTES * 4 + 2) // 3
_log = structlog.get_logger()


async def create_instance(context: ServiceContext, request: Request) -> Response:
    """Enrol an instance and return its first tokens."""
    require_members(request.members, "statement", "evidence")
    context.safeguards.require_steady_clock()
    await context.cuts.issuable()
    now = context.clock.now()
    enrolled = await context.enrolment.enrol(
        EnrolmentRequest(_statement(request.members), _evidence(request.members), request.address),
        now,
    )
    instance = enrolled.instance
    _log.info("enrolled", instance=instance.id, app=instance.app, attested=instance.level.value)
    return json_response(201, _document(context, enrolled, now))


async def create_tokens(context: ServiceContext, request: Request) -> Response:
    """Renew an instance and return fresh tokens."""
    context.safeguards.require_steady_clock()
    await context.cuts.issuable()
    now = context.clock.now()
    members = dict(request.members)
    ticket = _ticket(members.pop("ticket", None))
    renewal = read_renewal(members, ticket, request.leave)
    renewed = await context.enrolment.renew(renewal, now)
    return json_response(200, _document(context, renewed, now))


def read_renewal(
    members: Mapping[str, Any],
    ticket: bytes | None = None,
    leave: Callable[[], None] | None = None,
) -> RenewalRequest:
    """Return what an enrolled instance sent: its id, a statement and evidence.

    :raises MalformedError: ``request.malformed``, ``encoding.base64url``.
    """
    require_members(members, "instance", "statement", "evidence")
    return RenewalRequest(
        text_member(members, "instance", _MAX_ID_CHARACTERS),
        _statement(members),
        _evidence(members),
        ticket,
        leave,
    )


def _ticket(given: Any) -> bytes | None:
    """Return a ticket; one that can't be one is as good as none, since a client never looks into it."""
    if not isinstance(given, str) or len(given) > _MAX_TICKET_CHARACTERS:
        return None
    try:
        return base64url.decode(given, _MAX_TICKET_CHARACTERS)
    except MalformedError:
        return None


def _statement(members: Mapping[str, Any]) -> bytes:
    text = text_member(members, "statement", _MAX_STATEMENT_CHARACTERS)
    return base64url.decode(text, _MAX_STATEMENT_CHARACTERS)


def _evidence(members: Mapping[str, Any]) -> Mapping[str, Any]:
    evidence = members["evidence"]
    if not isinstance(evidence, dict):
        raise MalformedError.because(Reason.REQUEST_MALFORMED, "expected evidence to be an object")
    return evidence


def _document(context: ServiceContext, enrolled: Enrolled, now: datetime) -> dict[str, Any]:
    published = context.pins.newest(enrolled.instance.app)
    # A hint of when to look, and nothing that is believed: the set itself is signed.
    pins = {} if published is None else {"pins": published.pin_set.version}
    return pins | {
        "instance": enrolled.instance.id,
        "level": enrolled.instance.level.value,
        "tokens": [
            {
                "aud": token.audience,
                "token": token.token,
                "expires_in": token.lifetime,
                "session_key": base64url.encode(token.sealed_key),
            }
            for token in enrolled.tokens
        ],
        "next": {
            "challenge": base64url.encode(enrolled.next.challenge),
            "expires_in": enrolled.next.lifetime,
        }
        | _given(enrolled.next.ticket),
        "now": int(now.timestamp()),
    }


def _given(ticket: bytes | None) -> dict[str, str]:
    return {} if ticket is None else {"ticket": base64url.encode(ticket)}


async def create_challenge(context: ServiceContext, request: Request) -> Response:
    """Return a fresh challenge; nothing is stored.

    Where enrolments are paced, who enrols waits for his turn.  A place is looked at only there, so that a client may
    bring one that it was given before the pace was switched off.

    :raises LaterError: ``enrolment.later``, with the place to bring back.
    """
    members = dict(request.members)
    place = members.pop("place", None)
    require_members(members, "app", "purpose")
    app = text_member(members, "app", MAX_NAME_CHARACTERS)
    try:
        purpose = Purpose(members["purpose"])
    except ValueError:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected as purpose one of: {PURPOSES}"
        ) from None
    if "place" in request.members:
        place = text_member(request.members, "place", MAX_PLACE_CHARACTERS)
    now, nonce = context.clock.now(), None
    if purpose is Purpose.ENROL and context.paced is not None:
        # A place ends by this clock.  The client keeps it, and comes again.
        context.safeguards.require_steady_clock()
        nonce = context.paced.pace.admit(app, place, request.address, now)
    challenge, seconds = context.enrolment.challenge(app, purpose, now, nonce)
    return json_response(
        200,
        {
            "challenge": base64url.encode(challenge),
            "expires_in": seconds,
            "protocol": PROTOCOL,
        },
    )


CACHE_SECONDS: Final = 60
"""How long a cache may hand out a set or a root list: at 3 a.m. the next one must not wait for it."""

REPORT_RETRY_SECONDS: Final = 60
"""After how long a report may come again that there was no room for."""

_CACHE: Final = f"public, max-age={CACHE_SECONDS}".encode()
_VERSION: Final = re.compile(r"[1-9][0-9]{0,15}")
_TAG: Final = re.compile(rb'(?:W/)?"([^"]*)"')


async def show_pins(context: ServiceContext, request: Request) -> Response:
    """Return the newest set of an app as it was signed, or 304 for one who has it.

    :raises RefusedError: ``request.not_found`` for an app that nothing is published for.
    """
    published = context.pins.newest(request.parameters["app"])
    if published is None:
        raise RefusedError.because(
            Reason.REQUEST_NOT_FOUND, "expected an app that pins are published for"
        )
    tag = published.tag.encode()
    headers = ((b"etag", b'"' + tag + b'"'), (b"cache-control", _CACHE))
    known = request.headers.get(b"if-none-match", b"")
    if known.strip() == b"*" or tag in _TAG.findall(known):
        return Response(304, b"", headers)
    return Response(200, published.data, ((b"content-type", SET_MEDIA_TYPE.encode()), *headers))


async def show_root_list(context: ServiceContext, request: Request) -> Response:
    """Return a root list as it was signed; also for an app whose set counts no more, which needs it most.

    :raises RefusedError: ``request.not_found`` for a version that isn't there yet.
    """
    app, version = request.parameters["app"], request.parameters["version"]
    data = None
    if app in context.pins.apps and _VERSION.fullmatch(version):
        data = context.pins.root_list(int(version))
    if data is None:
        raise RefusedError.because(Reason.REQUEST_NOT_FOUND, "expected a root list that is there")
    headers = ((b"content-type", ROOTS_MEDIA_TYPE.encode()), (b"cache-control", _CACHE))
    return Response(200, data, headers)


async def report_failure(context: ServiceContext, request: Request) -> Response:
    """Count a report; one of an app or a host that isn't pinned is answered alike, so that nobody learns which are.

    :raises RefusedError: ``request.not_found`` where no host is pinned at all.
    :raises MalformedError: ``request.body_too_large``, or as :func:`watchword.pins.reports.parse_report` does.
    :raises UnavailableError: ``service.overloaded`` for one report too many.
    """
    if not context.pins.apps:
        raise RefusedError.because(Reason.REQUEST_NOT_FOUND, "expected a service of pinned hosts")
    if len(request.body) > MAX_REPORT_BYTES:
        raise MalformedError.because(
            Reason.REQUEST_BODY_TOO_LARGE, f"expected at most {MAX_REPORT_BYTES} bytes"
        )
    # Before it is parsed: whole chains of certificates cost more than counting.
    if not context.pin_reports.has_room():
        raise UnavailableError(
            Reason.SERVICE_OVERLOADED,
            "more reports than are taken",
            retry_after=REPORT_RETRY_SECONDS,
        )
    media_type = request.headers.get(b"content-type", b"").decode("latin-1")
    context.pin_reports.record(parse_report(request.body, media_type))
    return Response(204, b"", ((b"cache-control", b"no-store"),))


JWKS_SECONDS: Final = 300
"""How long engines may keep the JWKS; a prepared key is in it long before it signs."""


async def show_keys(context: ServiceContext, _request: Request) -> Response:
    """Return the JWK Set."""
    cache = f"public, max-age={JWKS_SECONDS}".encode()
    return json_response(200, context.keyring.jwks(context.clock.timestamp()), cache)


async def show_verdict_keys(context: ServiceContext, request: Request) -> Response:
    """Return the JWK Set of the gates of one API, for that API to check their verdicts.

    :raises RefusedError: ``request.not_found`` for an API that isn't there.
    """
    audience = context.publisher.audience_of(request.parameters["api"])
    if audience is None:
        raise RefusedError.because(Reason.REQUEST_NOT_FOUND, "expected the name of an API")
    signer = context.keyring.verdict_signer(audience)
    key = published_jwk(signer.kid, signer.public)
    return json_response(200, {"keys": [key]}, f"public, max-age={JWKS_SECONDS}".encode())


async def show_health(context: ServiceContext, _request: Request) -> Response:
    """Return 200 when the service could enrol now; a store that can't be written is a 503, and a clock that jumped.

    Pins that aren't followed are told and no reason to take the service away: it hands out what it did.
    """
    context.safeguards.require_steady_clock()
    await context.store.check_writable()
    fault = {"pins": "fault"} if context.pins.faults else {}
    return json_response(200, {"status": "ok"} | fault)


async def show_readiness(context: ServiceContext, _request: Request) -> Response:
    """Return 200 where a load balancer may send requests here, else 503 with the reasons.

    Of one node alone :func:`show_health` says the same; a node of several can be well, and unlike the others.
    """
    reasons = list(context.nodes.unready())
    try:
        context.safeguards.require_steady_clock()
    except UnavailableError:
        reasons.append("clock")
    try:
        await context.store.check_writable()
    except UnavailableError:
        reasons.append("store")
    if context.secrets.rows is not None and context.secrets.rows.trouble():
        reasons.append("keys")
    reasons = sorted(set(reasons))
    return json_response(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})


async def show_description(_context: ServiceContext, _request: Request) -> Response:
    """Return the OpenAPI document of the public listener."""
    return json_response(200, DOCUMENT, b"public, max-age=300")


async def create_lease(context: ServiceContext, request: Request) -> Response:
    """Hand a secret to an instance, sealed, under a lease."""
    context.safeguards.require_steady_clock()
    now = context.clock.now()
    delivered = await context.delivery.deliver(read_renewal(request.members), now)
    lease = delivered.lease
    _log.info("delivered", instance=lease.instance_id, name=lease.secret, version=lease.version)
    return json_response(
        200,
        {
            "name": lease.secret,
            "version": lease.version,
            "lease": lease.id,
            "expires_in": delivered.expires_in,
            "expires_at": int(lease.expires_at.timestamp()),
            "sealed": base64url.encode(delivered.sealed),
            "now": int(now.timestamp()),
        },
    )


WAIT_SECONDS: Final = 25.0
"""How long a gate that has the newest bundle waits for another one: shorter than the idle
timeouts of what may stand between the machines."""

MAX_WAITING: Final = 16
"""Most requests that wait under one name: one gate needs one."""

_CHAIN = re.compile(rb"2(?: ([A-Za-z0-9_-]{43}) ([0-9]{1,16}))?")
_KNOWN = re.compile(rb'"([0-9]{1,16})"')


class GateDelivery:
    """Hand each gate the bundles of its own APIs, by the names in its certificate."""

    def __init__(
        self, clients: Mapping[str, Sequence[str]], wait_seconds: float = WAIT_SECONDS
    ) -> None:
        """Keep who may fetch what.

        :param clients: by the name in a certificate, the names of its APIs.
        """
        self._clients = clients
        self._wait_seconds = wait_seconds
        self._waiting: Counter[str] = Counter()

    def routes(self) -> tuple[Route, ...]:
        """Return the only endpoint that the listener has."""
        return (Route("GET", "/v1/gates/{api}/bundle", self.bundle),)

    async def bundle(self, context: ServiceContext, request: Request) -> Response:
        """Return the bundle, or 304 when none came that is newer than the caller's.

        ``If-None-Match: "GENERATION"`` names the one that the caller has; without it the answer
        comes at once.  ``Watchword-Bundle: 2``, or ``2 TIP GENERATION`` where the caller has a chain that ends with
        TIP, asks for the chain, or for what follows.

        :raises RefusedError: ``gate.bundle`` for a gate of other APIs, whether or not this one is
            there: nobody learns which there are.
        """
        api = request.parameters["api"]
        name = self._allowed(request.peer, api)
        known = _known(request.headers)
        chain = _chain(request.headers)
        if self._waiting[name] >= MAX_WAITING:
            raise UnavailableError(
                Reason.SERVICE_OVERLOADED, f"got {MAX_WAITING} requests of {name} that wait"
            )
        self._waiting[name] += 1
        try:
            seconds = 0.0 if known is None else self._wait_seconds
            if chain is not None:
                return await _chain_answer(context, api, *chain, seconds)
            newer = await context.publisher.newer(api, known or 0, seconds)
        finally:
            self._waiting[name] -= 1
        if newer is None:
            return _NOT_MODIFIED
        return _handed(newer.parts, "application/jose", newer.generation)

    def _allowed(self, names: Sequence[str], api: str) -> str:
        for name in names:
            if api in self._clients.get(name, ()):
                return name
        _log.warning("bundle refused", api=api, gate=list(names))
        raise RefusedError.because(
            Reason.GATE_BUNDLE, "expected a certificate that gates.clients names with this API"
        )


_NOT_MODIFIED: Final = Response(304, b"", ((b"cache-control", b"no-store"),))


def _handed(parts: Sequence[bytes], media_type: str, generation: int) -> Response:
    return Response(
        200,
        b"",
        (
            (b"content-type", media_type.encode("ascii")),
            (b"cache-control", b"no-store"),
            (b"etag", b'"%d"' % generation),
        ),
        parts,
    )


async def _chain_answer(
    context: ServiceContext, api: str, tip: str | None, generation: int, seconds: float
) -> Response:
    # Who has no chain waits for none: what he has of the first version is no reason to.
    seconds = 0.0 if tip is None else seconds
    answer = await context.publisher.chain_after(api, tip, generation, seconds)
    if answer is None:
        return _NOT_MODIFIED
    return _handed(answer.parts, CHAIN_MEDIA_TYPE, answer.generation)


def _chain(headers: Mapping[bytes, bytes]) -> tuple[str | None, int] | None:
    """Return which line of a chain the caller has last, and its generation; None who asks for no chain."""
    value = headers.get(VERSION_HEADER.encode("ascii"))
    if value is None:
        return None
    found = _CHAIN.fullmatch(value)
    if found is None:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            "expected Watchword-Bundle as 2, or as 2, a tip and a generation",
        )
    return (None, 0) if found[1] is None else (found[1].decode("ascii"), int(found[2]))


def _known(headers: Mapping[bytes, bytes]) -> int | None:
    value = headers.get(b"if-none-match")
    if value is None:
        return None
    found = _KNOWN.fullmatch(value)
    if found is None:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "expected If-None-Match with one generation in quotes"
        )
    return int(found[1])


PUBLIC_ROUTES: Final = (
    Route("POST", "/v1/challenges", create_challenge, takes_json=True),
    Route("POST", "/v1/attestations", create_instance, takes_json=True, urgency=Urgency.STRANGER),
    Route("POST", "/v1/tokens", create_tokens, takes_json=True, urgency=Urgency.ENROLLED),
    Route("POST", "/v1/secrets", create_lease, takes_json=True, urgency=Urgency.ENROLLED),
    Route("GET", "/v1/pins/{app}", show_pins),
    Route("GET", "/v1/pins/{app}/roots/{version}", show_root_list),
    Route("POST", "/v1/pins/reports", report_failure, takes_body=True),
    Route("GET", "/.well-known/jwks.json", show_keys),
    Route("GET", "/.well-known/verdicts/{api}/jwks.json", show_verdict_keys),
    Route("GET", "/healthz", show_health),
    Route("GET", "/readyz", show_readiness),
    Route("GET", "/openapi.json", show_description),
)
"""The routes in the order of the API description."""
