"""Answer the operator's requests: instances, one-time codes, keys, pins, refusals; the routes of his socket."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from watchword.adapters.keyring.file import (
    GateEpoch,
    KeyRing,
    KeyState,
    Ring,
    TokenKey,
    find_epoch,
)
from watchword.adapters.revocation_journal import JournalEntry
from watchword.apps.service.app import (
    Request,
    Response,
    Route,
    json_response,
    require_members,
    text_member,
)
from watchword.apps.service.audit import (
    MAX_BECAUSE_CHARACTERS,
    actor_of,
    list_audit,
    read_limit,
    record,
    record_or_enqueue,
)
from watchword.apps.service.context import ServiceContext
from watchword.apps.service.operator_configuration import (
    apply_configuration,
    check_configuration,
    roll_back_configuration,
    show_configuration,
)
from watchword.apps.service.operator_cuts import list_cuts, make_cut, rehearse_cut, stop_cut
from watchword.apps.service.operator_dossiers import (
    WAYS,
    delete_instance,
    export_instance,
    find_instances,
    instance_view,
)
from watchword.apps.service.operator_openings import add_opening, end_opening, list_openings
from watchword.apps.service.operator_secrets import (
    add_secret,
    list_alarms,
    list_honeytokens,
    list_secrets,
    list_users,
    moment,
    plant_honeytoken,
    remove_honeytoken,
    revoke_secret,
    rotate_secret,
    show_secret,
)
from watchword.apps.service.publisher import SETTLED_SECONDS
from watchword.encoding.phrases import moment as utc
from watchword.enrolment.evidence import DEFAULT_CODE_LIFE, DEFAULT_INSTANCE_LIFE, Invitation
from watchword.enrolment.interface import OperatorCode
from watchword.enrolment.statement import MAX_NAME_CHARACTERS
from watchword.gate.references import MAX_REFERENCE_CHARACTERS, open_any
from watchword.pins.interface import PublishedPins
from watchword.pins.reports import ReportGroup
from watchword.ports import AuditEntry, Instance
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError
from watchword.vocabulary import Level

_log = structlog.get_logger()


async def list_instances(context: ServiceContext, request: Request) -> Response:
    """Return the newest instances: of the app, and before the instance, that the query names; or those that one name means."""
    if not WAYS.isdisjoint(request.query):
        found = await find_instances(context, request.query)
        return json_response(200, {"instances": [instance_view(context, each) for each in found]})
    instances = await context.store.list_instances(
        read_limit(request.query), request.query.get("app"), request.query.get("before")
    )
    return json_response(200, {"instances": [instance_view(context, each) for each in instances]})


async def revoke_instance(context: ServiceContext, request: Request) -> Response:
    """Revoke an instance, and return after every gate of this state directory can know it.

    Also where the store can't write it: it takes trust away, and a full disk must not keep a stolen phone in use.
    It then holds in this process, gates are told, and it is written as soon as that is possible; the answer says
    so (``recorded``).  Of one that was revoked before nothing changes: the first time and reason stand
    (``revoked_before``).
    """
    require_members(request.members, "because")
    because = text_member(request.members, "because", MAX_BECAUSE_CHARACTERS)
    now = context.clock.now()
    instance_id = request.parameters["id"]
    actor = actor_of(request)
    audit = AuditEntry(now, actor, "instance.revoked", instance_id, {"because": because})
    instance, recorded = await _revoke(context, instance_id, because, audit)
    # Also in a copy of the store that is put back some day, and over a restart before it could be written.
    entry = JournalEntry(instance_id, now, actor, because)
    await asyncio.to_thread(context.safeguards.note_revocation, entry)
    await context.safeguards.with_room(lambda: context.publisher.publish(now))
    before = instance.revoked_at != now
    _log.info(
        "revoked", instance=instance.id, app=instance.app, recorded=recorded, revoked_before=before
    )
    told = {"recorded": recorded, "revoked_before": before}
    return json_response(200, instance_view(context, instance) | told)


async def _revoke(
    context: ServiceContext, instance_id: str, because: str, audit: AuditEntry
) -> tuple[Instance, bool]:
    """Revoke in the store, or where it can't write in this process; tell which of them."""
    store = context.store

    async def revoke() -> Instance:
        try:
            return await store.revoke(instance_id, audit.at, because, audit)
        except RefusedError:
            raise RefusedError.because(
                Reason.INSTANCE_UNKNOWN,
                "expected the id of an enrolled instance, as `watchword instances list` shows it; "
                "its --json has the APIs' names (`subjects`) beside the id",
            ) from None

    try:
        return await context.safeguards.with_room(revoke), True
    except UnavailableError as error:
        if await store.find(instance_id) is None:
            raise
        _log.error(
            "revocation isn't written yet",
            instance=instance_id,
            because=because,
            fault=error.detail,
        )
        store.withhold(instance_id, audit.at, because, audit)
        withheld = await store.find(instance_id)
        if withheld is None:
            # It was dropped meanwhile.
            raise
        return withheld, False


