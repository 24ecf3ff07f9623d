"""Define what a draft is: assets, routes and threats with what is to be said about each of them.

What an attacker is after is guessed from words; the table stands in docs/plan-drafts.md.  Words are names: of paths,
parameters and properties, never prose.  Each rule says where its words count: an ``email`` that a login takes is no record that the API serves.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from watchword.encoding.tables import read_table
from watchword.plan.interface import Actor, AssetKind, Component, Trait

DRAFT_IMPACT: Final = 3
"""The middle of the scale: what an asset gets of which nothing is known."""

SENSITIVE_IMPACT: Final = 4
"""What an asset gets whose words speak of health, identity or payment; a draft never says 5."""

PUBLIC_IMPACT: Final = 2
"""What an asset gets that anybody may read by the description's own words."""

MAX_ASSETS: Final = 150
"""Most assets of a draft: more than that nobody reads, and the file has a limit of its own."""

MAX_API_ROUTES: Final = 300
"""Most routes of a drafted API."""

MAX_ASSET_ROUTES: Final = 4
"""Most routes that stand with one asset."""

MAX_THREATS: Final = 200
"""Most threats that are listed."""


@dataclass(frozen=True, slots=True)
class DraftAsset:
    """Hold one drafted asset.

    :param id: fit for a name in ``watchword.yaml``.
    :param because: starts with ``TODO``: the user has to say it.
    :param routes: patterns such as ``/v1/patients/**``.
    :param notes: what the guesses rest on, one line each.
    :param actors: who calls it.
    """

    id: str
    kind: AssetKind
    impact: int
    because: str
    lives_in: frozenset[Component]
    traits: frozenset[Trait]
    routes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    actors: frozenset[Actor] = frozenset({Actor.USER})


@dataclass(frozen=True, slots=True)
class DraftRoute:
    """Hold one drafted route of the API.

    :param about: one line: what is behind it.
    :param writes: some operation there changes something.
    :param probe: it only says whether the API is up.
    :param actors: who calls it; partners have no app, and nothing of one may be asked of them.
    :param staff: staff alone call it, who have no app either.
    :param public: anybody may read what is behind it.
    """

    path: str
    about: str
    writes: bool = False
    probe: bool = False
    actors: frozenset[Actor] = frozenset({Actor.USER})
    staff: bool = False
    public: bool = False


@dataclass(frozen=True, slots=True)
class DraftThreat:
    """Hold a threat of an imported model, and the technique that it is.

    :param technique: None where nothing of the catalogue is clearly the same.
    :param assets: ids of the drafted assets that it was drawn at.
    :param count: how often the model holds it.
    """

    name: str
    technique: str | None = None
    assets: tuple[str, ...] = ()
    count: int = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """Hold what was drafted.

    :param title: what the description calls itself.
    :param read: what was read, such as ``12 operations``.
    :param routes: in the order in which they have to stand: the first that matches decides.
    :param notes: what the user must know of it: what was assumed, what wasn't taken over.
    :param left_out: what was there and isn't in the draft.
    """

    title: str = ""
    read: tuple[str, ...] = ()
    assets: tuple[DraftAsset, ...] = ()
    routes: tuple[DraftRoute, ...] = ()
    threats: tuple[DraftThreat, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(slots=True)
class Remarks:
    """Collect what is said of a draft while it is made; each thing once, in order."""

    notes: dict[str, None] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Keep what the user must know."""
        self.notes.setdefault(text)

    def leave_out(self, what: str, count: int = 1) -> None:
        """Count what isn't taken over."""
        self.left_out[what] = self.left_out.get(what, 0) + count

    def counted(self) -> tuple[str, ...]:
        """Return what was left out, with how many of it."""
        return tuple(counted(count, what) for what, count in self.left_out.items())


def counted(count: int, what: str) -> str:
    """Return a number of things; the first word of ``what`` is their name in the plural."""
    name, *rest = what.split(" ")
    name = name if count != 1 else name.removesuffix("s")
    return " ".join((str(count), name, *rest))


def merged(drafts: Sequence[Draft]) -> Draft:
    """Return several drafts as one: assets of the same name become one, with the worse impact."""
    assets: dict[str, DraftAsset] = {}
    for asset in (each for draft in drafts for each in draft.assets):
        known = assets.get(asset.id)
        assets[asset.id] = asset if known is None else _both(known, asset)
    return Draft(
        title=next((draft.title for draft in drafts if draft.title), ""),
        read=_chained(draft.read for draft in drafts),
        assets=tuple(assets.values()),
        routes=tuple(route for draft in drafts for route in draft.routes),
        threats=tuple(threat for draft in drafts for threat in draft.threats),
        notes=_chained(draft.notes for draft in drafts),
        left_out=_chained(draft.left_out for draft in drafts),
    )


def _both(one: DraftAsset, other: DraftAsset) -> DraftAsset:
    worse = max(one, other, key=lambda asset: asset.impact)
    return replace(
        worse,
        kind=AssetKind.DATA if AssetKind.DATA in {one.kind, other.kind} else one.kind,
        lives_in=one.lives_in | other.lives_in,
        actors=one.actors | other.actors,
        traits=one.traits | other.traits,
        routes=(one.routes + other.routes)[:MAX_ASSET_ROUTES],
        notes=one.notes + other.notes,
    )


def _chained(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for part in parts for text in part))


