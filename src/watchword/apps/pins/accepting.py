"""Bring a signed root list into the workspace."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchword.adapters.pin_workspace import WorkspaceError, read_public_key
from watchword.apps.pins.bench import Bench, open_bench, read_lists
from watchword.apps.pins.faults import NotNowError, PinsError
from watchword.apps.pins.online import published_in
from watchword.apps.pins.root_lists import read_list
from watchword.apps.pins.steps import step
from watchword.pins.installed import is_withdrawn
from watchword.pins.interface import RootList
from watchword.pins.publishing import MAX_WHY, list_objections
from watchword.pins.roots import read_roots
from watchword.reasons import RefusedError


def accept(
    config: Path, file: Path, now: float, actor: str, why: str | None = None
) -> tuple[bytes, RootList, RootList | None]:
    """Verify a list by the workspace's newest one, and keep it; return it as signed and read, and that newest one.

    :param why: the sentence that forces, None for not forcing.
    :raises PinsError: when it is no list, one that is here already, or not the next one.
    :raises NotNowError: when it isn't wholly signed, has expired, takes a pin key out without raising floors, or withdraws the newest
        set of an app: until it has another one, it gets no secrets, and nothing from a closed host.
    """
    bench = open_bench(config)
    data, found = read_list(file)
    with bench.workspace.locked():
        lists = read_lists(bench.workspace)
        previous = lists[-1] if lists else None
        if previous is not None and found.version <= previous.version:
            raise PinsError(
                f"{file}: got list {found.version}, expected {previous.version + 1}: list {previous.version} is here already"
            )
        if previous is not None and found.version > previous.version + 1:
            raise PinsError(
                f"{file}: got list {found.version}, expected {previous.version + 1}: apps walk from list to list, none is left out"
            )
        try:
            roots = read_roots(data, previous)
        except RefusedError as error:
            raise NotNowError(f"{file}: {error}") from None
        if now >= roots.expires:
            raise NotNowError(f"{file}: has expired and would authorise nothing; make it anew")
        detail: dict[str, Any] = {
            "pin_keys": list(roots.pin_keys),
            "floors": dict(roots.floors),
        }
        against = _low_floors(roots, previous, published_in(bench.workspace))
        if against and why is None:
            raise NotNowError(
                f"{file}: {'; '.join(against)}. Apps would take older sets by the other pin keys again. Make the list anew, "
                f'with --floor: watchword pins root rotate. If it must be: watchword pins root accept {file} --force --reason "why"'
            )
        withdrawn, todo = _withdrawn(roots, bench)
        if withdrawn and why is None:
            raise NotNowError(
                f"{file}: {'; '.join(withdrawn)}. Apps would get no secrets, and nothing from a closed host, until they have another set. "
                f'{todo} If the key was stolen: watchword pins root accept {file} --force --reason "why", and publish at once'
            )
        against += withdrawn
        if against:
            detail["forced"] = against
        done = step(
            now,
            actor,
            "root",
            f"list {roots.version}",
            reason=_sentence(why) if against else None,
            detail=detail,
        )
        bench.workspace.log.append(done)
        bench.workspace.add_roots(roots.version, data)
    return data, roots, previous


def _low_floors(
    roots: RootList, previous: RootList | None, published: Mapping[str, int]
) -> list[str]:
    """Return what speaks against a list, in words; nothing against the first."""
    if previous is None:
        return []
    return [each.text for each in list_objections(roots, previous, published)]


def _withdrawn(roots: RootList, bench: Bench) -> tuple[list[str], str]:
    """Return which newest sets a list withdraws, and what to do instead."""
    workspace = bench.workspace
    try:
        ours = read_public_key(workspace.public_key).kid
    except WorkspaceError:
        ours = ""
    newest = (bench.published(app) for app in workspace.apps())
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