_REQUIRED: Final = frozenset({"app", "level", "because"})
_OPTIONAL: Final = frozenset({"expires_in", "instance_for"})

_MAX_SECONDS: Final = 10**9
"""More seconds than any life may have; what is allowed is for the invitation to say."""


async def create_code(context: ServiceContext, request: Request) -> Response:
    """Make a code and return it, this once; expects seconds for ``expires_in`` and ``instance_for``."""
    wanted = _invitation(request)
    code, text = await context.invitations.invite(wanted, context.clock.now())
    _log.info("invited", code=code.id, app=code.app, level=code.level.value)
    return json_response(201, {**_code(context, code), "code": text})


async def list_codes(context: ServiceContext, request: Request) -> Response:
    """Return the newest codes and what became of them; a code itself can't be told again."""
    codes = await context.invitations.listed(read_limit(request.query))
    return json_response(200, {"codes": [_code(context, each) for each in codes]})


async def cancel_code(context: ServiceContext, request: Request) -> Response:
    """Cancel a code that wasn't used."""
    code = await context.invitations.cancel(
        request.parameters["id"], actor_of(request), context.clock.now()
    )
    _log.info("invitation cancelled", code=code.id, app=code.app)
    return json_response(200, _code(context, code))


def _invitation(request: Request) -> Invitation:
    members = request.members
    if not _REQUIRED <= members.keys() <= _REQUIRED | _OPTIONAL:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            f"expected the members {', '.join(sorted(_REQUIRED))}, and at will "
            f"{', '.join(sorted(_OPTIONAL))}",
        )
    try:
        level = Level(members["level"])
    except ValueError:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "expected level to be hardware, verified or software"
        ) from None
    return Invitation(
        app=text_member(members, "app", MAX_NAME_CHARACTERS),
        level=level,
        expires_in=_life(members, "expires_in", DEFAULT_CODE_LIFE),
        instance_for=_life(members, "instance_for", DEFAULT_INSTANCE_LIFE),
        because=text_member(members, "because", MAX_BECAUSE_CHARACTERS),
        actor=actor_of(request),
    )


def _life(members: Mapping[str, Any], name: str, default: timedelta) -> timedelta:
    if name not in members:
        return default
    value = members[name]
    if type(value) is not int or not 0 < value <= _MAX_SECONDS:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected {name} in whole seconds, greater than 0"
        )
    return timedelta(seconds=value)


def _code(context: ServiceContext, code: OperatorCode) -> dict[str, Any]:
    """Return what an operator sees of a code; nothing of it enrols anybody."""
    used, cancelled = code.used_at, code.revoked_at
    return {
        "id": code.id,
        "app": code.app,
        "level": code.level.value,
        "instance_for": int(code.instance_for.total_seconds()),
        "made_at": utc(code.made_at),
        "made_by": code.made_by,
        "because": code.because,
        "expires_at": utc(code.expires_at),
        "used_at": None if used is None else utc(used),
        "instance": code.instance_id,
        "cancelled_at": None if cancelled is None else utc(cancelled),
        "open": not code.held_against(context.clock.now()),
    }


TOKENS: Final = "tokens"
GATES: Final = "gates"
BUNDLES: Final = "bundles"
"""What a key is for; only the first two rotate: gates are told the key of the bundles once, by hand."""

