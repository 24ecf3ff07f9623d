"""Answer requests on secrets and canary keys: look, add, rotate, revoke, see who still uses which version.

A value comes in and never goes out: no answer, audit entry or log line holds one.  A canary key is in one answer, the one
that made it; nothing of it is kept but a keyed hash.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog

from watchword.adapters.honeytoken_alarms import KeptAlarm
from watchword.adapters.honeytoken_file import HoneytokenStore, PlantedHoneytoken
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.apps.service.app import (
    Request,
    Response,
    json_response,
    require_members,
    text_member,
)
from watchword.apps.service.audit import (
    MAX_BECAUSE_CHARACTERS,
    MAX_LISTED,
    read_limit,
    record,
    record_or_enqueue,
)
from watchword.apps.service.context import ServiceContext
from watchword.broker.interface import (
    DeliveryRule,
    EdgeRule,
    SecretRecord,
    SecretValue,
    SecretVersion,
    StoredSecret,
    check_value,
)
from watchword.broker.keeper import SecretKeeper
from watchword.encoding.phrases import moment as utc
from watchword.enrolment.statement import MAX_NAME_CHARACTERS
from watchword.gate.interface import GatePolicy
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError


def every_secret(context: ServiceContext) -> dict[str, Any]:
    """Return all secrets of configuration and store, and how their backend is."""
    work = context.secrets
    keeper = work.keeper
    known = {} if keeper is None else keeper.known()
    names = sorted({*work.names, *known})
    return {
        "secrets": [_secret(context, name, known.get(name)) for name in names],
        "store": {
            "trouble": None if keeper is None else keeper.trouble,
            "read_at": None if keeper is None else moment(keeper.read_at),
        },
    }


def one_secret(context: ServiceContext, name: str) -> dict[str, Any]:
    """Return one secret.

    :raises RefusedError: ``secret.unknown``.
    """
    keeper = context.secrets.keeper
    stored = None if keeper is None else keeper.known().get(name)
    if stored is None and name not in context.secrets.names:
        raise _unknown()
    return _secret(context, name, stored)


async def users_of(context: ServiceContext, name: str) -> dict[str, Any]:
    """Return who uses which version: instances with a lease, gates that inject it, calls that were made with it.

    Calls that can't be told now are None, with ``trouble``: leases and gates are told all the same.

    :raises RefusedError: ``secret.unknown``.
    :raises UnavailableError: when leases can't be read.
    """
    shown, trouble = one_secret(context, name), None
    calls: list[dict[str, Any]] | None = None
    try:
        calls = await _calls(context, name)
    except UnavailableError as error:
        trouble = str(error)
    return {
        "name": name,
        "versions": shown["versions"],
        "gates": [
            {"api": api, "version": version, "generation": generation}
            for api, (version, generation) in sorted(
                context.publisher.injected_versions(name).items()
            )
        ],
        "calls": calls,
        "trouble": trouble,
        "leases": [
            {
                "version": each.version,
                "app": each.app,
                "app_version": each.app_version,
                "leases": each.leases,
                "withdrawn": each.withdrawn,
                "latest_delivery": utc(each.latest_delivery),
                "latest_expiry": utc(each.latest_expiry),
            }
            for each in await context.store.leases(context.clock.now(), name)
        ],
    }


async def _calls(context: ServiceContext, name: str) -> list[dict[str, Any]]:
    usage = context.secrets.usage
    if usage is None or name not in context.secrets.edges:
        return []
    used = await usage.versions_used(name)
    return [{"version": version, "last_at": moment(at)} for version, at in sorted(used.items())]


def _secret(context: ServiceContext, name: str, stored: StoredSecret | None) -> dict[str, Any]:
    work, now = context.secrets, context.clock.timestamp()
    edge, delivery = work.edges.get(name), work.deliveries.get(name)
    versions = _versions(work.keeper, stored, now)
    return {
        "name": name,
        "configured": name in work.names,
        "state": _state(work.keeper, versions),
        "edge": None if edge is None else _edge(edge),
        "deliver": None if delivery is None else _delivery(delivery),
        "routes": list(_routes(context.publisher.policies, name)),
        "versions": versions,
    }


def _state(keeper: SecretKeeper | None, versions: Sequence[Mapping[str, Any]]) -> str:
    """Return ``good``, ``empty`` (no value was added), ``ended`` (none counts any more), or ``unknown``."""
    if keeper is None or (keeper.read_at is None and not versions):
        return "unknown"
    if not versions:
        return "empty"
    return "good" if any(each["state"] == "current" for each in versions) else "ended"


def version_states(
    keeper: SecretKeeper, stored: StoredSecret, now: float
) -> list[tuple[SecretVersion, str]]:
    """Return the versions of a secret, oldest first, each with its state.

    ``current``; ``overlap``: an older one that still counts; ``ended``; ``revoked``; ``withheld``: revoked while
    the backend can't keep that.
    """
    record = stored.record
    held = {each.number for each in record.versions if keeper.is_withheld(record.name, each.number)}
    left = tuple(each for each in record.versions if each.number not in held)
    current = SecretRecord(record.name, left).current(now)

    def state(version: SecretVersion) -> str:
        if version.revoked_at is not None:
            return "revoked"
        if version.number in held:
            return "withheld"
        if not version.counts(now):
            return "ended"
        return "current" if version is current else "overlap"

    return [(each, state(each)) for each in record.versions]


def _versions(
    keeper: SecretKeeper | None, stored: StoredSecret | None, now: float
) -> list[dict[str, Any]]:
    if keeper is None or stored is None:
        return []
    return [
        {
            "version": version.number,
            "state": state,
            "made_at": moment(version.made_at),
            "until": moment(version.until),
            "revoked_at": moment(version.revoked_at),
        }
        for version, state in version_states(keeper, stored, now)
    ]


def _edge(rule: EdgeRule) -> dict[str, Any]:
    host = f"[{rule.host}]" if ":" in rule.host else rule.host
    port = "" if rule.port == 443 else f":{rule.port}"
    return {
        "origin": f"https://{host}{port}",
        "paths": list(rule.patterns),
        "methods": sorted(rule.methods),
        "place": rule.place.kind.value,
        "in": rule.place.name,
        "replaces": rule.place.placeholder,
        "allowances": [
            {"seconds": each.seconds, "calls": each.calls, "spend": each.spend}
            for each in rule.allowances
        ],
    }


def _delivery(rule: DeliveryRule) -> dict[str, Any]:
    return {"apps": sorted(rule.apps), "level": rule.level.value, "lease": rule.lease}


def _routes(policies: Mapping[str, GatePolicy], name: str) -> Iterator[dict[str, str]]:
    for api, policy in policies.items():
        for route in policy.routes:
            if route.secret == name:
                yield {"api": api, "route": route.name, "path": route.pattern}


def moment(at: float | None) -> str | None:
    """Return an instant as answers have it, None for none."""
    return None if at is None else utc(datetime.fromtimestamp(at, UTC))


MAX_OVERLAP: Final = 90 * 86_400
"""Longest time, in seconds, for which an older version counts beside a newer one."""

DEFAULT_OVERLAP: Final = 3600
"""Seconds for which an older version counts beside a newer one where nobody says: time to see that the newer
one works, and to go back to the older one by revoking it.  A delivered secret's lease if that is longer."""

