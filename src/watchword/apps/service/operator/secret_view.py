"""Show secrets without their values: versions and states, where each is used, and by whom."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from watchword.apps.service.context import ServiceContext
from watchword.broker.interface import (
    DeliveryRule,
    EdgeRule,
    SecretRecord,
    SecretVersion,
    StoredSecret,
)
from watchword.broker.keeper import SecretKeeper
from watchword.gate.interface import GatePolicy
from watchword.reasons import Reason, RefusedError, UnavailableError


def every_secret(context: ServiceContext) -> dict[str, Any]:
    """Return all secrets of configuration and store, and how their backend is."""
    work = context.secrets
    keeper = work.keeper
    known = {} if keeper is None else keeper.known()
    names = sorted({*work.names, *known})
    return {
        "secrets": [_shown(context, name, known.get(name)) for name in names],
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
        raise RefusedError.because(
            Reason.SECRET_UNKNOWN, "expected a name under secrets.keys of watchword.yaml"
        )
    return _shown(context, name, stored)


async def users_of(context: ServiceContext, name: str) -> dict[str, Any]:
    """Return who uses which version: instances with a lease, gates that lend it, calls that were made with it.

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
            for api, (version, generation) in sorted(context.publisher.lent_versions(name).items())
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
                "latest_delivery": each.latest_delivery.isoformat(),
                "latest_expiry": each.latest_expiry.isoformat(),
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


def _shown(context: ServiceContext, name: str, stored: StoredSecret | None) -> dict[str, Any]:
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
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