EPOCH: Final = "epoch-"
"""How the names of epochs begin; a key's thumbprint has 43 characters, and no epoch's name."""


async def list_keys(context: ServiceContext, _request: Request) -> Response:
    """Return every key with its purpose and state; no private part."""
    return json_response(200, _keys(context))


async def rotate_keys(context: ServiceContext, request: Request) -> Response:
    """Let what is prepared take over; tokens from before are accepted until they expire.

    The query's ``purpose`` says what of: ``tokens`` (the default) or ``gates``.
    """
    keyring = context.keyring
    purpose = request.query.get("purpose", TOKENS)
    if purpose not in {TOKENS, GATES}:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, f"expected the purpose {TOKENS} or {GATES}"
        )
    _require_alone(context)
    async with context.rotating:
        prepared = _in_state(keyring.ring, purpose, KeyState.PREPARED)
        age = context.clock.timestamp() - prepared.since
        if 0 <= age < SETTLED_SECONDS:
            # Of two rotations in a row the second would sign with a key that gates don't know yet.
            await asyncio.sleep(SETTLED_SECONDS - age)
        subject = _name(_in_state(keyring.ring, purpose, KeyState.ACTIVE))
        await record(context, request, "keys.rotate", subject)
        now = context.clock.now()
        # The key ring waits for a file lock and for the disk, which the event loop must not.
        active = await asyncio.to_thread(_rotate, keyring, purpose, now.timestamp())
        await context.publisher.publish(now)
    _log.info("rotated", purpose=purpose, active=_name(active))
    return json_response(200, _keys(context))


async def retire_key(context: ServiceContext, request: Request) -> Response:
    """Withdraw all trust from one token key or epoch at once.

    Also where that can't be recorded: it takes trust away, and a full disk must not keep a stolen key in use.  The
    answer says so (``recorded``), and the entry follows as soon as it can be written.
    """
    kid, keyring = request.parameters["kid"], context.keyring
    _require_alone(context)
    if kid.startswith(EPOCH):
        find_epoch(keyring.ring.gate_epochs, kid)
    else:
        keyring.ring.find(kid)
    recorded = await record_or_enqueue(context, request, "keys.retire", kid)
    now = context.clock.now()

    async def retire() -> TokenKey | GateEpoch:
        return await asyncio.to_thread(_retire, keyring, kid, now.timestamp())

    active = await context.safeguards.with_room(retire)
    await context.safeguards.with_room(lambda: context.publisher.publish(now))
    _log.warning("retired", kid=kid, active=_name(active))
    return json_response(200, _keys(context) | {"recorded": recorded})


def _require_alone(context: ServiceContext) -> None:
    """Refuse a change of keys that the other nodes wouldn't have: each has a key ring of its own.

    :raises UnavailableError: ``store.unavailable``, with what to do.
    """
    if context.keyring.version:
        # It is a row that all of them share.
        return
    if others := context.nodes.others():
        names = ", ".join(each.name for each in others)
        raise UnavailableError(
            Reason.STORE_UNAVAILABLE,
            f"nodes share no key ring without service.postgres.master_key: stop {names}, change the keys here, copy keyring.json to them, and start them again",
        )


def _in_state(ring: Ring, purpose: str, state: KeyState) -> TokenKey | GateEpoch:
    return ring.in_state(state) if purpose == TOKENS else ring.epoch_in_state(state)


def _rotate(keyring: KeyRing, purpose: str, now: float) -> TokenKey | GateEpoch:
    return keyring.rotate(now) if purpose == TOKENS else keyring.rotate_gate_secrets(now)


def _retire(keyring: KeyRing, kid: str, now: float) -> TokenKey | GateEpoch:
    if kid.startswith(EPOCH):
        return keyring.retire_gate_secret(kid, now)
    return keyring.retire(kid, now)


def _name(key: TokenKey | GateEpoch) -> str:
    return key.kid if isinstance(key, TokenKey) else key.name


