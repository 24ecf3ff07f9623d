"""Publish: draft, hold against everything that speaks against it, write down, sign, hand out; one at a time."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from watchword.adapters.pin_workspace import Step
from watchword.apps.pins.checks import Probe, ProbeOptions, difference, probe
from watchword.apps.pins.session import (
    NotNowError,
    PinsError,
    PinSession,
    day,
    open_session,
    read_builtin_file,
    step,
)
from watchword.pins.builtins import builtin_document
from watchword.pins.interface import PinSet
from watchword.pins.publication import (
    Objection,
    Permit,
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
    against: tuple[Objection, ...]
    permit: Permit | None
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Hold what came of an order; sets were published exactly where ``done``."""

    judged: tuple[Judged, ...]
    done: bool

    @property
    def permitted(self) -> bool:
        """Tell whether nothing is in the way of any set."""
        return all(each.permit is not None for each in self.judged)


def publish(
    config: Path, order: Order, options: ProbeOptions, now: float, actor: str, *, dry: bool = False
) -> Published:
    """Publish a set for each app, or none at all where one of them is refused.

    Servers are looked at before the lock is taken; whoever published meanwhile has won, and nothing is published on top of it.
    Each step is in the log before the set is there: killed in between, a version is skipped and none goes untold.

    :param dry: judge only.
    :raises PinsError: when there is nothing to publish.
    :raises NotNowError: when another publish came first.
    :raises WorkspaceError: when the workspace can't be used.
    """
    session = open_session(config)
    apps = tuple(session.app_named(each) for each in order.apps) or _pinning(session)
    signer = session.signer()
    before = _newest(session, apps)
    probes = probe(session.file.pins.looked_at(apps, options.named), options)
    if dry:
        return Published(
            tuple(_judged(session, app, probes, order, signer, now) for app in apps), done=False
        )
    with session.workspace.locked():
        session = open_session(config)
        if _newest(session, apps) != before:
            raise NotNowError(
                "another publish came first, just now; look at it with `watchword pins show`, and publish again if it is needed"
            )
        judged = tuple(_judged(session, app, probes, order, signer, now) for app in apps)
        if not all(each.permit for each in judged):
            return Published(judged, done=False)
        signed = [_signed(session, each.draft, signer) for each in judged]
        for each, data in zip(judged, signed, strict=True):
            _write(
                session,
                each,
                data,
                _circumstances(session, options),
                step(now, actor, "publish", each.draft.app),
            )
    return Published(judged, done=True)


def tried_since(session: PinSession, app: str) -> dict[str, float]:
    """Return by host since when it has been published without a gap."""
    since: dict[str, float] = {}
    going: set[str] | None = None
    for each in session.history(app):
        hosts = {entry.host for entry in each.hosts}
        going = hosts if going is None else going & hosts
        if not going:
            break
        since.update(dict.fromkeys(going, float(each.issued_at)))
    return since


def _pinning(session: PinSession) -> tuple[str, ...]:
    """Return the apps of which any host has a key; raises PinsError when there is none."""
    pins = session.file.pins
    found = [
        app for app in pins.apps if any(session.pinned.of(host) for host in pins.hosts_of(app))
    ]
    if not found:
        host = next(iter(pins.hosts), "HOST")
        raise PinsError(
            f"got no pinned key, expected some: watchword pins add {host} --from-live --role current"
        )
    return tuple(found)


def _newest(session: PinSession, apps: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(max(session.workspace.set_versions(app), default=0) for app in apps)


def _judged(
    session: PinSession,
    app: str,
    probes: Mapping[str, Probe],
    order: Order,
    signer: Signer,
    now: float,
) -> Judged:
    previous = session.published(app)
    draft = replace(session.draft(app, now, order.above), key=signer.kid)
    against = objections(
        draft,
        previous,
        {host: each.results for host, each in probes.items() if draft.entry(host) is not None},
        session.fleet(app),
        session.roots,
        now,
        tried=Tried(session.file.pins.report_first, tried_since(session, app)),
    )
    try:
        permitted = permit(against, order.why)
    except RefusedError:
        permitted = None
    changes = difference(previous, draft) if previous is not None else ("the first set",)
    return Judged(draft, against, permitted, changes)


def _signed(session: PinSession, draft: PinSet, signer: Signer) -> bytes:
    data = sign_set(draft, signer)
    # What an app would read is what was judged.
    if read_set(data, session.roots) != draft:
        raise NotNowError(
            "got another set back than was signed, expected the same; nothing is published"
        )
    return data


def _circumstances(session: PinSession, options: ProbeOptions) -> dict[str, Any]:
    """Return what an operator chose that decides what is objected to: a server that is named in the place of the real one objects to nothing."""
    places = [f"{host}={each}" for host, found in options.named.items() for each in found]
    return {
        "report_first": session.file.pins.report_first,
        **({"resolve": places[:_MAX_LOGGED]} if places else {}),
        **({"cafile": str(options.ca)[:_MAX_PATH]} if options.ca is not None else {}),
    }


def _write(
    session: PinSession, judged: Judged, data: bytes, circumstances: Mapping[str, Any], told: Step
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
    session.workspace.log.append(replace(told, reason=permitted.why, detail=detail))
    session.workspace.add_set(draft.app, draft.version, data)


def release(
    config: Path, app: str, version: str, now: float, actor: str
) -> tuple[bytes, Path, int | None]:
    """Write the file for a version of an app; return it, where it is kept, and the version of the set in it.

    A set that the newest root list's keys didn't sign isn't shipped: the app couldn't read it.

    :raises PinsError, WorkspaceError: when it can't be, or is there already.
    :raises NotNowError: when what it would ship with is stale: it would have no pins, or be closed, from its first start on.
    """
    session = open_session(config)
    app = session.app_named(app)
    workspace = session.workspace
    with workspace.locked():
        published = session.published(app)
        if published is not None and published.key not in session.roots.pin_keys:
            published = None
        _require_fresh(session, app, published, now)
        first = None if published is None else workspace.read_set(app, published.version)
        data = builtin_document(
            app, version, workspace.read_roots(session.roots.version), first, published
        )
        read_builtin_file(f"{app}-{version}", data)
        path = workspace.builtin_file(app, version)
        detail = {"app_version": version, "roots": session.roots.version}
        if not path.exists():
            workspace.log.append(step(now, actor, "release", app, detail=detail))
        workspace.add_builtin(app, version, data)
    return data, path, None if published is None else published.version


def _require_fresh(session: PinSession, app: str, published: PinSet | None, now: float) -> None:
    if now >= session.roots.expires:
        raise NotNowError(
            f"root list {session.roots.version} has expired, and {app} would take no set under it: have the next list signed, and publish"
        )
    if published is not None and now >= published.soft_expiry:
        raise NotNowError(
            f"{app}: version {published.version} is past its soft expiry, {day(published.soft_expiry)}; first: watchword pins publish"
        )


def withdraw_release(config: Path, app: str, version: str, now: float, actor: str) -> None:
    """Forget a version of an app; raises WorkspaceError when there is no such version."""
    workspace = open_session(config).workspace
    with workspace.locked():
        # Written down first, like every step: from then on sets are published that this version may not live with.
        if workspace.builtin_file(app, version).exists():
            workspace.log.append(step(now, actor, "withdraw", app, detail={"app_version": version}))
        workspace.drop_builtin(app, version)