_MAX_VERSION: Final = 2**53

_log = structlog.get_logger()


async def list_secrets(context: ServiceContext, _request: Request) -> Response:
    """Return what there is of every secret, and whether its backend answers; no value."""
    return json_response(200, every_secret(context))


async def show_secret(context: ServiceContext, request: Request) -> Response:
    """Return what there is of one secret: versions, states, times, ways, the routes that use it; no value."""
    return json_response(200, one_secret(context, request.parameters["name"]))


async def list_users(context: ServiceContext, request: Request) -> Response:
    """Return who still uses which version of a secret."""
    return json_response(200, await users_of(context, request.parameters["name"]))


async def add_secret(context: ServiceContext, request: Request) -> Response:
    """Keep the first value of a secret; expects its ``name`` and ``value``."""
    require_members(request.members, "name", "value")
    name = text_member(request.members, "name", MAX_NAME_CHARACTERS)
    keeper = _configured(context, name)
    value = _value(context, name, request)
    await record(context, request, "secret.add", name)
    made = await keeper.add(name, value, context.clock.timestamp())
    return await _changed(context, request, "secret.added", name, made, status=201)


async def rotate_secret(context: ServiceContext, request: Request) -> Response:
    """Let a new value take over; older versions count for the overlap, in seconds.

    Expects at will the number of the version that it follows on in ``expected``: of two rotations at once
    one is then refused, and without it too, since each counts from what there was when it came.
    """
    members = request.members
    if not {"value"} <= members.keys() <= {"value", "overlap", "expected"}:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED, "expected the member value, and at will overlap and expected"
        )
    name = request.parameters["name"]
    keeper = _configured(context, name)
    expected = _number(members.get("expected"), "expected", 1, _MAX_VERSION)
    if expected is None:
        # What there was when the request came: of two at once the second must not bury the first one's value.
        expected = _newest(keeper, name)
    overlap = _number(members.get("overlap"), "overlap", 0, MAX_OVERLAP)
    if overlap is None:
        rule = context.secrets.deliveries.get(name)
        overlap = max(DEFAULT_OVERLAP, 0 if rule is None else rule.lease)
    value = _value(context, name, request)
    asked = {"overlap": overlap, "expected": expected}
    await record(context, request, "secret.rotate", name, asked)
    now = context.clock.timestamp()
    made = await keeper.rotate(name, value, overlap, now, expected)
    return await _changed(context, request, "secret.rotated", name, made)


