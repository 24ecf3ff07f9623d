"""Edit the ``plan`` section as a team does: answer by answer, two people at once, with a way back.

The section is held as plain values, as a YAML file has them.  An answer says what it changes *from* and *to*, so that it
can be taken back, and so that two answers to one question are noticed: neither overwrites the other in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from watchword.reasons import WatchwordError

Key: TypeAlias = tuple[str, ...]
"""Where a value stands in the section, such as ``("assets", "records", "impact")``."""

Section: TypeAlias = Mapping[str, Any]
"""Plain values of the section ``plan``."""

LISTS: Final = frozenset({("scenarios", "strike"), ("scenarios", "add"), ("scenarios", "pin")})
"""Lists whose entries are added and taken out one by one."""

_ASSETS: Final = "assets"
_SCENARIOS: Final = ("scenarios",)

MAX_DEPTH: Final = 6
"""Most parts of a key: deeper than anything that the section holds."""


@dataclass(frozen=True, slots=True)
class SetValue:
    """Set one value, or take it out.

    :param before: what stood there when the question was asked; None for nothing.
    :param value: what shall stand there; None takes it out, and mappings that are empty then.
    """

    key: Key
    before: Any
    value: Any


@dataclass(frozen=True, slots=True)
class SetEntry:
    """Add an entry to a list, replace one or take one out; entries are told apart by what they say.

    :param key: one of :data:`LISTS`.
    :param before: the entry that is replaced or taken out; None adds one.
    :param value: None takes it out.
    :param at: the place of an entry that comes back; None for the end.
    """

    key: Key
    before: Any
    value: Any
    at: int | None = None


Edit: TypeAlias = SetValue | SetEntry


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one answer: what it changes, and for the meeting's record who gave it, when, and in which words.

    :param said: one sentence, such as ``records: impact 5``.
    """

    edits: tuple[Edit, ...]
    by: str
    said: str
    at: datetime


class ConflictError(WatchwordError):
    """Report that somebody else has answered meanwhile.

    :ivar key: what both answered; :ivar mine: what was to be written; :ivar theirs: what stands there now.
    """

    def __init__(self, key: Key, mine: Any, theirs: Any) -> None:
        """Keep both answers, so that a person can choose."""
        self.key, self.mine, self.theirs = key, mine, theirs
        super().__init__(
            f"got another answer for {'.'.join(key)} meanwhile, expected the one that this page showed: "
            "look at both, and answer again"
        )


def value_at(section: Section, key: Key) -> Any:
    """Return what stands at a key; None where nothing does."""
    found: Any = section
    for part in key:
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def apply(section: Section, edits: Sequence[Edit]) -> dict[str, Any]:
    """Return the section with all of these edits; the given one stays as it is.

    An edit whose result stands there already changes nothing: the same answer twice is one answer.

    :raises ConflictError: where something else stands than the edit says; nothing is changed then.
    """
    # Mappings on the way are copied, and nothing below them: a section may hold thousands of assets.
    result = dict(section)
    for edit in edits:
        if isinstance(edit, SetValue):
            _set(result, edit)
        else:
            _enter(result, edit)
    return result


def _set(section: dict[str, Any], edit: SetValue) -> None:
    now = value_at(section, edit.key)
    if now == edit.value:
        return
    whole = edit.key[:2]
    halved = whole != edit.key and whole[0] == _ASSETS and value_at(section, whole) is None
    if now != edit.before or halved:
        # A member of an asset that somebody took out would be half an asset.
        raise ConflictError(edit.key, edit.value, now)
    if edit.value is None:
        _take_out(section, edit.key)
    else:
        _holder(section, edit)[edit.key[-1]] = edit.value


def _holder(section: dict[str, Any], edit: Edit) -> dict[str, Any]:
    """Return a copy of the mapping that holds the last part of a key, in its place; made where it isn't there."""
    holder = section
    for part in edit.key[:-1]:
        inner = holder.get(part)
        if inner is not None and not isinstance(inner, Mapping):
            raise ConflictError(edit.key, edit.value, inner)
        holder[part] = dict(inner or {})
        holder = holder[part]
    return holder


