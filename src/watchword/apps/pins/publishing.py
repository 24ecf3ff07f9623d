"""Publish: draft, hold against everything that speaks against it, write down, sign, hand out; one at a time."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from watchword.adapters.pin_workspace import Step
from watchword.apps.pins.checks import Look, Vantage, difference, look_at
from watchword.apps.pins.session import (
    Bench,
    NotNowError,
    PinsError,
    day,
    draft_of,
    open_bench,
    read_builtin_file,
    step,
)
from watchword.pins.builtins import builtin_document
from watchword.pins.interface import PinSet
from watchword.pins.publishing import (
    Objection,
    Observed,
    Permit,
    Shown,
    Tried,
    objections,
    permit,
)
from watchword.pins.sets import read_set, sign_set
from watchword.ports import Signer
from watchword.reasons import RefusedError

_MAX_LOGGED: Final = 50
"""Most objections, and most places, that one step names; how many objections there were is told always."""

_MAX_PATH: Final = 500


@dataclass(frozen=True, slots=True)
class Order:
    """Hold what is to be published.

    :param apps: by name; none for all of which any host has a key.
    :param why: the sentence that forces, None for not forcing.
    :param above: a version that apps may have seen, from elsewhere than this workspace.
    """

    apps: tuple[str, ...] = ()
    why: str | None = None
    above: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """Hold a draft and what speaks against it.

    :param permit: None where something is in the way.
    :param changes: in words, what it says otherwise than the published one.
    """

    draft: PinSet
    previous: PinSet | None
    against: tuple[Objection, ...]
    permit: Permit | None
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Hold what came of an order; sets were published exactly where ``done``."""

    judged: tuple[Judged, ...]
    done: bool


def publish(
    config: Path, order: Order, vantage: Vantage, now: float, actor: str, *, dry: bool = False
) -> Published:
    """Publish a set for each app, or none at all where one of them is refused.

    Servers are looked at before the lock is taken; whoever published meanwhile has won, and nothing is published on top of it.
    Each step is in the log before the set is there: killed in between, a version is skipped and none goes untold.

    :param dry: judge only.
    :raises PinsError: when there is nothing to publish.
    :raises NotNowError: when another publish came first.
    :raises WorkspaceError: when the workspace can't be used.
    """
    bench = open_bench(config)
    apps = tuple(bench.app_named(each) for each in order.apps) or _pinning(bench)
    signer = bench.signer()
    before = _newest(bench, apps)
    looks = look_at(bench.file.pins.looked_at(apps, vantage.named), vantage)
    if dry:
        return Published(
            tuple(_judged(bench, app, looks, order, signer, now) for app in apps), done=False
        )
    with bench.workspace.locked():
        bench = open_bench(config)
        if _newest(bench, apps) != before:
            raise NotNowError(
                "another publish came first, just now; look at it with `watchword pins show`, and publish again if it is needed"
            )
        judged = tuple(_judged(bench, app, looks, order, signer, now) for app in apps)
        if any(each.permit is None for each in judged):
            return Published(judged, done=False)
        signed = [_signed(bench, each.draft, signer) for each in judged]
        for each, data in zip(judged, signed, strict=True):
            _write(
                bench,
                each,
                data,
                _circumstances(bench, vantage),
                step(now, actor, "publish", each.draft.app),
            )
    return Published(judged, done=True)


def observed(looks: Mapping[str, Look]) -> dict[str, Observed | None]:
    """Return what was seen as the rules take it; None for a host that showed nothing anywhere."""
    return {
        host: Observed(
            tuple(Shown(each.chain, each.not_after, each.fault, each.place) for each in look.sights)
        )
        if look.sights
        else None
        for host, look in looks.items()
    }


def tried_since(bench: Bench, app: str) -> dict[str, float]:
    """Return by host since when it has been published without a gap."""
    since: dict[str, float] = {}
    going: set[str] | None = None
    for each in bench.history(app):
        hosts = {entry.host for entry in each.hosts}
        going = hosts if going is None else going & hosts
        if not going:
            break
        since.update(dict.fromkeys(going, float(each.issued_at)))
    return since


def _pinning(bench: Bench) -> tuple[str, ...]:
    """Return the apps of which any host has a key.

    :raises PinsError: when there is none.
    """
    pins = bench.file.pins
    found = [app for app in pins.apps if any(bench.pinned.of(host) for host in pins.hosts_of(app))]
    if not found:
        host = next(iter(pins.hosts), "HOST")
        raise PinsError(
            f"got no pinned key, expected some: watchword pins add {host} --from-live --role current"
        )
    return tuple(found)


