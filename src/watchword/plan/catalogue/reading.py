"""Read the catalogue that the package ships, and merge a user's own entries and changes into it.

Both go one way: the shipped files are read as what a user might have written beside an empty catalogue.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from typing import Any, Final

from watchword.plan.catalogue.members import (
    LIKELIHOOD_WORDS,
    MAX_NAME,
    MAX_STRENGTH,
    MemberReader,
    Where,
    shown,
)
from watchword.plan.catalogue.references import PROTECTION_NAMES, TECHNIQUE_NAMES
from watchword.plan.interface import (
    CLIENT_STRENGTH,
    Actor,
    Catalogue,
    Component,
    EnforcedAt,
    Intelligence,
    ModelFault,
    Protection,
    ProtectionKind,
    Stage,
    Technique,
    Trait,
)

MAX_ENTRIES: Final = 500
"""Most techniques, and most protections."""

NO_LIKELIHOOD: Final = (
    "no such member: the plan ranks by impact alone, since how often somebody will try is a guess"
    " that would set the coat, stolen often, above the car"
)

TECHNIQUES: Final = "techniques"
PROTECTIONS: Final = "protections"
FILES: Final = ("app.toml", "channel.toml", "backend.toml")

_ID: Final = re.compile(r"(?:MT|PR)-[A-Z][0-9]{2,3}")
_TECHNIQUE_ID: Final = "a technique's id; `watchword plan catalogue` lists them"
_PROTECTION_ID: Final = "a protection's id; `watchword plan catalogue` lists them"

_REQUIRED: Final = {
    TECHNIQUES: ("name", "about", "component", "stage"),
    PROTECTIONS: (
        *("name", "about", "component", "enforced_at", "kind"),
        *("effort", "cuts", "does_not", "evidence"),
    ),
}


@cache
def load_catalogue() -> Catalogue:
    """Return the catalogue that the package ships.

    :raises ValueError: when it has faults, which is a fault of ours.
    """
    catalogue, faults = merge(Catalogue({}, {}), shipped())
    if faults:
        raise ValueError(f"the shipped catalogue has faults: {faults[:5]}")
    return catalogue


def shipped() -> Mapping[str, Mapping[str, Any]]:
    """Return what the shipped files hold, as it is written.

    :raises ValueError: when two files hold the same id.
    """
    folder = resources.files("watchword.plan.catalogue")
    written: dict[str, dict[str, Any]] = {}
    for part in (TECHNIQUES, PROTECTIONS):
        entries = written.setdefault(part, {})
        for name in FILES:
            text = folder.joinpath(part).joinpath(name).read_text("utf-8")
            found = tomllib.loads(text)
            if found.keys() & entries.keys():
                raise ValueError(f"{part}/{name}: an id stands in two files")
            entries |= found
    return written


def merge(base: Catalogue, written: Mapping[str, Any]) -> tuple[Catalogue, list[ModelFault]]:
    """Return the catalogue with a user's entries and changes, and everything that is wrong with them.

    An entry under a new id needs all its members.  One under a known id changes the members that it names;
    ``cuts`` changes the techniques that it names, and strength 0 takes a cut away.

    :param written: parsed YAML: ``techniques`` and ``protections``, each entries by id.
    :returns: ``base`` itself where there are faults; ``where`` of each is relative to ``written``.
    """
    merger = _Merger(base)
    catalogue = merger.merge(written)
    faults = merger.reader.faults
    return base if faults else catalogue, faults


_Members = Mapping[str, Callable[[object, Where], Any]]
"""How each member is read: None where it has a fault, which was added."""


class _Merger:
    """Merge one user's file into a catalogue."""

    def __init__(self, base: Catalogue) -> None:
        """Begin with what there is."""
        self.base = base
        self.reader = MemberReader()
        self.techniques = dict(base.techniques)
        self.protections = dict(base.protections)
        self.technique_ids = set(base.techniques)
        self.protection_ids = set(base.protections)

    def merge(self, written: Mapping[str, Any]) -> Catalogue:
        """Return the merged catalogue, which counts only where the reader has no faults."""
        parts = self.reader.mapping(written, ()) or {}
        for key in parts:
            if key not in _REQUIRED:
                self._unknown((), key, tuple(_REQUIRED))
        techniques = self._entries(parts, TECHNIQUES, "MT", self.technique_ids)
        protections = self._entries(parts, PROTECTIONS, "PR", self.protection_ids)
        for key, value in techniques.items():
            technique = self._technique(key, value)
            if technique is not None:
                self.techniques[key] = technique
        for key, value in protections.items():
            protection = self._protection(key, value)
            if protection is not None:
                self.protections[key] = protection
        self._refuse_cycles(protections)
        return Catalogue(
            {key: self.techniques[key] for key in sorted(self.techniques)},
            {key: self.protections[key] for key in sorted(self.protections)},
            self._changed(),
        )

    def _changed(self) -> dict[str, tuple[str, ...]]:
        """Return by id which members of what was there are others now, by the base's own count and this one's."""
        pairs: list[tuple[str, Technique | Protection, Technique | Protection]] = [
            *((key, old, self.techniques[key]) for key, old in self.base.techniques.items()),
            *((key, old, self.protections[key]) for key, old in self.base.protections.items()),
        ]
        found = dict(self.base.changed)
        for key, old, new in pairs:
            # What is lowered follows from strengths and from where it is enforced.
            members = [each.name for each in fields(old) if each.name != "clamped"]
            differ = {name for name in members if getattr(old, name) != getattr(new, name)}
            if differ:
                differ.update(found.get(key, ()))
                found[key] = tuple(name for name in members if name in differ)
        return {key: found[key] for key in sorted(found)}

    def _entries(
        self, parts: Mapping[str, Any], part: str, prefix: str, known: set[str]
    ) -> dict[str, Mapping[str, Any]]:
        """Return the entries under a part that have a good id; add these ids to those known."""
        if part not in parts:
            return {}
        entries: dict[str, Mapping[str, Any]] = {}
        written = self.reader.mapping(parts[part], (part,)) or {}
        if len(known | written.keys()) > MAX_ENTRIES:
            got = f"{len(known | written.keys())} with the shipped ones"
            self.reader.fault((part,), got, f"at most {MAX_ENTRIES}")
            return {}
        for key, value in written.items():
            if not _ID.fullmatch(key) or not key.startswith(prefix):
                expected = f"an id: {prefix}-, a letter, two or three digits, such as {prefix}-X01"
                self.reader.fault((part, key), shown(key), expected)
                continue
            known.add(key)
            members = self.reader.mapping(value, (part, key))
            if members is not None:
                entries[key] = members
        return entries

    def _technique(self, key: str, value: Mapping[str, Any]) -> Technique | None:
        """Return the technique as it is now; None where it has faults."""
        read, where = self.reader, (TECHNIQUES, key)
        members = {
            "name": lambda v, w: read.text(v, w, MAX_NAME),
            "about": read.text,
            "component": lambda v, w: read.word(v, w, Component),
            "stage": lambda v, w: read.word(v, w, Stage),
            "needs": lambda v, w: read.words(v, w, Intelligence),
            "gives": lambda v, w: read.words(v, w, Intelligence),
            "harms": lambda v, w: read.words(v, w, Trait),
            "actors": self._actors,
            "accepted": read.text,
            "names": lambda v, w: read.names(v, w, TECHNIQUE_NAMES),
        }
        base = self.techniques.get(key)
        given = self._given(value, where, members, is_new=base is None)
        if given is None:
            return None
        technique = replace(base, **given) if base else Technique(id=key, **given)
        if technique.stage is Stage.EXPLOIT and not technique.harms:
            expected = "at least one of " + ", ".join(trait.value for trait in Trait)
            read.fault((*where, "harms"), "nothing that it harms", expected)
            return None
        if technique.stage is Stage.RECON and technique.harms:
            got = ", ".join(sorted(technique.harms))
            expected = "nothing: gathering intelligence harms no asset by itself"
            read.fault((*where, "harms"), got, expected)
            return None
        return technique

    def _protection(self, key: str, value: Mapping[str, Any]) -> Protection | None:
        """Return the protection as it is now; None where it has faults."""
        read, where = self.reader, (PROTECTIONS, key)
        members = {
            "name": lambda v, w: read.text(v, w, MAX_NAME),
            "about": read.text,
            "component": lambda v, w: read.word(v, w, Component),
            "enforced_at": lambda v, w: read.word(v, w, EnforcedAt),
            "kind": lambda v, w: read.word(v, w, ProtectionKind),
            "effort": read.effort,
            "depends_on": lambda v, w: read.ids(v, w, self.protection_ids, _PROTECTION_ID),
            "cuts": self._cuts,
            "does_not": read.texts,
            "evidence": read.evidence,
            "reviewable": read.flag,
            "names": lambda v, w: read.names(v, w, PROTECTION_NAMES),
        }
        base = self.protections.get(key)
        given = self._given(value, where, members, is_new=base is None)
        if given is None:
            return None
        given["cuts"] = _stated(base) | given.get("cuts", {})
        return _clamped(replace(base, **given) if base else Protection(id=key, **given))

    def _actors(self, value: object, where: Where) -> frozenset[Actor] | None:
        """Read who is imitated: at least one, since a technique of nobody would reach nothing and look answered."""
        found = self.reader.words(value, where, Actor)
        if found is not None and not found:
            expected = "at least one of " + ", ".join(actor.value for actor in Actor)
            self.reader.fault(where, "nobody", expected)
            return None
        return found

    def _given(
        self,
        value: Mapping[str, Any],
        where: Where,
        members: _Members,
        *,
        is_new: bool,
    ) -> dict[str, Any] | None:
        """Return the members that are written; None where one has faults, or a new entry lacks one."""
        before = len(self.reader.faults)
        given = {}
        for name, item in value.items():
            if name in members:
                given[name] = members[name](item, (*where, name))
            else:
                self._unknown(where, name, tuple(members))
        missing = [name for name in _REQUIRED[str(where[0])] if name not in value] if is_new else []
        if missing:
            expected = f"{', '.join(missing)} as well, since no such entry is shipped"
            self.reader.fault(where, "a new entry that lacks members", expected)
        return None if len(self.reader.faults) > before else given

    def _unknown(self, where: Where, name: str, known: tuple[str, ...]) -> None:
        """Add the fault of a member that there isn't."""
        if name.lower() in LIKELIHOOD_WORDS:
            self.reader.fault((*where, name), "a likelihood", NO_LIKELIHOOD)
            return
        expected = self.reader.nearest(name, known, "a member's name")
        self.reader.fault((*where, name), "an unknown member", expected)

    def _cuts(self, value: object, where: Where) -> dict[str, int] | None:
        """Read strengths by technique, 0 included."""
        written = self.reader.mapping(value, where)
        before = len(self.reader.faults)
        cuts = {}
        for key, strength in (written or {}).items():
            if key not in self.technique_ids:
                self._unknown_cut(where, key)
                continue
            cuts[key] = self.reader.number(strength, (*where, key), 0, MAX_STRENGTH)
        if written is None or len(self.reader.faults) > before:
            return None
        return {key: strength for key, strength in cuts.items() if strength is not None}

    def _unknown_cut(self, where: Where, key: str) -> None:
        if key.lower() in LIKELIHOOD_WORDS:
            self.reader.fault((*where, key), "a likelihood", NO_LIKELIHOOD)
        else:
            self.reader.known_id(key, (*where, key), self.technique_ids, _TECHNIQUE_ID)

    def _refuse_cycles(self, written: Mapping[str, Mapping[str, Any]]) -> None:
        """Add a fault for each circle of dependencies, at an entry that the user wrote.

        Each turn takes one dependency of a circle away, so that the next one can be found.
        """
        graph = {key: list(self.protections[key].depends_on) for key in sorted(self.protections)}
        while True:
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                # Each one depends on the one before it, and the first stands at the end again.
                circle: list[str] = error.args[1][::-1]
            else:
                return
            at = next(
                (at for at, key in enumerate(circle[:-1]) if "depends_on" in written.get(key, {})),
                0,
            )
            circle = [*circle[at:-1], *circle[: at + 1]]
            self.reader.fault(
                (PROTECTIONS, circle[0], "depends_on"),
                f"a circle: {' > '.join(circle)}",
                "dependencies that lead back to no entry: what must be there first has to have a start",
            )
            graph[circle[0]].remove(circle[1])


def _stated(base: Protection | None) -> dict[str, int]:
    """Return the strengths as they were stated, before they were lowered."""
    if base is None:
        return {}
    return {**base.cuts, **dict.fromkeys(base.clamped, MAX_STRENGTH)}


def _clamped(protection: Protection) -> Protection:
    """Return it without empty cuts, and lowered where it runs only on the attacker's own device."""
    stated = {key: protection.cuts[key] for key in sorted(protection.cuts) if protection.cuts[key]}
    if protection.enforced_at is not EnforcedAt.CLIENT:
        return replace(protection, cuts=stated, clamped=())
    return replace(
        protection,
        cuts={key: min(strength, CLIENT_STRENGTH) for key, strength in stated.items()},
        clamped=tuple(key for key, strength in stated.items() if strength > CLIENT_STRENGTH),
    )