def _take_out(section: dict[str, Any], key: Key) -> None:
    """Take a value out, and the mappings around it that hold nothing else: ``{}`` says nothing in a file."""
    holders = [section]
    for part in key[:-1]:
        holders[-1][part] = dict(holders[-1][part])
        holders.append(holders[-1][part])
    for holder, part in zip(reversed(holders), reversed(key), strict=True):
        del holder[part]
        if holder:
            return


def _enter(section: dict[str, Any], edit: SetEntry) -> None:
    if edit.key not in LISTS:
        raise ConflictError(edit.key, edit.value, value_at(section, edit.key))
    entries = value_at(section, edit.key)
    entries = [] if entries is None else entries
    if not isinstance(entries, list):
        raise ConflictError(edit.key, edit.value, entries)
    entries = list(entries)
    if edit.before is None:
        if edit.value is None or edit.value in entries:
            return
        entries.insert(len(entries) if edit.at is None else edit.at, edit.value)
    elif edit.before in entries:
        place = entries.index(edit.before)
        entries[place : place + 1] = [] if edit.value is None else [edit.value]
    elif edit.value is not None and edit.value not in entries:
        raise ConflictError(edit.key, edit.value, None)
    else:
        return
    if entries:
        _holder(section, edit)[edit.key[-1]] = entries
    else:
        _take_out(section, edit.key)


def inverse(section: Section, edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Return what takes these edits back.

    :param section: as it was before them.
    """
    back: list[Edit] = []
    for edit in edits:
        if isinstance(edit, SetValue):
            back.append(SetValue(edit.key, edit.value, edit.before))
        else:
            # Its place is that of the moment at which it goes: entries before it may have gone already.
            entries = value_at(section, edit.key) or []
            at = entries.index(edit.before) if edit.before in entries else None
            back.append(SetEntry(edit.key, edit.value, edit.before, at))
        section = apply(section, [edit])
    return tuple(reversed(back))


def difference(before: Section, after: Section) -> tuple[Edit, ...]:
    """Return the edits that lead from one section to another, as small as the members are.

    ``apply(before, difference(before, after)) == after``, but for the order of members and entries.
    """
    return tuple(_differences((), before, after))


def _differences(key: Key, before: Section, after: Section) -> list[Edit]:
    edits: list[Edit] = []
    for name in [*before, *(each for each in after if each not in before)]:
        one, other, here = before.get(name), after.get(name), (*key, name)
        if here == _SCENARIOS:
            # Entry by entry, also where one side has none: of two people each may write the first.
            one, other = one or {}, other or {}
        if one == other:
            continue
        if here in LISTS and isinstance(one or [], list) and isinstance(other or [], list):
            gone, new = list(one or []), list(other or [])
            edits += [SetEntry(here, each, None) for each in gone if each not in new]
            edits += [SetEntry(here, None, each) for each in new if each not in gone]
        elif isinstance(one, Mapping) and isinstance(other, Mapping) and len(here) < MAX_DEPTH:
            edits += _differences(here, one, other)
        else:
            edits.append(SetValue(here, one, other))
    return edits


@dataclass(frozen=True, slots=True)
class Merged:
    """Hold what comes of two people's changes to one section.

    :param section: with all changes that don't contradict each other, and ``mine`` where they do.
    :param conflicts: the edits of theirs that contradict mine.
    """

    section: dict[str, Any]
    conflicts: tuple[Edit, ...]


def merge(base: Section, mine: Section, theirs: Section) -> Merged:
    """Return both sides' changes since ``base``; where they contradict each other, mine stays and theirs is told."""
    section, conflicts = dict(mine), []
    for edit in difference(base, theirs):
        try:
            section = apply(section, [edit])
        except ConflictError:
            conflicts.append(edit)
    return Merged(section, tuple(conflicts))


def renamed(section: Section, old: str, new: str) -> tuple[Edit, ...]:
    """Return the edits that give an asset another name, also where scenarios name it.

    :raises ConflictError: when there is no such asset, or the new name is taken.
    """
    assets = section.get("assets") or {}
    if old not in assets or new in assets:
        raise ConflictError(("assets", new), old, assets.get(new))
    edits: list[Edit] = [
        SetValue(("assets", old), assets[old], None),
        SetValue(("assets", new), None, assets[old]),
    ]
    for key in sorted(LISTS):
        edits += [
            SetEntry(key, each, {**each, "asset": new})
            for each in value_at(section, key) or []
            if isinstance(each, dict) and each.get("asset") == old
        ]
    return tuple(edits)
