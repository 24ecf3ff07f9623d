"""Make, change and describe root lists, offline, by whoever holds root keys; make the workspace that they vouch for."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from watchword.adapters.keyring.private_file import private_directory, read_private
from watchword.adapters.pin_workspace import (
    PinWorkspace,
    WorkspaceError,
    new_key,
    read_key,
    read_public_key,
    who_runs,
    write_key,
)
from watchword.apps.pins.session import (
    NotNowError,
    PinnedKeys,
    PinsError,
    PinSession,
    open_session,
    pinned_document,
    present,
    read_lists,
    require_reason,
    say,
)
from watchword.apps.settings.document import Document
from watchword.apps.settings.pins import workspace_of
from watchword.apps.settings.sections import Configuration
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.output import replace_file, write_new_file
from watchword.apps.terminal.parameters import seconds_of
from watchword.pins import roots as lists
from watchword.pins.installed import is_withdrawn
from watchword.pins.interface import MAX_ROOTS_BYTES, RootList
from watchword.pins.publication import MAX_WHY, list_objections
from watchword.pins.roots import read_roots, read_unverified, signers_of, unsigned
from watchword.ports import VerificationKey
from watchword.reasons import RefusedError
from watchword.tokens.jose import SigningKey

_MARK: Final = '{"payload":'
"""What tells a root list from another file."""

_KEY_RING: Final = "keyring.json"
"""In the service's state directory, and nowhere else."""

_LEAST: Final = 12
"""Fewest characters of a passphrase: who finds the file tries all shorter ones."""


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
    with _refusing():
        return unsigned(
            version=1,
            expires=expires,
            keys=[each.key for each in keys],
            threshold=threshold or len(keys) // 2 + 1,
            pin_keys=[each.key for each in pin_keys],
        )


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
    with _refusing():
        data = unsigned(
            version=last.version + 1,
            expires=expires,
            keys=[each.key for each in keys],
            threshold=changes.threshold or last.threshold,
            pin_keys=[each.key for each in pin_keys],
            floors={**last.floors, **asked},
        )
    against = list_objections(read_unverified(data), last, published or {})
    if against:
        raise PinsError("; ".join(f"--floor {each.text}" for each in against))
    return data


@contextmanager
def _refusing(where: str = "") -> Iterator[None]:
    """Say what is wrong with a list, and where, as what was asked for wrongly."""
    try:
        yield
    except RefusedError as error:
        raise PinsError(f"{where}{error.refusals[0].detail or error}") from None


def read_list(file: Path) -> tuple[bytes, RootList]:
    """Return a root list in a file as it stands and as it reads; its signatures aren't judged. Raises PinsError when it is none."""
    with file.open("rb") as stream:
        data = stream.read(MAX_ROOTS_BYTES + 2)
    data = data.removesuffix(b"\n")
    with _refusing(f"{file}: "):
        return data, read_unverified(data)


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
        published = session.workspace.newest_sets() if previous is not None else {}
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
        reason = None
        if against:
            detail["forced"] = against
            reason = (why or "").strip()
            if not reason or len(reason) > MAX_WHY or not reason.isprintable():
                raise PinsError(
                    f"--reason: expected a printable sentence of at most {MAX_WHY} characters"
                )
        subject = f"list {roots.version}"
        session.workspace.note(now, actor, "root", subject, reason=reason, detail=detail)
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
            write_key(workspace.key, new_key())
        workspace.write_pinned(pinned_document(PinnedKeys()))
        workspace.note(now, actor, "init", directory.name)


def another_pin_key(workspace: PinWorkspace, now: float, actor: str) -> str:
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
        key = new_key()
        write_key(workspace.key, key)
        workspace.note(now, actor, "pin-key", key.kid)
    return key.kid


_SECTION: Final = """\
pins:
  directory: {directory}
  # Where apps report a mismatch: a host that isn't pinned, or the mismatch cuts off its own report.
  # reports: https://reports.example.net/v1/pins/reports
  soft_expiry: 14d     # from then on apps look for a newer set
  hard_expiry: 90d     # from then on it is enforced no more, see after_expiry
  report_first: 7d     # how long a host is `report` before `enforce` may be published
  hosts:
    # Begin with report: nothing is refused, and you see what would be.
    api.example.com: {{apps: [{apps}], mode: report}}
"""


