"""Write what a version of an app ships with, and remember it."""

from pathlib import Path

from watchword.apps.pins.bench import Bench, open_bench
from watchword.apps.pins.builtin_files import read_builtin_file
from watchword.apps.pins.faults import NotNowError
from watchword.apps.pins.steps import step
from watchword.apps.pins.words import day
from watchword.pins.builtins import builtin_document
from watchword.pins.interface import PinSet


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
