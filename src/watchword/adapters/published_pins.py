"""Follow a workspace's published sets and root lists, never back to an older one.

What is newer is handed out within a second.  An app is followed by the very rules by which it decides itself
(:mod:`watchword.pins.installed`).  This holds no key; a set that it can't vouch for stays in the workspace and is told.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    private_directory,
    read_private,
    write_private,
)
from watchword.adapters.pin_workspace import PinWorkspace
from watchword.pins.installed import accept_set, is_withdrawn, restored
from watchword.pins.interface import (
    MAX_ROOTS_BYTES,
    MAX_SET_BYTES,
    Builtin,
    Installed,
    PublishedPins,
    PublishedSet,
    RootList,
)
from watchword.pins.roots import read_roots, read_unverified
from watchword.reasons import RefusedError, WatchwordError

MAX_LISTS = 1000
"""Most root lists that are followed: one a day for three years."""


AGAIN_SECONDS: Final = 30.0
"""How often all is looked at where no file has changed: what was too early once may count now."""

FAULT_SECONDS: Final = 2.0
"""The same while something is wrong: a disk that was full has room again."""

ROOTS: Final = ""
"""Under this name of the faults stands what is wrong with root lists."""

_HOLDS: Final = "what was handed out before still is"
_Stamp = tuple[tuple[int, int, int] | None, ...]
_Walked = tuple[tuple[RootList, bytes], ...]
_log = structlog.get_logger()


class _Held:
    """Hold an app's pins as its phones would have them now, and what of them is handed out."""

    def __init__(self, installed: Installed, signed: bytes | None) -> None:
        self.installed, self.signed = installed, signed
        kept = installed.set
        counts = kept is not None and not is_withdrawn(kept, installed.roots)
        self.published = (
            PublishedSet(kept, signed) if kept and counts and signed is not None else None
        )


@dataclass(frozen=True, slots=True)
class _State:
    """Hold what is handed out; replaced as a whole, so that nobody sees half of a change.

    :param walked: each root list, and as it was signed.
    """

    walked: _Walked = ()
    held: Mapping[str, _Held] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    apps: frozenset[str] = frozenset()