def _keys(context: ServiceContext) -> dict[str, Any]:
    ring = context.keyring.ring
    every: tuple[tuple[str, TokenKey | GateEpoch], ...] = (
        *((TOKENS, key) for key in ring.token_keys),
        *((GATES, epoch) for epoch in ring.gate_epochs),
        (BUNDLES, ring.bundle_key),
    )
    return {
        "keys": [
            {
                "purpose": purpose,
                "kid": _name(key),
                "state": key.state.value,
                "since": utc(datetime.fromtimestamp(key.since, UTC)),
                "verify_until": None
                if key.verify_until is None
                else utc(datetime.fromtimestamp(key.verify_until, UTC)),
            }
            for purpose, key in every
        ]
    }


async def list_pins(context: ServiceContext, _request: Request) -> Response:
    """Return what is handed out, and what keeps newer ones from it."""
    pins = context.pins
    roots = pins.roots
    return json_response(
        200,
        {
            "roots": None
            if roots is None
            else {"version": roots.version, "expires": moment(roots.expires)},
            "apps": [_app(pins, app) for app in sorted(pins.apps)],
            "faults": dict(pins.faults),
        },
    )


async def list_pin_reports(context: ServiceContext, _request: Request) -> Response:
    """Return what was reported since the start, grouped."""
    reports = context.pin_reports
    return json_response(
        200,
        {
            "groups": [_group(context.pins, each) for each in reports.groups()],
            "unknown": reports.unknown,
            "dropped": reports.dropped,
        },
    )


def _app(pins: PublishedPins, app: str) -> dict[str, Any]:
    published = pins.newest(app)
    if published is None:
        return {"app": app, "version": None}
    held = published.pin_set
    return {
        "app": app,
        "version": held.version,
        "key": held.key,
        "issued_at": moment(held.issued_at),
        "soft_expiry": moment(held.soft_expiry),
        "hard_expiry": moment(held.hard_expiry),
        "hosts": {each.host: each.mode.value for each in held.hosts},
    }


def _group(pins: PublishedPins, each: ReportGroup) -> dict[str, Any]:
    """Return a group, and what its leaf key is for if it is a pinned one: then an app has old pins, and nobody sits in between."""
    published = pins.newest(each.app)
    entry = None if published is None else published.pin_set.entry(each.host)
    roles = {} if entry is None else {pin.spki: pin.role.value for pin in entry.pins}
    return {
        "app": each.app,
        "host": each.host,
        "leaf": None if each.leaf is None else f"sha256/{b64encode(each.leaf).decode('ascii')}",
        "pinned_as": None if each.leaf is None else roles.get(each.leaf),
        "basis": None if each.basis is None else each.basis.value,
        "mismatch": each.mismatch,
        "count": each.count,
        "refused": each.refused,
        "first": moment(each.first),
        "last": moment(each.last),
        "app_versions": list(each.app_versions),
        "set_versions": list(each.set_versions),
    }


async def list_refusals(context: ServiceContext, _request: Request) -> Response:
    """Return the counters, the latest refusals of each reason, and what the gates here counted beside."""
    counts = context.refusal_log.counts()
    tallies = context.gate_tallies
    return json_response(
        200,
        {
            "counts": [
                {"reason": reason.code, "where": where, "count": count}
                for (reason, where), count in sorted(counts.items(), key=lambda item: -item[1])
            ],
            "samples": [
                {
                    "at": utc(sample.at),
                    "where": sample.where,
                    "refusals": [
                        {"reason": refusal.reason.code, "detail": refusal.detail}
                        for refusal in sample.refusals
                    ],
                }
                for sample in context.refusal_log.samples()
            ],
            "claimed": [
                {"api": api, "status": status, "where": route, "count": count}
                for api, tally in tallies.items()
                for (route, status), count in sorted(tally.claimed().items())
            ],
            "systems": [
                {"api": api, "os": system, "outcome": outcome, "count": count}
                for api, tally in tallies.items()
                for (system, outcome), count in sorted(tally.systems().items())
            ],
        },
    )


async def explain(context: ServiceContext, request: Request) -> Response:
    """Open the reference of a refusal."""
    require_members(request.members, "ref")
    reference = text_member(request.members, "ref", MAX_REFERENCE_CHARACTERS)
    sealed = open_any(reference, context.publisher.reference_keys())
    return json_response(
        200,
        {
            "at": utc(datetime.fromtimestamp(sealed.at, UTC)),
            "where": sealed.route,
            "reasons": [
                {
                    "reason": reason.code,
                    "category": reason.category.value,
                    "status": reason.public.status,
                }
                for reason in sealed.reasons
            ],
        },
    )


