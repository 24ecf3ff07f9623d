"""Hold what attackers do and what protects against it, as data, and read it with a user's own.

Both go one way: the shipped files are read as what a user might have written beside an empty catalogue.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any, Final, TypeVar

from watchword.encoding.tables import read_table
from watchword.plan.interface import (
    CLIENT_STRENGTH,
    MAX_EFFORT,
    Actor,
    Catalogue,
    Component,
    Effort,
    EnforcedAt,
    Intelligence,
    ModelFault,
    Protection,
    ProtectionKind,
    Stage,
    Technique,
    Trait,
)

_MAX_LOOKED_AT: Final = 60
_LIKE_AN_ID: Final = re.compile(r"(?:(MT|PR)[-_ .]?)?([A-Z])[-_ .]?([0-9]{1,6})")


def same_id(word: str, known: Collection[str]) -> str | None:
    """Return the known id that a word is but for its case, None if it is none."""
    key = word[:_MAX_LOOKED_AT].strip().upper()
    return key if key in known else None


def nearest_id(word: str, known: Collection[str]) -> str | None:
    """Return the known id or name that may have been meant, for a hint; None if none is near.

    One of the same number comes before one that merely looks alike, the first by name before others as near.
    """
    word = word[:_MAX_LOOKED_AT].strip()
    padded = _padded(word.upper(), known)
    if padded is not None:
        return padded
    for each in dict.fromkeys((word, word.upper())):
        near = difflib.get_close_matches(each, known, n=len(known) or 1)
        if near:
            return min(near, key=lambda name: (-_likeness(each, name), name))
    return None


def _padded(word: str, known: Collection[str]) -> str | None:
    """Return the id of the same part, letter and number: the hyphen and zeros may lack, or be too many."""
    found = _LIKE_AN_ID.fullmatch(word)
    if found is None:
        return None
    number = int(found[3])
    if number >= 10 and found[3].startswith("0"):
        # B011 may be B01 as well as B11.
        return None
    prefixes = [found[1]] if found[1] else ["MT", "PR"]
    ids = {f"{prefix}-{found[2]}{number:0{width}}" for prefix in prefixes for width in (2, 3)}
    there = sorted(ids.intersection(known))
    return there[0] if len(there) == 1 else None


def _likeness(word: str, name: str) -> float:
    return difflib.SequenceMatcher(None, name, word).ratio()


NAME_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "attack-enterprise": re.compile(r"[TM][0-9]{4}(?:\.[0-9]{3})?"),
    "attack-mobile": re.compile(r"[TM][0-9]{4}(?:\.[0-9]{3})?"),
    "d3fend": re.compile(r"D3-[A-Z0-9]{1,16}"),
    "maswe": re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*"),
    "masvs": re.compile(r"MASVS-[A-Z]{1,16}-[0-9]{1,2}"),
    "owasp-api": re.compile(r"API[0-9]{1,2}:20[0-9]{2}"),
    "owasp-mobile": re.compile(r"M[0-9]{1,2}:20[0-9]{2}"),
    "owasp-oat": re.compile(r"OAT-[0-9]{3}"),
}
"""How an id looks, by catalogue.  MASWE's are aliases: its numbers were given anew until version 1.0.0, and say nothing to a reader."""

TECHNIQUE_NAMES: Final = frozenset(
    ("attack-enterprise", "attack-mobile", "maswe", "owasp-api", "owasp-mobile", "owasp-oat")
)
PROTECTION_NAMES: Final = frozenset(("attack-mobile", "d3fend", "masvs", "maswe"))
"""Catalogues that an entry may name; ids under ``attack-mobile`` are mitigations there."""


@dataclass(frozen=True, slots=True)
class UnknownName:
    """Hold an id that upstream doesn't know, and who of ours names it.

    :param entries: ids of techniques and protections, sorted.
    """

    catalogue: str
    name: str
    entries: tuple[str, ...]


@cache
def maswe_numbers() -> Mapping[str, str]:
    """Return the numbers of MASWE 1.0.0, which are stable, by alias."""
    numbers: dict[str, str] = read_table("watchword.plan.catalogue", "maswe.toml")["numbers"]
    return MappingProxyType(numbers)