async def revoke_secret(context: ServiceContext, request: Request) -> Response:
    """Erase one version's value, or with ``version`` null every version's; gates are told before the answer.

    Also a secret that the configuration names no more can be revoked.  As with every revocation it is made where it can't be
    recorded: it takes trust away, and a full disk must not keep a stolen key in use.  The answer says so (``recorded``).
    """
    require_members(request.members, "version", "because")
    because = text_member(request.members, "because", MAX_BECAUSE_CHARACTERS)
    version = _number(request.members["version"], "version", 1, _MAX_VERSION)
    name, keeper = request.parameters["name"], _keeper(context)
    if name not in keeper.known() and name not in context.secrets.names:
        raise _unknown()
    asked = {"version": version, "because": because}
    recorded = await record_or_enqueue(context, request, "secret.revoke", name, asked)
    try:
        revoked = await keeper.revoke(name, version, context.clock.timestamp())
    except UnavailableError:
        # It is withheld here all the same, and gates mustn't wait for the backend to hear of it.
        await context.publisher.publish(context.clock.now())
        raise
    done = {"versions": list(revoked)}
    recorded = await _announced(context, request, "secret.revoked", name, done) and recorded
    shown = {**one_secret(context, name), "revoked": list(revoked), "recorded": recorded}
    return json_response(200, shown)


async def _changed(
    context: ServiceContext,
    request: Request,
    action: str,
    name: str,
    made: SecretVersion,
    status: int = 200,
) -> Response:
    done = {"version": made.number}
    await _announced(context, request, action, name, done)
    return json_response(status, {**one_secret(context, name), **done})


async def _announced(
    context: ServiceContext, request: Request, action: str, name: str, done: dict[str, Any]
) -> bool:
    """Tell gates what was changed, record what came of it, and tell whether that could be recorded."""
    _log.info(action, secret=name, **done)
    # It is done, and the entry before it says that it was asked for: the answer must not say otherwise.
    recorded = await record_or_enqueue(context, request, action, name, done)
    await context.publisher.publish(context.clock.now())
    return recorded


def _keeper(context: ServiceContext) -> SecretKeeper:
    keeper = context.secrets.keeper
    if keeper is None:
        raise _unknown()
    return keeper


def _configured(context: ServiceContext, name: str) -> SecretKeeper:
    """Return who keeps a secret if its name is one of the configuration's."""
    if name not in context.secrets.names:
        raise _unknown()
    return _keeper(context)


def _unknown() -> RefusedError:
    return RefusedError.because(
        Reason.SECRET_UNKNOWN, "expected a name under secrets.keys of watchword.yaml"
    )


def _newest(keeper: SecretKeeper, name: str) -> int | None:
    stored = keeper.known().get(name)
    return None if stored is None else stored.record.versions[-1].number


def _value(context: ServiceContext, name: str, request: Request) -> SecretValue:
    text = request.members["value"]
    if not isinstance(text, str):
        raise MalformedError.because(Reason.SECRET_VALUE, "expected text")
    if text.isspace():
        raise MalformedError.because(Reason.SECRET_VALUE, "got blanks alone, expected a key")
    return check_value(text, one_line=name in context.secrets.edges)


def _number(value: Any, what: str, least: int, most: int) -> int | None:
    """Return a whole number, None for none."""
    if value is None or (type(value) is int and least <= value <= most):
        return value
    raise MalformedError.because(
        Reason.REQUEST_MALFORMED, f"expected {what} as a whole number from {least} to {most}"
    )


