"""Lay out what a step works on: the section of watchword.yaml, and what its workspace holds, each part verified."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from watchword.adapters.pin_workspace import PinWorkspace, WorkspaceError
from watchword.apps.pins.builtin_files import read_builtin_file
from watchword.apps.pins.faults import PinsError
from watchword.apps.pins.pinned_keys import PinnedKeys, parse_pinned
from watchword.apps.settings.pins import PinsFile, load_pins
from watchword.pins.interface import Builtin, PinSet, RootList
from watchword.pins.roots import read_roots
from watchword.pins.sets import read_set
from watchword.ports import Signer
from watchword.reasons import Reason, RefusedError


@dataclass(frozen=True, slots=True)
class Bench:
    """Hold what a step works on.

    :param lists: all root lists, each verified by the one before it, in order.
    """

    file: PinsFile
    workspace: PinWorkspace
    pinned: PinnedKeys
    lists: tuple[RootList, ...]

    @property
    def roots(self) -> RootList:
        """Return the newest root list.

        :raises PinsError: when there is none yet.
        """
        if not self.lists:
            raise PinsError(
                f"{self.workspace.directory}: got no root list, expected one: make it on a machine that is offline "
                f"(watchword pins root init --pin-key {self.workspace.public_key.name}), then: watchword pins root accept FILE"
            )
        return self.lists[-1]

    def app_named(self, app: str | None) -> str:
        """Return the app that is meant: by its name, or the only one.

        :raises PinsError: when there is no such app, or more than one.
        """
        known = self.file.pins.apps
        if app is None and len(known) == 1:
            return known[0]
        if app is None or app not in known:
            names = ", ".join(known) or "none: no host under pins.hosts names an app"
            got = "no app" if app is None else f"app {app!r}"
            raise PinsError(f"got {got}, expected one that pins hosts: {names}")
        return app

    def host_named(self, host: str) -> str:
        """Return a host that the section names.

        :raises PinsError: when it doesn't.
        """
        if host not in self.file.pins.hosts:
            known = ", ".join(self.file.pins.hosts) or "none yet"
            raise PinsError(
                f"got host {host}, expected one under pins.hosts of {self.file.path}: {known}"
            )
        return host

    def published(self, app: str) -> PinSet | None:
        """Return the newest published set of an app, None before the first.

        :raises PinsError: when it can't be read, or was signed by none of our keys.
        """
        return next(self.history(app), None)

    def history(self, app: str) -> Iterator[PinSet]:
        """Yield the published sets of an app, the newest first; an old one may be signed by a key that was withdrawn since."""
        for version in reversed(self.workspace.set_versions(app)):
            found = self._read(app, version)
            if (found.app, found.version) != (app, version):
                raise PinsError(
                    f"sets/{app}/{version}.jws: got version {found.version} of {found.app}; restore the workspace"
                )
            yield found

    def fleet(self, app: str | None = None) -> tuple[Builtin, ...]:
        """Return what the supported versions of an app, or of all, ship with.

        :raises PinsError: when one can't be read.
        """
        found = (
            read_builtin_file(name, self.workspace.read_builtin(name))
            for name in self.workspace.builtins()
        )
        return tuple(each for each in found if app in {None, each.app})

    def signer(self) -> Signer:
        """Return the key that signs sets.

        :raises PinsError: when the newest root list doesn't name it.
        :raises WorkspaceError: when it can't be read.
        """
        from watchword.adapters.pin_workspace import read_key  # noqa: PLC0415 - most steps sign nothing.

        key = read_key(self.workspace.key)
        if key is None:
            raise WorkspaceError(f"{self.workspace.key}: is encrypted, expected a key that isn't")
        if key.kid not in self.roots.pin_keys:
            raise PinsError(
                f"{self.workspace.key}: got the key {key.kid}, expected one that root list {self.roots.version} names: "
                f"{', '.join(self.roots.pin_keys)}; have the next list name it: watchword pins root rotate --add-pin-key"
            )
        return key

    def _read(self, app: str, version: int) -> PinSet:
        data = self.workspace.read_set(app, version)
        for roots in reversed(self.lists):
            try:
                return read_set(data, roots)
            except RefusedError as error:
                if error.reason is not Reason.PINS_SET_KEY:
                    raise PinsError(f"sets/{app}/{version}.jws: {error}") from None
        raise PinsError(
            f"sets/{app}/{version}.jws: got a set that no key of our root lists signed; restore the workspace from a backup"
        )


def open_bench(config: Path) -> Bench:
    """Read the section of a file and its workspace.

    :raises ConfigurationError: with every fault of the section, or of the pinned keys.
    :raises WorkspaceError: when there is no workspace, or a part of it is gone.
    :raises PinsError: when a root list doesn't verify.
    """
    file = load_pins(config)
    workspace = PinWorkspace(file.pins.directory)
    workspace.require()
    pinned = parse_pinned(workspace.pinned, workspace.read_pinned())
    return Bench(file, workspace, pinned, read_lists(workspace))


def read_lists(workspace: PinWorkspace) -> tuple[RootList, ...]:
    """Return all root lists of a workspace, each verified by the one before it.

    :raises PinsError: naming the first that isn't.
    """
    found: list[RootList] = []
    for version in workspace.root_versions():
        try:
            roots = read_roots(workspace.read_roots(version), found[-1] if found else None)
        except RefusedError as error:
            raise PinsError(
                f"roots/{version}.json: {error}; restore the workspace from a backup"
            ) from None
        if roots.version != version:
            raise PinsError(f"roots/{version}.json: got version {roots.version} in it")
        found.append(roots)
    return tuple(found)
