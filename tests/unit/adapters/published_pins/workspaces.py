"""Make workspaces with root lists and sets in them, as `watchword pins` leaves them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.unit.pins.builders import APP, key, pin_set, roots_data

from watchword.adapters.pin_workspace import PinWorkspace
from watchword.adapters.published_pins import PinPublication
from watchword.pins.interface import HostPins, PinSet
from watchword.pins.sets import sign_set


@dataclass
class Bench:
    """Hold a workspace, and the directory that a service keeps what it handed out in."""

    directory: Path

    @property
    def workspace(self) -> PinWorkspace:
        """Return the workspace, made where it isn't there."""
        found = PinWorkspace(self.directory / "pins")
        found.create()
        return found

    @property
    def kept(self) -> Path:
        """Return the service's own directory."""
        return self.directory / "state" / "pins"

    def started(self) -> PinPublication:
        """Return who follows the workspace, as after a start; nothing was looked at yet."""
        return PinPublication(self.workspace.directory, self.kept, [APP])

    def roots(self, version: int = 1, **changes: object) -> bytes:
        """Put a root list into the workspace."""
        data = roots_data(version, **changes)  # type: ignore[arg-type]
        self.workspace.add_roots(version, data)
        return data

    def publish(
        self, version: int, *hosts: HostPins, by: str = "pin1", app: str = APP, **changes: object
    ) -> bytes:
        """Publish a set."""
        made: PinSet = pin_set(version, *hosts, app=app, key=key(by).kid, **changes)
        data = sign_set(made, key(by))
        self.workspace.add_set(app, version, data)
        return data

    def put(self, version: int, data: bytes, app: str = APP) -> None:
        """Put bytes in the place of a set, whatever they are."""
        folder = self.workspace.directory / "sets" / app
        folder.mkdir(exist_ok=True)
        (folder / f"{version}.jws").write_bytes(data)

    def copied(self) -> Path:
        """Return a copy of the workspace as it is."""
        return Path(shutil.copytree(self.workspace.directory, self.directory / "backup"))

    def put_back(self, copy: Path) -> None:
        """Put a copy in the place of the workspace."""
        shutil.rmtree(self.directory / "pins")
        shutil.copytree(copy, self.directory / "pins")

    def forget(self, *parts: str) -> None:
        """Take something away from the workspace."""
        for part in parts:
            path = self.workspace.directory / part
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def versions(pins: PinPublication, apps: Sequence[str] = (APP,)) -> list[int | None]:
    """Return which version of each app's set is handed out."""
    found = [pins.newest(app) for app in apps]
    return [None if each is None else each.pin_set.version for each in found]
