"""Make, change and describe root lists: what is done offline, by whoever holds root keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from watchword.adapters.pin_workspace import (
    PinWorkspace,
    WorkspaceError,
    new_key,
    read_public_key,
    write_key,
    write_public_key,
)
from watchword.apps.pins.session import (
    NotNowError,
    PinnedKeys,
    PinsError,
    PinSession,
    open_session,
    pinned_document,
    published_in,
    read_lists,
    step,
)
from watchword.pins.installed import is_withdrawn
from watchword.pins.interface import MAX_ROOTS_BYTES, RootList
from watchword.pins.publication import MAX_WHY, list_objections
from watchword.pins.roots import read_roots, read_unverified, signers_of, unsigned
from watchword.ports import VerificationKey
from watchword.reasons import RefusedError

MARK: Final = '{"payload":'
"""What tells a root list from another file."""

_KEY_RING: Final = "keyring.json"
"""In the service's state directory, and nowhere else."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Hold what the next root list has that the last one hasn't.

    :param remove_keys: ids, or what they begin with; ``remove_pin_keys`` likewise.
    :param threshold: None for the same; it never falls by itself.
    """

    add_keys: Sequence[VerificationKey] = ()
    remove_keys: Sequence[str] = ()
    add_pin_keys: Sequence[VerificationKey] = ()
    remove_pin_keys: Sequence[str] = ()
    floors: Mapping[str, int] = field(default_factory=dict)
    threshold: int | None = None


def first_list(
    keys: Sequence[VerificationKey],
    pin_keys: Sequence[VerificationKey],
    threshold: int | None,
    expires: int,
) -> bytes:
    """Return the first root list, unsigned; where nobody says a threshold, more than half of the keys sign.

    :raises PinsError: when it can't be one.
    """
    return _unsigned(1, expires, keys, threshold or len(keys) // 2 + 1, pin_keys, {})


def next_list(
    last: RootList, changes: Changes, expires: int, published: Mapping[str, int] | None
) -> bytes:
    """Return the list after another one, unsigned.

    Where it takes a pin key out, the floor of each app is raised to the highest version that was published: older sets by the other
    keys would count again otherwise.

    :param published: by app, the highest version that was published; None where nobody knows here.
    :raises PinsError: when it can't be one, or should raise floors and doesn't.
    """
    asked = changes.floors
    if changes.remove_pin_keys:
        if published is None and not asked:
            raise PinsError(
                "a pin key is taken out, and there is no workspace here that says what was published; got no --floor, expected one for "
                "each app: --floor APP=VERSION, that of its newest set, which `watchword pins show` says where the workspace is (1 if it has none)"
            )
        known = {app: max(each, last.floors.get(app, 1)) for app, each in (published or {}).items()}
        asked = {**known, **asked}
    keys = _changed("root key", last.keys, changes.add_keys, changes.remove_keys)
    pin_keys = _changed("pin key", last.pin_keys, changes.add_pin_keys, changes.remove_pin_keys)
    for app, floor in asked.items():
        least = last.floors.get(app, 1)
        if floor < least:
            raise PinsError(
                f"--floor {app}: got {floor}, expected {least} or more: a floor only rises"
            )
    threshold = changes.threshold or last.threshold
    data = _unsigned(last.version + 1, expires, keys, threshold, pin_keys, {**last.floors, **asked})
    against = list_objections(read_unverified(data), last, published or {})
    if against:
        raise PinsError("; ".join(f"--floor {each.text}" for each in against))
    return data


def _unsigned(
    version: int,
    expires: int,
    keys: Sequence[VerificationKey],
    threshold: int,
    pin_keys: Sequence[VerificationKey],
    floors: Mapping[str, int],
) -> bytes:
    try:
        return unsigned(
            version=version,
            expires=expires,
            keys=[each.key for each in keys],
            threshold=threshold,
            pin_keys=[each.key for each in pin_keys],
            floors=floors,
        )
    except RefusedError as error:
        raise PinsError(_why(error)) from None


def read_list(file: Path) -> tuple[bytes, RootList]:
    """Return a root list in a file as it stands and as it reads; its signatures aren't judged. Raises PinsError when it is none."""
    with file.open("rb") as stream:
        data = stream.read(MAX_ROOTS_BYTES + 2)
    data = data.removesuffix(b"\n")
    try:
        return data, read_unverified(data)
    except RefusedError as error:
        raise PinsError(f"{file}: {_why(error)}") from None


