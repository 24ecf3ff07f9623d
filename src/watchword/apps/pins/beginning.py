"""Make a workspace, and word the section that names it."""

from pathlib import Path

from watchword.adapters.pin_workspace import (
    PinWorkspace,
    WorkspaceError,
    new_key,
    write_key,
    write_public_key,
)
from watchword.apps.pins.faults import PinsError
from watchword.apps.pins.pinned_keys import PinnedKeys, pinned_document
from watchword.apps.pins.steps import step


def begin(workspace: PinWorkspace, now: float, actor: str) -> None:
    """Make the directories, the key that signs sets, and an empty file of pinned keys.

    What an interrupted one left is completed; a workspace that is whole, or that was ever used, is never touched.

    :raises PinsError: when there is one.
    :raises WorkspaceError: when it can't be made.
    """
    directory = workspace.directory
    if workspace.pinned.exists():
        raise PinsError(f"{directory}: is a workspace already, and is never overwritten")
    used = workspace.root_versions() or workspace.apps() or workspace.builtins()
    if used or workspace.log.path.exists():
        raise PinsError(
            f"{directory}: got a workspace that was in use and has lost {workspace.pinned.name}; restore it from a backup, "
            "or make another one elsewhere"
        )
    ours = {workspace.key.name, workspace.public_key.name, "roots", "sets", "builtins"}
    strange = (
        [each.name for each in directory.iterdir() if each.name not in ours]
        if directory.is_dir()
        else []
    )
    if strange:
        raise PinsError(
            f"{directory}: got {strange[0]!r} in it, expected an empty directory, or none"
        )
    workspace.create()
    with workspace.locked():
        if not workspace.public_key.exists():
            # A private key without its public half was never named in any list.
            workspace.key.unlink(missing_ok=True)
            key = new_key()
            write_key(workspace.key, key)
            write_public_key(workspace.public_key, key)
        workspace.write_pinned(pinned_document(PinnedKeys()))
        workspace.log.append(step(now, actor, "init", directory.name))


def new_pin_key(workspace: PinWorkspace, now: float, actor: str) -> str:
    """Make another key that signs sets, in the place of one that is lost or stolen; return its id.

    The old one is kept beside it under its id, since a root list has to name the new one before it is of any use; under the time
    where a disk or a killed process left no half that tells its id.

    :raises WorkspaceError: when it can't be written.
    """
    from watchword.adapters.pin_workspace import read_public_key  # noqa: PLC0415 - seldom needed.

    workspace.require()
    with workspace.locked():
        try:
            old = read_public_key(workspace.public_key).kid[:16]
        except WorkspaceError:
            old = f"of-{int(now)}"
        for path in (workspace.key, workspace.public_key):
            if path.exists():
                path.rename(path.with_name(f"pin-key-{old}{path.suffix}"))
        key = new_key()
        write_key(workspace.key, key)
        write_public_key(workspace.public_key, key)
        workspace.log.append(step(now, actor, "pin-key", key.kid))
    return key.kid


def section(directory: str, apps: tuple[str, ...]) -> str:
    """Return the section for watchword.yaml."""
    named = ", ".join(apps) or "your-app"
    return f"""\
pins:
  directory: {directory}
  # Where apps report a mismatch: a host that isn't pinned, or the mismatch cuts off its own report.
  # reports: https://reports.example.net/v1/pins/reports
  soft_expiry: 14d     # from then on apps look for a newer set
  hard_expiry: 90d     # from then on it is enforced no more, see after_expiry
  report_first: 7d     # how long a host is `report` before `enforce` may be published
  hosts:
    # Begin with report: nothing is refused, and you see what would be.
    api.example.com: {{apps: [{named}], mode: report}}
"""


def named_from(directory: Path, config: Path) -> str:
    """Return a directory as watchword.yaml names it: from where that stands, if it lies below."""
    base = config.resolve().parent
    return str(directory.relative_to(base)) if directory.is_relative_to(base) else str(directory)
