"""Show techniques and protections of the catalogue, and read which ids other catalogues have from files that lie here."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from watchword.apps.settings.document import parse_document
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.terminal.paragraphs import hanging, wrapped
from watchword.plan.catalogue import maswe_numbers
from watchword.plan.interface import (
    CUT_THRESHOLD,
    Actor,
    Catalogue,
    Component,
    Effort,
    Protection,
    Technique,
)
from watchword.reasons import ExitCode, WatchwordError

_INDENT: Final = 16


def entry_lines(catalogue: Catalogue) -> Iterator[str]:
    """Yield a line for each technique and each protection, by component."""
    yield "Techniques: stage, and how many protections cut it"
    for component in Component:
        yield ""
        yield f"  {component.value}"
        for technique in catalogue.techniques.values():
            if technique.component is component:
                cutting = sum(
                    strength >= CUT_THRESHOLD for _, strength in cut_by(catalogue, technique)
                )
                line = f"    {technique.id:<7} {technique.stage.value:<8} {cutting:>2}  {technique.name}"
                yield from hanging(line, further=20)
    yield ""
    yield "Protections: effort, where it acts, and how many techniques it cuts"
    for component in Component:
        yield ""
        yield f"  {component.value}"
        for each in catalogue.protections.values():
            if each.component is component:
                cutting = sum(strength >= CUT_THRESHOLD for strength in each.cuts.values())
                where = each.enforced_at.value
                line = f"    {each.id:<7} {each.effort:>3}  {where:<7} {cutting:>2}  {each.name}"
                yield from hanging(line, further=23)


def technique_in_words(catalogue: Catalogue, technique: Technique) -> Iterator[str]:
    """Yield the lines that describe a technique, with what cuts it, the strongest first."""
    yield from _opening(technique)
    yield from _member("where", f"{technique.component.value}, {technique.stage.value}")
    yield from _member("needs", ", ".join(sorted(technique.needs)) or "nothing")
    if technique.gives:
        yield from _member("gives", ", ".join(sorted(technique.gives)))
    if technique.harms:
        yield from _member("harms", ", ".join(sorted(technique.harms)))
    if technique.actors != {Actor.USER}:
        yield from _member("in place of", ", ".join(sorted(technique.actors)))
    cutting = cut_by(catalogue, technique)
    if not any(strength >= CUT_THRESHOLD for _, strength in cutting):
        yield from _member("cut by", "nothing in this catalogue; what is listed only slows it")
    elif cutting:
        yield from _member("cut by", f"from strength {CUT_THRESHOLD} on; 1 only slows it")
    for protection, strength in cutting:
        yield from _line(f"{strength}  {protection.id:<7} {protection.name}")
    if technique.accepted:
        yield from _member("accepted", technique.accepted)
    yield from _elsewhere(technique.names)


def protection_in_words(catalogue: Catalogue, protection: Protection) -> Iterator[str]:
    """Yield the lines that describe a protection, with what it cuts and what it doesn't stop."""
    yield from _opening(protection)
    where = f"{protection.component.value}, enforced at: {protection.enforced_at.value}"
    yield from _member("where", where)
    yield from _member("kind", protection.kind.value)
    size = next((f" ({each.name})" for each in Effort if each == protection.effort), "")
    yield from _member("effort", f"{protection.effort}{size}")
    if protection.depends_on:
        yield from _member("depends on", ", ".join(protection.depends_on))
    needed = [
        each.id for each in catalogue.protections.values() if protection.id in each.depends_on
    ]
    if needed:
        yield from _member("needed for", ", ".join(needed))
    yield from _member("cuts", f"from strength {CUT_THRESHOLD} on; 1 only slows it")
    for key, strength in sorted(protection.cuts.items(), key=lambda cut: (-cut[1], cut[0])):
        yield from _line(f"{strength}  {key:<7} {catalogue.techniques[key].name}")
    if protection.clamped:
        why = "stated stronger, and lowered: it runs only on a device that the attacker may own"
        yield from _member("lowered", f"{', '.join(protection.clamped)}: {why}")
    for at, text in enumerate(protection.does_not):
        name = "" if at else "doesn't stop"
        first = f"  {name:<{_INDENT - 2}}-"
        yield from wrapped(text, first=first, indent=_INDENT + 2)
    yield from _member("proven by", ", ".join(protection.evidence))
    if protection.reviewable:
        yield from _member("", "or by a person's review, since no machine sees all of it")
    yield from _elsewhere(protection.names)