_REQUIRED: Final = frozenset({"name", "like"})
_OPTIONAL: Final = frozenset({"note", "headers", "parameters"})
_MAX_CHARACTERS: Final = 200


async def plant_honeytoken(context: ServiceContext, request: Request) -> Response:
    """Make a canary key that looks like a provider's, and return it, this once.

    Expects ``name`` and ``like``; at will ``note`` (where it is planted), and ``headers`` and ``parameters`` that
    are looked into beside the usual ones.
    """
    members, canaries = request.members, _canaries(context)
    if not _REQUIRED <= members.keys() <= _REQUIRED | _OPTIONAL:
        raise MalformedError.because(
            Reason.REQUEST_MALFORMED,
            "expected the members name and like, and at will note, headers and parameters",
        )
    name = text_member(members, "name", MAX_NAME_CHARACTERS)
    like = text_member(members, "like", MAX_NAME_CHARACTERS)
    note = text_member(members, "note", _MAX_CHARACTERS) if "note" in members else ""
    add = partial(
        canaries.add,
        name,
        like,
        context.clock.timestamp(),
        note=note,
        headers=_texts(members, "headers"),
        parameters=_texts(members, "parameters"),
    )
    await record(context, request, "canary.plant", name, {"like": like, "note": note})
    # It waits for a file lock and for the disk, which the event loop must not.
    with _file_faults():
        made = await asyncio.to_thread(add)
    await context.publisher.publish(context.clock.now())
    _log.info("canary.planted", canary=name, like=like)
    (planted,) = (each for each in canaries.planted() if each.name == name)
    return json_response(201, {**_canary(planted), "key": made.value, "beside": made.beside})


async def list_honeytokens(context: ServiceContext, _request: Request) -> Response:
    """Return the canaries, without their keys: nobody has those but where they were planted."""
    with _file_faults():
        planted = _canaries(context).planted()
    return json_response(200, {"canaries": [_canary(each) for each in planted]})


async def remove_honeytoken(context: ServiceContext, request: Request) -> Response:
    """Forget a canary: from then on its use isn't noticed."""
    name, canaries = request.parameters["name"], _canaries(context)
    await record(context, request, "canary.remove", name)
    with _file_faults():
        gone = await asyncio.to_thread(canaries.remove, name)
    await context.publisher.publish(context.clock.now())
    _log.info("canary.removed", canary=name)
    return json_response(200, _canary(gone))


async def list_alarms(context: ServiceContext, request: Request) -> Response:
    """Return who used canaries, newest first, and how often each was used; those with the same traits are one.

    The query's ``canary`` names one of them, also one that was removed.
    """
    alarms, limit = context.secrets.alarms, read_limit(request.query)
    wanted = request.query.get("canary")
    if alarms is None:
        return json_response(200, {"totals": {}, "alarms": []})
    kept = await asyncio.to_thread(alarms.recent, MAX_LISTED)
    totals = await asyncio.to_thread(alarms.totals)
    found = [each for each in kept if wanted in {None, each.alarm.canary}][:limit]
    return json_response(200, {"totals": dict(totals), "alarms": [_alarm(each) for each in found]})


def _alarm(kept: KeptAlarm) -> dict[str, Any]:
    traits = kept.alarm._asdict()
    del traits["at"]
    return {
        "first": moment(kept.first),
        "last": moment(kept.last),
        "uses": kept.uses,
        **traits,
        "header_names": list(kept.alarm.header_names),
    }


@contextmanager
def _file_faults() -> Iterator[None]:
    """Tell the operator which file is wrong, and in which way."""
    try:
        yield
    except PrivateFileError as error:
        raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, str(error)) from None


def _canaries(context: ServiceContext) -> HoneytokenStore:
    canaries = context.secrets.canaries
    if canaries is None:
        raise UnavailableError(Reason.SECRET_STORE_UNAVAILABLE, "this service keeps no canaries")
    return canaries


def _canary(canary: PlantedHoneytoken) -> dict[str, Any]:
    return {
        "name": canary.name,
        "like": canary.kind,
        "made_at": moment(canary.made_at),
        "note": canary.note,
        "headers": list(canary.headers),
        "parameters": list(canary.parameters),
    }


def _texts(members: Mapping[str, Any], name: str) -> Sequence[str]:
    value = members.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise MalformedError.because(Reason.REQUEST_MALFORMED, f"expected {name} as a list of text")
    return value