def described(
    data: bytes, roots: RootList, now: float, previous: RootList | None = None
) -> dict[str, Any]:
    """Return what a list says, and who signed it, for people and scripts."""
    signed = signers_of(data, roots.keys)
    said: dict[str, Any] = {
        "version": roots.version,
        "expires": datetime.fromtimestamp(roots.expires, UTC).isoformat(timespec="seconds"),
        "expired": now >= roots.expires,
        "threshold": roots.threshold,
        "keys": [{"kid": kid, "signed": kid in signed} for kid in roots.keys],
        "pin_keys": list(roots.pin_keys),
        "floors": dict(roots.floors),
        "signed": len(signed),
    }
    if previous is not None:
        said["previous"] = {
            "version": previous.version,
            "threshold": previous.threshold,
            "signed": len(signers_of(data, previous.keys)),
        }
        said |= {"new": _only_in(roots, previous), "gone": _only_in(previous, roots)}
    return said


def _only_in(one: RootList, other: RootList) -> list[str]:
    """Return the ids of the keys of either kind that one list has and another hasn't: whoever signs it answers for these."""
    return [
        *(kid for kid in one.keys if kid not in other.keys),
        *(kid for kid in one.pin_keys if kid not in other.pin_keys),
    ]


def require_offline(directory: Path, online: Collection[Path]) -> None:
    """See to it that root keys aren't made where the service or the workspace is.

    :param online: directories of the deployment.
    :raises PinsError: when it is one of them or within, or within a state directory that nobody told of.
    """
    place = directory.resolve()
    inside = next((each for each in online if place.is_relative_to(each)), None)
    if inside is None:
        inside = next(
            (each for each in (place, *place.parents) if (each / _KEY_RING).exists()), None
        )
    if inside is not None:
        raise PinsError(
            f"{directory}: lies within {inside}, which belongs to the running deployment; root keys are made and kept "
            "offline, on a machine or a stick of their own: whoever takes the service must not get them"
        )


def missing_signatures(
    data: bytes, roots: RootList, previous: RootList | None
) -> tuple[tuple[str, int], ...]:
    """Return whose signatures are still missing, and how many; none for a list that is done."""
    asked = [(f"this list's {len(roots.keys)} keys", roots)]
    if previous is not None:
        asked.append((f"the {len(previous.keys)} keys of list {previous.version}", previous))
    found = ((whose, by.threshold - len(signers_of(data, by.keys))) for whose, by in asked)
    return tuple((whose, count) for whose, count in found if count > 0)


def _changed(
    what: str,
    present: Mapping[str, VerificationKey],
    add: Sequence[VerificationKey],
    remove: Sequence[str],
) -> list[VerificationKey]:
    kept = dict(present)
    for text in remove:
        meant = [kid for kid in present if kid.startswith(text)]
        if len(meant) != 1 or not text:
            known = ", ".join(present)
            raise PinsError(f"{what}: got {text!r}, expected the id of one of these: {known}")
        kept.pop(meant[0], None)
    for key in add:
        if key.kid in kept:
            raise PinsError(f"{what}: got {key.kid}, which the list has already")
        kept[key.kid] = key
    if not kept:
        raise PinsError(f"{what}: got none that is left, expected one at least")
    return list(kept.values())


def _why(error: RefusedError) -> str:
    return error.refusals[0].detail or str(error)