def _require_offline(directory: Path, config: Path) -> None:
    """See to it that root keys aren't made where the service or the workspace is; raises PinsError within any state directory."""
    file = Configuration.if_readable(config)
    online = () if file is None else (file.state, workspace_of(file))
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


def _passphrase(file: Path | None, prompt: str, alone: str, *, confirm: bool = False) -> str:
    """Return a passphrase, of a file or of whoever is there to be asked; raises click.UsageError where nobody is."""
    if file is not None:
        data = read_private(file, 1024)
        if data is None:
            raise click.UsageError(f"{file}: no such file, expected a passphrase in it")
        try:
            return data.decode().strip("\r\n")
        except UnicodeDecodeError:
            raise click.UsageError(f"{file}: got bytes that aren't UTF-8, expected text") from None
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(f"{alone}; name a file with --passphrase-file")
    phrase: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return phrase


def _new_passphrase(file: Path | None, *, ask: bool) -> str | None:
    """Return the passphrase for a new key, None where none was asked for; raises click.UsageError for a short one."""
    if file is None and not ask:
        return None
    phrase = _passphrase(file, "Passphrase", "nobody is there to be asked", confirm=True)
    if len(phrase) < _LEAST:
        raise click.UsageError(
            f"got a passphrase of {len(phrase)} characters, expected {_LEAST} or more"
        )
    return phrase


def _signing_key(key: Path, passphrase_file: Path | None) -> SigningKey:
    """Return the private key in a file; where it is encrypted, ask for its passphrase."""
    found = read_key(key)
    if found is None:
        alone = f"{key} is encrypted and nobody is there to be asked"
        found = read_key(key, _passphrase(passphrase_file, f"Passphrase of {key}", alone))
    assert found is not None, "by a passphrase it is read, or refused"
    return found


def _show_list(
    data: bytes, roots: RootList, previous: RootList | None, as_json: bool, then: Iterable[str] = ()
) -> None:
    """Show a root list, and for people what to do then."""
    said = described(data, roots, present(), previous)
    say(as_json, said, (*_list_lines(said), *then))


def _show_newest(config: Path, as_json: bool) -> None:
    opened = open_session(config)
    roots = opened.roots
    previous = opened.lists[-2] if len(opened.lists) > 1 else None
    _show_list(opened.workspace.read_roots(roots.version), roots, previous, as_json)


def _list_lines(said: dict[str, Any]) -> Iterator[str]:
    expired = ", EXPIRED: it authorises no new set" if said["expired"] else ""
    yield f"Root list {said['version']}, expires {said['expires'][:10]}{expired}"
    yield f"  root keys  {said['threshold']} of {len(said['keys'])} sign"
    new = dict.fromkeys(said.get("new", ()), "  NEW")
    for key in said["keys"]:
        signed = "signed" if key["signed"] else "has not signed"
        yield f"    {key['kid']}  {signed}{new.get(key['kid'], '')}"
    yield "  pin keys   sign pin sets"
    for kid in said["pin_keys"]:
        yield f"    {kid}{new.get(kid, '')}"
    for kid in said.get("gone", ()):
        yield f"  gone       {kid}"
    for app, floor in said["floors"].items():
        yield f"  floor      {app}: no set below version {floor} counts"
    own = f"  signatures {said['signed']} of {said['threshold']} of its own keys"
    before = said.get("previous")
    yield own + (
        f", {before['signed']} of {before['threshold']} of list {before['version']}"
        if before
        else ""
    )


def _missing(data: bytes, roots: RootList, previous: RootList | None, file: Path) -> Iterator[str]:
    """Yield who has to sign yet, or where to take the list."""
    asked = [(f"this list's {len(roots.keys)} keys", roots)]
    if previous is not None:
        asked.append((f"the {len(previous.keys)} keys of list {previous.version}", previous))
    short = [(whose, by.threshold - len(signers_of(data, by.keys))) for whose, by in asked]
    for whose, count in short:
        if count > 0:
            yield f"Missing: {count} more of {whose}: watchword pins root sign {file} --key KEY.pem"
    if all(count <= 0 for _, count in short):
        yield f"Signed. Take it to the workspace: watchword pins root accept {file}"


