"""Read which ids other catalogues have, from files that lie here: nothing is fetched."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from watchword.apps.settings.document import parse_document
from watchword.apps.settings.faults import ConfigurationError
from watchword.plan.catalogue.references import maswe_numbers
from watchword.reasons import ExitCode, WatchwordError

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
