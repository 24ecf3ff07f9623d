"""Hold our entries' ids in other catalogues: how each looks, and which are unknown upstream."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from watchword.plan.interface import Catalogue

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
    text = resources.files("watchword.plan.catalogue").joinpath("maswe.toml").read_text("utf-8")
    numbers: dict[str, str] = tomllib.loads(text)["numbers"]
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