def init_command(
    config: Path,
    /,
    *,
    directory: Path | None,
    output: Path | None,
    new_pin_key: bool,
    as_json: bool,
) -> None:
    """Make the workspace, or only another key that signs sets."""
    file = Configuration.if_readable(config)
    named = file or Configuration(config, Document())
    place = directory.resolve() if directory is not None else workspace_of(named)
    workspace = PinWorkspace(place)
    if new_pin_key:
        another_pin_key(workspace, present(), who_runs())
    else:
        if file is not None and place == file.state:
            raise click.UsageError(f"{place} is the service's state directory; name another one")
        begin(workspace, present(), who_runs())
    public = workspace.public_key
    kid = read_public_key(public).kid
    there = str(place.relative_to(named.base)) if place.is_relative_to(named.base) else str(place)
    text = _SECTION.format(directory=there, apps=", ".join(named.apps) or "your-app")
    if output is not None:
        write_new_file(output, text)
    if as_json:
        print_json({"directory": place, "kid": kid, "public": public, "section": text})
        return
    click.echo(f"{place}: the workspace" if not new_pin_key else f"{place}: a new key")
    click.echo(f"{workspace.key}: signs pin sets, for this user alone (mode 0600)")
    click.echo(f"{public}: its public half {kid}; a root list must name it:")
    if new_pin_key:
        # The command as it is written where there is no workspace.
        newest = workspace.newest_sets().items()
        floors = "".join(f" --floor {app}={version}" for app, version in newest)
        click.echo(
            f"\n  watchword pins root rotate roots-N.json --only-pin-key {public.name}{floors}"
        )
        return
    click.echo(f"\n  watchword pins root init -d ROOT-KEYS --pin-key {public.name}")
    click.echo(
        "\n(on a machine that is offline; bring back roots-1.json: watchword pins root accept)"
    )
    if not isinstance(named.data.get("pins"), dict):
        click.echo(f"\nPut this into {config}:\n\n{text}", nl=False)


def _published_by(config: Path) -> dict[str, int] | None:
    """Return by app the highest version that the workspace here published; None where there's none, as offline."""
    named = Configuration.if_readable(config) or Configuration(config, Document())
    workspace = PinWorkspace(workspace_of(named))
    try:
        workspace.require()
    except WorkspaceError:
        return None
    return workspace.newest_sets()


def root(config: Path, /, *, as_json: bool) -> None:
    """Show the newest root list, where no subcommand is named."""
    if click.get_current_context().invoked_subcommand is None:
        _show_newest(config, as_json)


def root_init(config: Path, /, *, directory: Path, as_json: bool, **options: Any) -> None:
    """Make root keys and the first root list, signed by each key that is made here."""
    _require_offline(directory, config)
    expires = int(present()) + seconds_of(options["expires"], "--expires")
    phrase = _new_passphrase(options["passphrase_file"], ask=options["passphrase"])
    made: list[SigningKey] = [new_key() for _ in range(options["keys"])]
    keys = [*(each.verification_key() for each in made), *map(read_public_key, options["public"])]
    pin_keys = list(map(read_public_key, options["pin_keys"]))
    first = first_list(keys, pin_keys, options["threshold"], expires)
    data = lists.sign_roots(first, made)
    private_directory(directory)
    file = directory / "roots-1.json"
    places = [directory / f"root-{number}.pem" for number in range(1, len(made) + 1)]
    there = next((each for each in (file, *places) if each.exists()), None)
    if there is not None:
        raise click.UsageError(f"{there} is there already; root keys are never overwritten")
    for place, key in zip(places, made, strict=True):
        write_key(place, key, phrase)
    write_new_file(file, data.decode("ascii") + "\n")
    _, roots = read_list(file)
    if as_json:
        value = {"file": file, "keys": [str(each) for each in places]}
        print_json({**value, "kids": [each.kid for each in keys]})
        return
    for place in places:
        locked = "encrypted" if phrase else "not encrypted: keep it where nobody else gets"
        click.echo(f"{place}: a root key (mode 0600, {locked})")
    _show_list(data, roots, None, as_json, _missing(data, roots, None, file))