def cut_by(catalogue: Catalogue, technique: Technique) -> list[tuple[Protection, int]]:
    """Return what acts on a technique and how strongly, the strongest first."""
    found = [
        (protection, protection.cuts[technique.id])
        for protection in catalogue.protections.values()
        if technique.id in protection.cuts
    ]
    return sorted(found, key=lambda cut: (-cut[1], cut[0].id))


def entry_as_dict(entry: Technique | Protection) -> dict[str, Any]:
    """Return an entry for ``--json``; what has no order is sorted."""
    kind = "technique" if isinstance(entry, Technique) else "protection"
    members = {
        key: sorted(value) if isinstance(value, frozenset) else value
        for key, value in asdict(entry).items()
    }
    return {"type": kind, **members}


def _opening(entry: Technique | Protection) -> Iterator[str]:
    yield from hanging(f"{entry.id}  {entry.name}")
    yield from wrapped(entry.about, indent=2)
    yield ""


def _member(name: str, text: str) -> Iterator[str]:
    yield from wrapped(text, first=f"  {name}", indent=_INDENT)


def _line(text: str) -> Iterator[str]:
    yield from hanging(f"{'':<{_INDENT}}{text}", further=11)


def _elsewhere(names: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    for at, (other, ids) in enumerate(sorted(names.items())):
        yield from _member("" if at else "elsewhere", f"{other}: {', '.join(ids)}")


MAX_STIX_BYTES: Final = 128 * 1024 * 1024
"""Most bytes of a STIX bundle; that of ATT&CK Enterprise has about 50 MB."""

MAX_LIST_BYTES: Final = 4 * 1024 * 1024
MAX_PAGE_BYTES: Final = 256 * 1024
MAX_PAGES: Final = 5000
"""Most Markdown files that are looked at in a directory."""

MASWE: Final = "maswe"

_STIX_TYPES: Final = ("attack-pattern", "course-of-action")
_DOMAINS: Final = {"mobile-attack": "attack-mobile", "enterprise-attack": "attack-enterprise"}
_SOURCES: Final = {
    "mitre-mobile-attack": "mobile-attack",
    "mitre-attack": "enterprise-attack",
}


class CatalogueFileError(WatchwordError):
    """Report a file or directory that isn't the catalogue that it was named as."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Upstream:
    """Hold ids by catalogue, named as in the entries of ours.

    :param live: those that stand.
    :param retired: those that were revoked or are deprecated.
    """

    live: Mapping[str, frozenset[str]]
    retired: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class FoundName:
    """Hold one id that was found."""

    catalogue: str
    name: str
    retired: bool


def read_upstream(bundles: Sequence[Path], maswe: Path | None) -> Upstream:
    """Return the ids of ATT&CK bundles, and of MASWE where it is named.

    :raises CatalogueFileError: when something isn't what it should be, or too large.
    :raises OSError: when it can't be read.
    """
    found: list[FoundName] = []
    for bundle in bundles:
        found += read_stix(bundle)
    if maswe is not None:
        found += read_maswe(maswe)
    return _sorted_out(found)


def maswe_1_0_0() -> Upstream:
    """Return the aliases of MASWE 1.0.0, which come with Watchword."""
    return Upstream({MASWE: frozenset(maswe_numbers())}, {})


def read_stix(file: Path) -> list[FoundName]:
    """Return the ids of techniques and mitigations of an ATT&CK bundle, as STIX 2 in JSON.

    :raises CatalogueFileError: when it isn't one, or has none.
    """
    data = _json(file, MAX_STIX_BYTES)
    objects = data.get("objects") if isinstance(data, dict) else None
    if not isinstance(objects, list):
        raise CatalogueFileError(
            f"{file}: got no `objects`, expected an ATT&CK bundle: STIX 2 in JSON"
        )
    found = [each for item in objects if isinstance(item, dict) for each in _attack_ids(item)]
    if not found:
        raise CatalogueFileError(
            f"{file}: got no id of ATT&CK, expected techniques (attack-pattern) or mitigations"
            " (course-of-action) of the mobile or enterprise matrix"
        )
    return found


def read_maswe(place: Path) -> list[FoundName]:
    """Return the aliases of MASWE: of a directory of its pages, or of a JSON list.

    A page is Markdown that begins with YAML between two lines ``---``, with ``alias``.  A list holds
    aliases, or objects with ``alias``.  ``status: deprecated`` makes one retired.

    :raises CatalogueFileError: when there is none.
    """
    entries = _pages(place) if place.is_dir() else _listed(place)
    found = [
        FoundName(MASWE, alias, entry.get("status") == "deprecated")
        for entry in entries
        if isinstance(alias := entry.get("alias"), str) and alias
    ]
    if not found:
        raise CatalogueFileError(
            f"{place}: got no alias, expected pages of MASWE in Markdown with `alias:` at the top,"
            " or a JSON list of aliases"
        )
    return found


def _sorted_out(found: Iterable[FoundName]) -> Upstream:
    """Return what was found, by catalogue; an id that stands somewhere isn't retired."""
    live: dict[str, set[str]] = {}
    retired: dict[str, set[str]] = {}
    for each in found:
        live.setdefault(each.catalogue, set())
        (retired if each.retired else live).setdefault(each.catalogue, set()).add(each.name)
    return Upstream(
        {key: frozenset(names) for key, names in live.items()},
        {key: frozenset(names - live[key]) for key, names in retired.items()},
    )


def _attack_ids(item: Mapping[str, Any]) -> Iterator[FoundName]:
    """Yield the ids that an object of a bundle has in the matrices that we name."""
    references = item.get("external_references")
    if item.get("type") not in _STIX_TYPES or not isinstance(references, list):
        return
    retired = item.get("revoked") is True or item.get("x_mitre_deprecated") is True
    domains = item.get("x_mitre_domains")
    for reference in references:
        source = reference.get("source_name") if isinstance(reference, dict) else None
        if not isinstance(source, str) or source not in _SOURCES:
            continue
        name = reference.get("external_id")
        # Old bundles name no domain; the mobile one had a source of its own then.
        for domain in domains if isinstance(domains, list) else [_SOURCES[source]]:
            if isinstance(name, str) and isinstance(domain, str) and domain in _DOMAINS:
                yield FoundName(_DOMAINS[domain], name, retired)


def _pages(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield what stands at the top of each page."""
    pages = list(islice(folder.rglob("*.md"), MAX_PAGES + 1))
    if len(pages) > MAX_PAGES:
        raise CatalogueFileError(
            f"{folder}: got more Markdown files, expected at most {MAX_PAGES}: the directory of MASWE"
        )
    for page in sorted(pages):
        lines = _read(page, MAX_PAGE_BYTES).splitlines()
        if lines[:1] != [b"---"] or b"---" not in lines[1:]:
            continue
        top = b"\n".join(lines[1 : lines.index(b"---", 1)])
        try:
            data = parse_document(page, top).data
        except ConfigurationError as error:
            fault = error.faults[0]
            raise CatalogueFileError(
                f"{page}: got {fault.got}, expected {fault.expected}"
            ) from None
        if isinstance(data, dict):
            yield data


def _listed(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a JSON list."""
    data = _json(file, MAX_LIST_BYTES)
    if not isinstance(data, list):
        raise CatalogueFileError(f"{file}: got something else, expected a JSON list of aliases")
    for item in data:
        if isinstance(item, str):
            yield {"alias": item}
        elif isinstance(item, dict):
            yield item


def _json(file: Path, limit: int) -> Any:
    try:
        return json.loads(_read(file, limit))
    except (ValueError, RecursionError):
        raise CatalogueFileError(f"{file}: got something else, expected JSON") from None


def _read(file: Path, limit: int) -> bytes:
    with file.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise CatalogueFileError(f"{file}: got more bytes, expected at most {limit} bytes")
    return data