MAX_SHOWN: Final = 100
"""Most characters of a stranger's text that a draft shows."""

_MAX_WORDS: Final = 12
"""Most words of one name: a longer one is no name."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_APART: Final = re.compile(r"[^a-z0-9]+")


class Where(StrEnum):
    """Say where a word stood."""

    PATH = "path"
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class WordRule:
    """Hold words that speak for a trait, and where they count.

    :param sensitive: they speak of health, identity or payment.
    """

    traits: frozenset[Trait]
    counts_in: frozenset[Where]
    words: frozenset[str]
    sensitive: bool = False


def one_line(text: str, most: int = MAX_SHOWN) -> str:
    """Return a stranger's text on one line, without what an editor or a terminal would obey."""
    text = "".join(char if char.isprintable() else " " for char in text[: 4 * most])
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."


def slug(text: str, most: int = 50) -> str:
    """Return a name fit for ``watchword.yaml``: ``giftCards`` becomes ``gift-cards``; may be empty."""
    text = text[: 4 * most]
    if " " not in text:
        # What has spaces is a name for people: PostgreSQL stays one word there.
        text = _CAMEL.sub("-", text)
    text = text.lower()
    return _APART.sub("-", text).strip("-")[:most].strip("-")


def unique_slug(text: str, taken: set[str]) -> str:
    """Return a name fit for ``watchword.yaml`` that isn't taken yet, and take it."""
    stem = slug(text) or "asset"
    found, number = stem, 2
    while found in taken:
        found, number = f"{stem}-{number}", number + 1
    taken.add(found)
    return found


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in the singular; two that are known as one are one."""
    parts = [_singular(part) for part in slug(name, 120).split("-")[:_MAX_WORDS] if part]
    found: list[str] = []
    index = 0
    while index < len(parts):
        pair = "".join(parts[index : index + 2])
        if index + 1 < len(parts) and pair in _PAIRS:
            found.append(pair)
            index += 2
        else:
            found.append(parts[index])
            index += 1
    return tuple(found)


def speaking(words: Mapping[Where, Iterable[str]]) -> Iterator[tuple[WordRule, tuple[str, ...]]]:
    """Yield each rule that some word speaks for, with these words, sorted."""
    for rule in RULES:
        found = {word for where in rule.counts_in for word in words.get(where, ())} & rule.words
        if found:
            yield rule, tuple(sorted(found))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _rule(written: Mapping[str, Any]) -> WordRule:
    return WordRule(
        frozenset(map(Trait, written["traits"])),
        frozenset(map(Where, written["counts_in"])),
        frozenset(written["words"].split()),
        written.get("sensitive", False),
    )


RULES: Final = tuple(map(_rule, read_table("watchword.plan.drafts", "words.toml")["rules"]))
"""What speaks for what; all words in the singular."""

_NEUTRAL: Final = frozenset({"redirecturl", "redirecturi", "ipaddress", "cardid", "idcard"})
"""Pairs that would otherwise be taken for the words in them."""

_PAIRS: Final = frozenset().union(*(rule.words for rule in RULES)) | _NEUTRAL

TRAIT_WORDS: Final[Mapping[Trait, frozenset[str]]] = MappingProxyType(
    {trait: frozenset().union(*(r.words for r in RULES if trait in r.traits)) for trait in Trait}
)
"""All words that speak for a trait, wherever they stand."""