async def show_pace(context: ServiceContext, _request: Request) -> Response:
    """Return how the enrolments of each app are paced; no app where they aren't."""
    views = {} if context.paced is None else context.paced.pace.view()
    return json_response(
        200,
        {
            "apps": [
                {
                    "app": app,
                    "rate": view.rate,
                    "floor": view.floor,
                    "most": view.most,
                    "held": view.slowed,
                    "waiting": view.waiting[0],
                    "waiting_busy": view.waiting[1],
                    "wait": view.wait,
                    "outcomes": dict(view.outcomes),
                }
                for app, view in views.items()
            ]
        },
    )


async def show_metrics(context: ServiceContext, _request: Request) -> Response:
    """Return the counters in the Prometheus text format."""
    # Its library takes 90 ms to import: a service that nobody scrapes starts sooner.
    from watchword.apps.service.metrics import exposed  # noqa: PLC0415

    return exposed(context)


OPERATOR_ROUTES: Final = (
    Route(
        "GET",
        "/v1/instances",
        list_instances,
        arguments=("app", "before", "device", "instance", "limit", "subject"),
    ),
    Route("POST", "/v1/instances/{id}/export", export_instance),
    Route("POST", "/v1/instances/{id}/delete", delete_instance, takes_json=True),
    Route("POST", "/v1/instances/{id}/revoke", revoke_instance, takes_json=True),
    Route(
        "GET",
        "/v1/cuts/rehearsal",
        rehearse_cut,
        arguments=("app", "issued_before", "level", "pause", "step"),
    ),
    Route("POST", "/v1/cuts", make_cut, takes_json=True),
    Route("GET", "/v1/cuts", list_cuts),
    Route("POST", "/v1/cuts/{id}/stop", stop_cut, takes_json=True),
    Route("POST", "/v1/test-codes", create_code, takes_json=True),
    Route("GET", "/v1/test-codes", list_codes, arguments=("limit",)),
    Route("POST", "/v1/test-codes/{id}/revoke", cancel_code),
    Route("GET", "/v1/audit", list_audit, arguments=("before", "limit", "subject")),
    Route("GET", "/v1/pace", show_pace),
    Route("GET", "/v1/refusals", list_refusals),
    Route("GET", "/v1/pins", list_pins),
    Route("GET", "/v1/pins/reports", list_pin_reports),
    Route("GET", "/metrics", show_metrics),
    Route("POST", "/v1/explain", explain, takes_json=True),
    Route("GET", "/v1/keys", list_keys),
    Route("POST", "/v1/keys/rotate", rotate_keys, arguments=("purpose",)),
    Route("POST", "/v1/keys/{kid}/retire", retire_key),
    Route("GET", "/v1/openings", list_openings),
    Route("POST", "/v1/openings", add_opening, takes_json=True),
    Route("POST", "/v1/openings/end", end_opening, takes_json=True),
    Route("GET", "/v1/configuration", show_configuration),
    Route("POST", "/v1/configuration", apply_configuration, takes_json=True),
    Route("POST", "/v1/configuration/check", check_configuration, takes_json=True),
    Route("POST", "/v1/configuration/rollback", roll_back_configuration, takes_json=True),
    Route("GET", "/v1/secrets", list_secrets),
    Route("POST", "/v1/secrets", add_secret, takes_json=True),
    Route("GET", "/v1/secrets/{name}", show_secret),
    Route("POST", "/v1/secrets/{name}/rotate", rotate_secret, takes_json=True),
    Route("POST", "/v1/secrets/{name}/revoke", revoke_secret, takes_json=True),
    Route("GET", "/v1/secrets/{name}/users", list_users),
    Route("GET", "/v1/canaries", list_honeytokens),
    Route("GET", "/v1/canaries/alarms", list_alarms, arguments=("canary", "limit")),
    Route("POST", "/v1/canaries", plant_honeytoken, takes_json=True),
    Route("POST", "/v1/canaries/{name}/remove", remove_honeytoken),
)
"""The routes; every POST but ``explain`` changes something and is audited with its actor."""
