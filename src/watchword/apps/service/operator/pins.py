"""Answer requests on pins: what is handed out, and what apps reported of it."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

from watchword.apps.service.context import ServiceContext
from watchword.apps.service.messages import Request, Response, json_response
from watchword.pins.interface import PublishedPins
from watchword.pins.reports import ReportGroup


async def list_pins(context: ServiceContext, _request: Request) -> Response:
    """Return what is handed out, and what keeps newer ones from it."""
    pins = context.pins
    roots = pins.roots
    return json_response(
        200,
        {
            "roots": None
            if roots is None
            else {"version": roots.version, "expires": _moment(roots.expires)},
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
        "issued_at": _moment(held.issued_at),
        "soft_expiry": _moment(held.soft_expiry),
        "hard_expiry": _moment(held.hard_expiry),
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
        "first": None if each.first is None else _moment(each.first),
        "last": None if each.last is None else _moment(each.last),
        "app_versions": list(each.app_versions),
        "set_versions": list(each.set_versions),
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