class PinPublication(PublishedPins):
    """Say what is published by a workspace's files.

    Whatever is wrong with them changes nothing that was handed out, stands in :attr:`faults` until it is mended, and is logged when it changes.
    """

    def __init__(self, workspace: Path, kept: Path, apps: Collection[str]) -> None:
        """Take up what was handed out before the service was stopped; the workspace is looked at by :meth:`refresh`.

        :param kept: the directory in which that stands, as ``roots/N.json`` and ``sets/APP.jws``; nobody else writes there.
        :param apps: that pin hosts now; what was published for others is handed out too.
        """
        self._workspace = PinWorkspace(workspace)
        self._kept = kept
        self._mend = f"if that is as it should be, stop the service and move {kept} away"
        self._apps = frozenset(apps)
        self._looking = threading.Lock()
        self._stamp: _Stamp | None = None
        self._watched: tuple[Path, ...] = ()
        self._looked_at = 0.0
        self._state = self._taken_up()

    @property
    def apps(self) -> frozenset[str]:
        """See :class:`~watchword.pins.interface.PublishedPins`, also for the following."""
        return self._state.apps

    @property
    def roots(self) -> RootList | None:
        """Return the newest root list."""
        return _last(self._state.walked)

    @property
    def faults(self) -> Mapping[str, str]:
        """Return what is wrong, by app."""
        return self._state.faults

    def newest(self, app: str) -> PublishedSet | None:
        """Return an app's newest set."""
        held = self._state.held.get(app)
        return None if held is None else held.published

    def root_list(self, version: int) -> bytes | None:
        """Return a root list."""
        walked = self._state.walked
        index = version - walked[0][0].version if walked else -1
        return walked[index][1] if 0 <= index < len(walked) else None

    def refresh(self, now: float) -> None:
        """Look at the workspace, and take what is newer; costs a few ``stat`` where no file has changed.

        :param now: seconds since 1970.
        """
        if not self._looking.acquire(blocking=False):
            return
        try:
            stamp = _stamp(self._watched)
            pause = FAULT_SECONDS if self._state.faults else AGAIN_SECONDS
            if stamp == self._stamp and abs(now - self._looked_at) < pause:
                return
            self._looked_at = now
            state = self._looked(now)
            watched = self._to_watch(state)
            # The stamp is of before the files were read: what changed meanwhile is seen the next time.
            self._stamp = stamp if watched == self._watched else None
            self._watched = watched
            self._notify(state)
            self._state = state
        finally:
            self._looking.release()

    def _taken_up(self) -> _State:
        """Return what was handed out last; what can't be read any more isn't replaced by something older."""
        faults: dict[str, str] = {}
        kept = self._kept_apps()
        apps = self._apps | kept
        walked: _Walked = ()
        try:
            for data in self._kept_lists():
                walked = (*walked, (read_roots(data, _last(walked)), data))
        except WatchwordError as error:
            faults[ROOTS] = f"{error}; {self._mend}"
            return _State(faults=faults, apps=apps)
        held = {}
        for app in kept if walked else ():
            try:
                signed = read_private(self._kept / "sets" / f"{app}.jws", MAX_SET_BYTES)
                held[app] = _restored(app, walked, signed)
            except WatchwordError as error:
                faults[app] = f"{error}; {self._mend}"
        return _State(walked, held, faults, apps)

    def _kept_apps(self) -> frozenset[str]:
        return frozenset(path.stem for path in (self._kept / "sets").glob("[!.]*.jws"))

    def _kept_lists(self) -> tuple[bytes, ...]:
        """Return the root lists in order; raises PrivateFileError when one can't be read, or is missing between others."""
        directory = self._kept / "roots"
        try:
            found = sorted(
                int(path.stem)
                for path in directory.glob("*.json")
                if path.stem.isascii() and path.stem.isdigit()
            )
        except OSError as error:
            raise PrivateFileError(f"{directory}: can't be read: {error.strerror}") from None
        if found and found != list(range(found[0], found[-1] + 1)):
            raise PrivateFileError(f"{directory}: got {found}, expected none to be missing")
        if not found and self._kept_apps():
            raise PrivateFileError(f"{self._kept}: got sets without root lists")
        lists = [read_private(directory / f"{each}.json", MAX_ROOTS_BYTES) for each in found]
        return tuple(each for each in lists if each is not None)

    def _keep(self, part: str, name: str, data: bytes) -> None:
        """Keep a root list (``roots``, ``N.json``), or a set in the place of an older one (``sets``, ``APP.jws``), durably."""
        private_directory(self._kept)
        private_directory(self._kept / part)
        write_private(self._kept / part / name, data)

    def _looked(self, now: float) -> _State:
        before = self._state
        if not before.walked and ROOTS in before.faults:
            return before  # What was handed out can't be read: nothing is put in its place.
        faults: dict[str, str] = {}
        walked = self._walk(before.walked, faults)
        apps = before.apps
        with suppress(WatchwordError):
            apps |= set(self._workspace.apps())
        held: dict[str, _Held] = {}
        for app in sorted(apps) if walked else ():
            known = before.held.get(app)
            if known is None and app in before.faults and app in self._kept_apps():
                faults[app] = before.faults[app]
                continue
            held[app] = self._follow(app, walked, known, now, faults)
        return _State(walked, held, faults, apps)

    def _walk(self, walked: _Walked, faults: dict[str, str]) -> _Walked:
        """Return the root lists, with those that came since: each is vouched for by the one before it."""
        try:
            versions = self._workspace.root_versions()
            last = _last(walked)
            if last is not None:
                self._compare(versions, last)
            newest = last.version if last is not None else 0
            for version in [each for each in versions if each > newest][:MAX_LISTS]:
                walked = (*walked, self._vouched_for(version, _last(walked)))
        except WatchwordError as error:
            faults[ROOTS] = f"{error}; {_HOLDS}"
        return walked

    def _vouched_for(self, version: int, previous: RootList | None) -> tuple[RootList, bytes]:
        file = f"roots/{version}.json"
        _require_file(self._workspace.directory / file)
        data = self._workspace.read_roots(version)
        try:
            roots = read_roots(data, previous)
        except RefusedError as error:
            raise WatchwordError(f"{file}: {error}") from None
        if roots.version != version:
            raise WatchwordError(f"{file}: got list {roots.version} in it")
        self._keep("roots", f"{version}.json", data)
        return roots, data

    def _compare(self, versions: tuple[int, ...], last: RootList) -> None:
        """See to it that the workspace is the one that was followed, and no older copy of it."""
        if last.version not in versions:
            newest = versions[-1] if versions else "none"
            raise WatchwordError(
                f"got root list {newest} as the workspace's newest, expected {last.version} or a later one: an older copy of it was put back"
            )
        if read_unverified(self._workspace.read_roots(last.version)) != last:
            raise WatchwordError(
                f"roots/{last.version}.json: got another list than was handed out; a new workspace? {self._mend}"
            )

    def _follow(
        self, app: str, walked: _Walked, known: _Held | None, now: float, faults: dict[str, str]
    ) -> _Held:
        """Return an app's pins with the newest set, where it may take the place of the one before."""
        newest = walked[-1][0]
        held = known
        if held is None or held.installed.roots != newest:
            held = _restored(app, walked, None if known is None else known.signed)
        try:
            held = self._newest_of(app, held, now)
        except WatchwordError as error:
            faults[app] = f"{error}; {_HOLDS}"
        kept = held.installed.set
        if app not in faults and kept is not None and held.published is None:
            faults[app] = (
                f"version {kept.version} was withdrawn by root list {newest.version}, and is handed out no more; publish another one"
            )
        return held

    def _newest_of(self, app: str, held: _Held, now: float) -> _Held:
        """Return an app's pins with the workspace's newest set, once it is kept: what is handed out is never forgotten."""
        versions = self._workspace.set_versions(app)
        if not versions:
            if held.signed is not None:
                raise WatchwordError(f"sets/{app}: is gone from the workspace")
            return held
        version = versions[-1]
        file = f"sets/{app}/{version}.jws"
        _require_file(self._workspace.directory / file)
        data = self._workspace.read_set(app, version)
        known = held.installed.set
        if data == held.signed and known is not None and known.version == version:
            return held
        try:
            accepted = accept_set(held.installed, data, now)
        except RefusedError as error:
            raise WatchwordError(f"{file}: {error}") from None
        if accepted.set is None or accepted.set.version != version:
            raise WatchwordError(f"{file}: got another version in it")
        self._keep("sets", f"{app}.jws", data)
        return _Held(accepted, data)

    def _to_watch(self, state: _State) -> tuple[Path, ...]:
        directory = self._workspace.directory
        files = [directory / "roots", directory / "sets"]
        if state.walked:
            files.append(directory / "roots" / f"{state.walked[-1][0].version}.json")
        for app in sorted(state.apps):
            folder = directory / "sets" / app
            files.append(folder)
            with suppress(WatchwordError):
                files += [folder / f"{each}.jws" for each in self._workspace.set_versions(app)[-1:]]
        return tuple(files)

    def _notify(self, state: _State) -> None:
        before = self._state
        for app, held in state.held.items():
            known, published = before.held.get(app), held.published
            if published is not None and (known is None or known.published != published):
                _log.info("pins handed out", app=app, version=published.pin_set.version)
        for app, detail in state.faults.items():
            if before.faults.get(app) != detail:
                _log.error("pins not followed", what=app or "root lists", detail=detail)
        for app in before.faults.keys() - state.faults.keys():
            _log.warning("pins followed again", what=app or "root lists")


def _last(walked: _Walked) -> RootList | None:
    return walked[-1][0] if walked else None


def _restored(app: str, walked: _Walked, signed: bytes | None) -> _Held:
    builtin = Builtin(app, "service", walked[0][0])
    return _Held(restored(builtin, [data for _, data in walked], signed), signed)


def _require_file(path: Path) -> None:
    """See to it that reading ends: of a pipe that nobody writes to it wouldn't."""
    if not path.is_file():
        raise WatchwordError(f"{path}: got something else than a file, or nothing")


def _stamp(paths: Iterable[Path]) -> _Stamp:
    """Return what changes when one of the files is replaced or written, or one comes or goes in a directory."""
    found: list[tuple[int, int, int] | None] = []
    for path in paths:
        try:
            seen = path.stat()
            found.append((seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns))
        except OSError:
            found.append(None)
    return tuple(found)