def _newest(bench: Bench, apps: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(max(bench.workspace.set_versions(app), default=0) for app in apps)


def _judged(
    bench: Bench, app: str, looks: Mapping[str, Look], order: Order, signer: Signer, now: float
) -> Judged:
    previous = bench.published(app)
    draft = replace(draft_of(bench, app, now, order.above), key=signer.kid)
    against = objections(
        draft,
        previous,
        {host: each for host, each in observed(looks).items() if draft.entry(host) is not None},
        bench.fleet(app),
        bench.roots,
        now,
        tried=Tried(bench.file.pins.report_first, tried_since(bench, app)),
    )
    try:
        permitted = permit(draft, against, order.why)
    except RefusedError:
        permitted = None
    changes = difference(previous, draft) if previous is not None else ("the first set",)
    return Judged(draft, previous, against, permitted, changes)


def _signed(bench: Bench, draft: PinSet, signer: Signer) -> bytes:
    data = sign_set(draft, signer)
    # What an app would read is what was judged.
    if read_set(data, bench.roots) != draft:
        raise NotNowError(
            "got another set back than was signed, expected the same; nothing is published"
        )
    return data


def _circumstances(bench: Bench, vantage: Vantage) -> dict[str, Any]:
    """Return what an operator chose that decides what is objected to: a server that is named in the place of the real one objects to nothing."""
    places = [f"{host}={each}" for host, found in vantage.named.items() for each in found]
    return {
        "report_first": bench.file.pins.report_first,
        **({"resolve": places[:_MAX_LOGGED]} if places else {}),
        **({"cafile": str(vantage.ca)[:_MAX_PATH]} if vantage.ca is not None else {}),
    }


def _write(
    bench: Bench, judged: Judged, data: bytes, circumstances: Mapping[str, Any], told: Step
) -> None:
    draft, permitted = judged.draft, judged.permit
    assert permitted is not None
    detail: dict[str, Any] = {
        "version": draft.version,
        "sha256": hashlib.sha256(data).hexdigest(),
        "key": draft.key,
        "roots": draft.root_version,
        "hard_expiry": draft.hard_expiry,
        **circumstances,
    }
    if permitted.forced:
        detail["forced"] = [str(each) for each in permitted.forced[:_MAX_LOGGED]]
        detail["forced_count"] = len(permitted.forced)
    bench.workspace.log.append(replace(told, reason=permitted.why, detail=detail))
    bench.workspace.add_set(draft.app, draft.version, data)


def release(
    config: Path, app: str, version: str, now: float, actor: str
) -> tuple[bytes, Path, int | None]:
    """Write the file for a version of an app; return it, where it is kept, and the version of the set in it.

    A set that the newest root list's keys didn't sign isn't shipped: the app couldn't read it.

    :raises PinsError, WorkspaceError: when it can't be, or is there already.
    :raises NotNowError: when what it would ship with is stale: it would have no pins, or be closed, from its first start on.
    """
    bench = open_bench(config)
    app = bench.app_named(app)
    workspace = bench.workspace
    with workspace.locked():
        published = bench.published(app)
        if published is not None and published.key not in bench.roots.pin_keys:
            published = None
        _require_fresh(bench, app, published, now)
        first = None if published is None else workspace.read_set(app, published.version)
        data = builtin_document(
            app, version, workspace.read_roots(bench.roots.version), first, published
        )
        read_builtin_file(f"{app}-{version}", data)
        path = workspace.builtin_file(app, version)
        detail = {"app_version": version, "roots": bench.roots.version}
        if not path.exists():
            workspace.log.append(step(now, actor, "release", app, detail=detail))
        workspace.add_builtin(app, version, data)
    return data, path, None if published is None else published.version


def _require_fresh(bench: Bench, app: str, published: PinSet | None, now: float) -> None:
    if now >= bench.roots.expires:
        raise NotNowError(
            f"root list {bench.roots.version} has expired, and {app} would take no set under it: have the next list signed, and publish"
        )
    if published is not None and now >= published.soft_expiry:
        raise NotNowError(
            f"{app}: version {published.version} is past its soft expiry, {day(published.soft_expiry)}; first: watchword pins publish"
        )


def withdraw_release(config: Path, app: str, version: str, now: float, actor: str) -> None:
    """Forget a version of an app.

    :raises WorkspaceError: when there is no such version.
    """
    workspace = open_bench(config).workspace
    with workspace.locked():
        # Written down first, like every step: from then on sets are published that this version may not live with.
        if workspace.builtin_file(app, version).exists():
            workspace.log.append(step(now, actor, "withdraw", app, detail={"app_version": version}))
        workspace.drop_builtin(app, version)
