"""Read of watchword.yaml where the deployment has its directories, also before it has a section `pins`."""

from pathlib import Path
from typing import Any

from watchword.adapters.pin_workspace import PinWorkspace, WorkspaceError
from watchword.apps.settings.document import read_document
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.pins import state_directory
from watchword.apps.settings.written_pins import WrittenPins


def online_directories(config: Path) -> tuple[Path, ...]:
    """Return the state directory and the workspace that a file names; none where there is no file, as on a machine that is offline."""
    data = _data(config)
    return () if data is None else (state_directory(config, data), workspace_of(config)[0])


def workspace_of(config: Path) -> tuple[Path, bool]:
    """Return the workspace that a file names or that would be taken, and whether the file has the section."""
    pins = (_data(config) or {}).get("pins")
    directory = pins.get("directory") if isinstance(pins, dict) else None
    if not isinstance(directory, str):
        directory = str(WrittenPins.model_fields["directory"].default)
    return (config.resolve().parent / directory).resolve(), isinstance(pins, dict)


def apps_of(config: Path) -> tuple[str, ...]:
    """Return the names of the apps of a file, none where it can't be read."""
    apps = (_data(config) or {}).get("apps")
    return tuple(map(str, apps)) if isinstance(apps, dict) else ()


def published_in(workspace: PinWorkspace) -> dict[str, int]:
    """Return by app the highest version that a workspace ever published."""
    versions = {app: workspace.set_versions(app) for app in workspace.apps()}
    return {app: found[-1] for app, found in versions.items() if found}


def published_by(config: Path) -> dict[str, int] | None:
    """Return the same of the workspace that a file names or that would be taken; None where there's none, as offline."""
    workspace = PinWorkspace(workspace_of(config)[0])
    try:
        workspace.require()
    except WorkspaceError:
        return None
    return published_in(workspace)


def _data(config: Path) -> dict[str, Any] | None:
    try:
        document = read_document(config)
    except ConfigurationError:
        return None
    return document.data if isinstance(document.data, dict) else {}