def root_key(
    config: Path,
    /,
    *,
    output: Path,
    passphrase: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Make one key pair, on its holder's own machine."""
    _require_offline(output.parent, config)
    public = output.with_suffix(".jwk")
    if public == output or public.exists():
        raise click.UsageError(f"{public}: expected a name that is free, for the public key")
    key = new_key()
    write_key(output, key, _new_passphrase(passphrase_file, ask=passphrase))
    lines = [
        f"{output}: the private key, for its holder alone (mode 0600)",
        f"{public}: the public key {key.kid}; whoever makes the next list names it:",
        f"\n  watchword pins root rotate roots-1.json --add-key {public}",
    ]
    say(as_json, {"kid": key.kid, "private": output, "public": public}, lines)


def root_sign(
    _config: Path,
    /,
    *,
    file: Path,
    key: Path,
    previous: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Show what a root list says and add a signature to it, in place."""
    data, roots = read_list(file)
    before = None if previous is None else read_list(previous)[1]
    if before is not None and before.version + 1 != roots.version:
        raise click.UsageError(
            f"--previous: got list {before.version}, expected list {roots.version - 1}, the one before {file}"
        )
    signer = _signing_key(key, passphrase_file)
    known = set(roots.keys) | set(before.keys if before is not None else ())
    if signer.kid not in known and (before is not None or roots.version == 1):
        raise click.UsageError(
            f"{key}: got the key {signer.kid}, expected one of the list"
            f"{'' if before is None else ' or of the one before it'}: {', '.join(sorted(known))}"
        )
    signed = lists.add_signature(data, signer)
    replace_file(file, signed.decode("ascii") + "\n", _MARK)
    _show_list(signed, roots, before, as_json, _missing(signed, roots, before, file))


def root_rotate(
    config: Path, /, *, file: Path, output: Path | None, as_json: bool, **options: Any
) -> None:
    """Write the list after a file's: the same, renewed, with the changes that are named."""
    _, last = read_list(file)
    changes = Changes(
        add_keys=tuple(map(read_public_key, options["add_key"])),
        remove_keys=tuple(map(_kid, options["remove_key"])),
        add_pin_keys=tuple(map(read_public_key, options["add_pin_key"])),
        remove_pin_keys=tuple(map(_kid, options["remove_pin_key"])),
        floors=dict(map(_floor, options["floor"])),
        threshold=options["threshold"],
    )
    if options["only_pin_key"] is not None:
        if changes.add_pin_keys or changes.remove_pin_keys:
            raise click.UsageError(
                "--only-pin-key says all: leave out --add-pin-key, --remove-pin-key"
            )
        only = (read_public_key(options["only_pin_key"]),)
        changes = replace(changes, add_pin_keys=only, remove_pin_keys=tuple(last.pin_keys))
    expires = int(present()) + seconds_of(options["expires"], "--expires")
    unsigned = next_list(last, changes, expires, _published_by(config))
    signers = [_signing_key(each, options["passphrase_file"]) for each in options["keys"]]
    roots = lists.read_unverified(unsigned)
    strangers = [each.kid for each in signers if each.kid not in {*roots.keys, *last.keys}]
    if strangers:
        raise click.UsageError(
            f"--key: got {', '.join(strangers)}, expected keys of {file} or of the next list"
        )
    data = lists.sign_roots(unsigned, signers)
    output = output or file.with_name(f"roots-{roots.version}.json")
    write_new_file(output, data.decode("ascii") + "\n")
    _show_list(data, roots, last, as_json, _missing(data, roots, last, output))


def _kid(text: str) -> str:
    """Return a key's id, of its file where it is one."""
    return read_public_key(Path(text)).kid if text.endswith(".jwk") else text


def _floor(text: str) -> tuple[str, int]:
    app, _, version = text.rpartition("=")
    if not app or not version.isascii() or not version.isdigit() or len(version) > 15:
        raise click.BadParameter(
            f"got {text[:80]!r}, expected APP=VERSION such as clinic-android=20261127031500",
            param_hint="--floor",
        )
    return app, int(version)


def root_show(config: Path, /, *, file: Path | None, previous: Path | None, as_json: bool) -> None:
    """Say what a root list says and who signed it; without a file, the workspace's newest."""
    if file is None:
        _show_newest(config, as_json)
        return
    data, roots = read_list(file)
    before = None if previous is None else read_list(previous)[1]
    _show_list(data, roots, before, as_json)


def root_accept(
    config: Path, /, *, file: Path, force: bool, reason: str | None, as_json: bool
) -> None:
    """Bring a root list that is wholly signed into the workspace."""
    require_reason(force, reason)
    data, roots, previous = accept(config, file, present(), who_runs(), reason)
    then = ["Next: watchword pins check, then watchword pins publish."]
    _show_list(data, roots, previous, as_json, then)
