"""Begin a workshop: from one of six argued templates, or from what the team has already."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from watchword.apps.plan.drafts import parse_description, render
from watchword.apps.plan.workshop.session import WorkshopError
from watchword.apps.settings.document import parse_document
from watchword.apps.settings.faults import ConfigurationError, join
from watchword.plan.drafts import Draft, one_line
from watchword.plan.drafts.openapi import draft_from_openapi
from watchword.plan.drafts.otm import draft_from_otm
from watchword.plan.drafts.scanned import draft_from_scan, is_scan
from watchword.plan.drafts.threat_dragon import draft_from_threat_dragon, is_threat_dragon
from watchword.plan.interface import ModelFault

TITLES: Final[Mapping[str, str]] = {
    "bank": "Retail bank",
    "health": "Health service",
    "game": "Game",
    "retail": "Shop with loyalty points",
    "saas": "Business service (SaaS)",
    "iot": "Companion app of devices at home",
}
"""The templates by name, in the order in which they are offered."""

_Drafter = Callable[[Any], tuple[Draft, list[ModelFault]]]


@dataclass(frozen=True, slots=True)
class Template:
    """Hold one argued template.

    :param text: a whole file, with comments that argue.
    :param assets: by name, why each would hurt.
    """

    name: str
    title: str
    text: str
    assets: Mapping[str, str]


@cache
def templates() -> Sequence[Template]:
    """Return the templates."""
    return tuple(_template(name) for name in TITLES)


def _template(name: str) -> Template:
    text = (files("watchword.apps.plan") / "templates" / f"{name}.yaml").read_text(encoding="utf-8")
    assets = _section(text)["assets"]
    because = {each: str(asset["because"]) for each, asset in assets.items()}
    return Template(name, TITLES[name], text, because)


def template_section(name: str) -> Mapping[str, Any]:
    """Return the plan section of a template.

    :raises WorkshopError: when there is none of this name.
    """
    found = next((each for each in templates() if each.name == name), None)
    if found is None:
        raise WorkshopError(f"got {one_line(name, 40)!r}, expected one of {', '.join(TITLES)}")
    return _section(found.text)


def _section(text: str) -> Mapping[str, Any]:
    section: Mapping[str, Any] = parse_document(Path("template.yaml"), text.encode()).data["plan"]
    return section


def drafter_of(document: Any) -> _Drafter:
    """Return what drafts from a document: by what it says it is."""
    if is_threat_dragon(document):
        return draft_from_threat_dragon
    if is_scan(document):
        return draft_from_scan
    if isinstance(document, dict) and "otmVersion" in document:
        return draft_from_otm
    return draft_from_openapi


def draft_of(name: str, data: bytes) -> Mapping[str, Any]:
    """Return the plan section that a file drafts.

    Routes are left out: they need a table of the file's own, which `watchword plan init` writes.

    :param name: of the file, for messages.
    :raises WorkshopError: when it can't be read, or is neither an API description, a threat model nor a scan.
    """
    file = Path(one_line(Path(name).name, 60) or "file")
    try:
        document = parse_description(file, data)
    except ConfigurationError as error:
        raise WorkshopError(str(error)) from None
    draft, faults = drafter_of(document)(document)
    if faults:
        first = faults[0]
        raise WorkshopError(
            f"{file}: {join(first.where) or 'the whole file'}: got {first.got}, expected {first.expected}; this page takes OpenAPI, "
            "Open Threat Model, Threat Dragon 2 and what `watchword scan --json` prints"
        )
    section = dict(_section(render(draft, [str(file)], "api")))
    section["assets"] = {
        asset: {member: value for member, value in each.items() if member != "routes"}
        | ({} if each.get("lives_in") else {"lives_in": ["backend"]})
        for asset, each in section["assets"].items()
    }
    return section