def accept(
    config: Path, file: Path, now: float, actor: str, why: str | None = None
) -> tuple[bytes, RootList, RootList | None]:
    """Verify a list by the workspace's newest one, and keep it; return it as signed and read, and that newest one.

    :param why: the sentence that forces, None for not forcing.
    :raises PinsError: when it is no list, one that is here already, or not the next one.
    :raises NotNowError: when it isn't wholly signed, has expired, takes a pin key out without raising floors, or withdraws the newest
        set of an app: until it has another one, it gets no secrets, and nothing from a closed host.
    """
    session = open_session(config)
    data, found = read_list(file)
    with session.workspace.locked():
        lists = read_lists(session.workspace)
        previous = lists[-1] if lists else None
        if previous is not None and found.version != previous.version + 1:
            behind = found.version <= previous.version
            raise PinsError(
                f"{file}: got list {found.version}, expected {previous.version + 1}: "
                + (
                    f"list {previous.version} is here already"
                    if behind
                    else "apps walk from list to list, none is left out"
                )
            )
        try:
            roots = read_roots(data, previous)
        except RefusedError as error:
            raise NotNowError(f"{file}: {error}") from None
        if now >= roots.expires:
            raise NotNowError(f"{file}: has expired and would authorise nothing; make it anew")
        published = published_in(session.workspace) if previous is not None else {}
        against = [each.text for each in list_objections(roots, previous or roots, published)]
        if against and why is None:
            raise NotNowError(
                f"{file}: {'; '.join(against)}. Apps would take older sets by the other pin keys again. Make the list anew, "
                f'with --floor: watchword pins root rotate. If it must be: watchword pins root accept {file} --force --reason "why"'
            )
        withdrawn, todo = _withdrawn(roots, session)
        if withdrawn and why is None:
            raise NotNowError(
                f"{file}: {'; '.join(withdrawn)}. Apps would get no secrets, and nothing from a closed host, until they have another set. "
                f'{todo} If the key was stolen: watchword pins root accept {file} --force --reason "why", and publish at once'
            )
        against += withdrawn
        detail: dict[str, Any] = {"pin_keys": list(roots.pin_keys), "floors": dict(roots.floors)}
        if against:
            detail["forced"] = against
        reason = _sentence(why) if against else None
        done = step(now, actor, "root", f"list {roots.version}", reason=reason, detail=detail)
        session.workspace.log.append(done)
        session.workspace.add_roots(roots.version, data)
    return data, roots, previous


def _withdrawn(roots: RootList, session: PinSession) -> tuple[list[str], str]:
    """Return which newest sets a list withdraws, and what to do instead."""
    workspace = session.workspace
    try:
        ours = read_public_key(workspace.public_key).kid
    except WorkspaceError:
        ours = ""
    newest = (session.published(app) for app in workspace.apps())
    found = [
        f"it withdraws version {each.version} of {each.app}, the newest one"
        for each in newest
        if each is not None and is_withdrawn(each, roots)
    ]
    if ours in roots.pin_keys:
        todo = (
            "Name the new pin key beside the old one first, publish, and take the old one out then."
        )
    else:
        name = workspace.public_key.name
        todo = f"It doesn't name the key of this workspace either: make it anew, with --add-pin-key {name}."
    return found, todo


def _sentence(why: str | None) -> str:
    said = (why or "").strip()
    if not said or len(said) > MAX_WHY or not said.isprintable():
        raise PinsError(f"--reason: expected a printable sentence of at most {MAX_WHY} characters")
    return said


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
            _write_pin_key(workspace)
        workspace.write_pinned(pinned_document(PinnedKeys()))
        workspace.log.append(step(now, actor, "init", directory.name))


def new_pin_key(workspace: PinWorkspace, now: float, actor: str) -> str:
    """Make another key that signs sets, in the place of one that is lost or stolen; return its id.

    The old one is kept beside it under its id, since a root list has to name the new one before it is of any use; under the time
    where a disk or a killed process left no half that tells its id.

    :raises WorkspaceError: when it can't be written.
    """
    workspace.require()
    with workspace.locked():
        try:
            old = read_public_key(workspace.public_key).kid[:16]
        except WorkspaceError:
            old = f"of-{int(now)}"
        for path in (workspace.key, workspace.public_key):
            if path.exists():
                path.rename(path.with_name(f"pin-key-{old}{path.suffix}"))
        kid = _write_pin_key(workspace)
        workspace.log.append(step(now, actor, "pin-key", kid))
    return kid


def _write_pin_key(workspace: PinWorkspace) -> str:
    key = new_key()
    write_key(workspace.key, key)
    write_public_key(workspace.public_key, key)
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