def names_used(catalogue: Catalogue) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return by other catalogue and id there, both sorted, which entries of ours name it."""
    used: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for entry, names in _named(catalogue):
        for other, ids in names.items():
            for name in ids:
                used[other][name].append(entry)
    return {
        other: {name: tuple(sorted(used[other][name])) for name in sorted(used[other])}
        for other in sorted(used)
    }


def unknown_names(
    catalogue: Catalogue, known: Mapping[str, frozenset[str]]
) -> tuple[UnknownName, ...]:
    """Return which of our ids aren't known upstream, sorted.

    :param known: the ids there are, by catalogue; what isn't among its keys isn't looked at.
    """
    return tuple(
        UnknownName(other, name, entries)
        for other, names in names_used(catalogue).items()
        if other in known
        for name, entries in names.items()
        if name not in known[other]
    )


def _named(catalogue: Catalogue) -> Iterator[tuple[str, Mapping[str, tuple[str, ...]]]]:
    for technique in catalogue.techniques.values():
        yield technique.id, technique.names
    for protection in catalogue.protections.values():
        yield protection.id, protection.names


Where = tuple[str | int, ...]
Word = TypeVar("Word", bound=StrEnum)

MAX_TEXT: Final = 2000
"""Most characters of a text."""

MAX_NAME: Final = 200
MAX_ITEMS: Final = 50
"""Most entries of a list."""

MAX_STRENGTH: Final = 3

LIKELIHOOD_WORDS: Final = frozenset(
    ("likelihood", "probability", "frequency", "odds", "chance", "likely")
)
"""Members under which other tools keep a guess."""

EVIDENCE_KEY: Final = re.compile(r"[a-z]{1,20}:[a-z0-9_]+(?:[.-][a-z0-9_]+)*")

_MAX_SHOWN: Final = 60
_MAX_LISTED: Final = 16
_MAX_HINTS: Final = 50


class MemberReader:
    """Read values of strangers; each method returns None where it added a fault.

    :ivar faults: in the order in which they were found.
    """

    def __init__(self) -> None:
        """Begin without faults."""
        self.faults: list[ModelFault] = []
        self._hints = 0

    def fault(self, where: Where, got: str, expected: str) -> None:
        """Add a fault."""
        self.faults.append(ModelFault(where, got, expected))

    def nearest(self, word: str, known: Collection[str], what: str) -> str:
        """Return what was expected in place of a word, the one that may have been meant first.

        Looking for it takes time, so that only the first faults of many get a hint.

        :param what: names all that are known where they're too many to list: ``a technique's id``.
        """
        self._hints += 1
        close = nearest_id(word, known) if self._hints <= _MAX_HINTS else None
        listed = len(known) <= _MAX_LISTED
        every = ("" if close else "one of ") + ", ".join(sorted(known)) if listed else what
        if not close:
            return every
        return f"{close!r}? Known: {every}" if listed else f"{close!r}? Expected {every}"

    def mapping(self, value: object, where: Where) -> Mapping[str, Any] | None:
        """Read a mapping with text keys; other keys are faults and left out."""
        if not isinstance(value, Mapping):
            self.fault(where, shown(value), "a mapping")
            return None
        strange = [key for key in value if not isinstance(key, str)]
        for key in strange:
            self.fault((*where, shown(key)), "a key that isn't text", "a text key")
        return {key: value[key] for key in value if isinstance(key, str)}

    def text(self, value: object, where: Where, limit: int = MAX_TEXT) -> str | None:
        """Read a text of one paragraph; line ends and runs of spaces become single spaces."""
        if not isinstance(value, str):
            self.fault(where, shown(value), "a text")
            return None
        if len(value) > limit:
            self.fault(where, f"{len(value)} characters", f"at most {limit} characters")
            return None
        text = " ".join(value.split())
        if not text or not text.isprintable():
            self.fault(where, shown(value), "a text that can be printed, not an empty one")
            return None
        return text

    def items(self, value: object, where: Where) -> list[object] | None:
        """Read a list of at most :data:`MAX_ITEMS`."""
        if not isinstance(value, list):
            self.fault(where, shown(value), "a list")
            return None
        if len(value) > MAX_ITEMS:
            self.fault(where, f"{len(value)} entries", f"at most {MAX_ITEMS} entries")
            return None
        return value

    def texts(self, value: object, where: Where) -> tuple[str, ...] | None:
        """Read a list of texts, at least one."""
        items = self.items(value, where)
        if items == []:
            self.fault(where, "an empty list", "at least one text")
        read = [self.text(item, (*where, at)) for at, item in enumerate(items or ())]
        texts = tuple(text for text in read if text is not None)
        return texts if texts and len(texts) == len(read) else None

    def word(self, value: object, where: Where, words: type[Word]) -> Word | None:
        """Read one word of an enum."""
        known = [word.value for word in words]
        if isinstance(value, str) and value in known:
            return words(value)
        expected = "one of " + ", ".join(known)
        if isinstance(value, str):
            expected = self.nearest(value, known, expected)
        self.fault(where, shown(value), expected)
        return None

    def words(self, value: object, where: Where, words: type[Word]) -> frozenset[Word] | None:
        """Read a list of words of an enum, perhaps an empty one."""
        items = self.items(value, where)
        if items is None:
            return None
        read = [self.word(item, (*where, at), words) for at, item in enumerate(items)]
        found = frozenset(word for word in read if word is not None)
        return None if None in read else found

    def flag(self, value: object, where: Where) -> bool | None:
        """Read true or false."""
        if isinstance(value, bool):
            return value
        self.fault(where, shown(value), "true or false")
        return None

    def number(self, value: object, where: Where, low: int, high: int) -> int | None:
        """Read a whole number from ``low`` to ``high``."""
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.fault(where, shown(value), f"a whole number from {low} to {high}")
        return None

    def effort(self, value: object, where: Where) -> int | None:
        """Read an effort: a class of it, or a number."""
        if isinstance(value, str) and value in Effort.__members__:
            return Effort[value].value
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_EFFORT:
            return value
        classes = ", ".join(f"{each.name} (= {each.value})" for each in Effort)
        self.fault(where, shown(value), f"{classes}, or a whole number from 1 to {MAX_EFFORT}")
        return None

    def ids(
        self, value: object, where: Where, known: Collection[str], what: str
    ) -> tuple[str, ...] | None:
        """Read a list of ids of entries, each once, sorted."""
        items = self.items(value, where)
        if items is None:
            return None
        read = [self.known_id(item, (*where, at), known, what) for at, item in enumerate(items)]
        found = sorted({item for item in read if item is not None})
        return None if None in read else tuple(found)

    def known_id(
        self, value: object, where: Where, known: Collection[str], what: str
    ) -> str | None:
        """Read the id of an entry that there is."""
        if isinstance(value, str) and value in known:
            return value
        expected = self.nearest(value, known, what) if isinstance(value, str) else what
        self.fault(where, shown(value), expected)
        return None

    def evidence(self, value: object, where: Where) -> tuple[str, ...] | None:
        """Read keys of observations, at least one."""
        texts = self.texts(value, where)
        bad = [
            at
            for at, text in enumerate(texts or ())
            if len(text) > MAX_NAME or not EVIDENCE_KEY.fullmatch(text)
        ]
        for at in bad:
            expected = "a key of observations, such as live:shield.enforced_ratio"
            self.fault((*where, at), shown((texts or ())[at]), expected)
        return None if bad else texts

    def names(
        self, value: object, where: Where, allowed: Collection[str]
    ) -> dict[str, tuple[str, ...]] | None:
        """Read ids in other catalogues, by catalogue."""
        written = self.mapping(value, where)
        before = len(self.faults)
        names: dict[str, tuple[str, ...]] = {}
        for other, ids in (written or {}).items():
            if other not in allowed:
                expected = self.nearest(other, allowed, "a catalogue's name")
                self.fault((*where, other), "an unknown catalogue", expected)
                continue
            texts = self.texts(ids, (*where, other)) or ()
            for at, text in enumerate(texts):
                if len(text) > MAX_NAME or not NAME_PATTERNS[other].fullmatch(text):
                    self.fault((*where, other, at), shown(text), _NAME_EXPECTED[other])
            names[other] = texts
        return None if written is None or len(self.faults) > before else names


_NAME_EXPECTED: Final = {
    "attack-enterprise": "an id such as T1552.001",
    "attack-mobile": "an id such as T1617, or M1002 for a mitigation",
    "d3fend": "an id such as D3-CP",
    "maswe": "an alias such as insecure-pinning, not a number",
    "masvs": "an id such as MASVS-NETWORK-2",
    "owasp-api": "an id such as API1:2023",
    "owasp-mobile": "an id such as M7:2024",
    "owasp-oat": "an id such as OAT-011",
}


def shown(value: object) -> str:
    """Return a value as a fault shows it: short, on one line, and what YAML would call it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = repr(value[: _MAX_SHOWN + 1])
    elif isinstance(value, int):
        # Python refuses to write out a number of thousands of digits.
        text = str(value) if abs(value) < 10**_MAX_SHOWN else "a huge number"
    elif isinstance(value, float):
        text = str(value)
    else:
        kinds = ((Mapping, "a mapping"), (list, "a list"))
        return next((name for kind, name in kinds if isinstance(value, kind)), "something else")
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


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
    written: dict[str, dict[str, Any]] = {}
    for part in (TECHNIQUES, PROTECTIONS):
        entries = written.setdefault(part, {})
        for name in FILES:
            found = read_table("watchword.plan.catalogue", f"{part}/{name}")
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
