"""Begin a workshop: from one of six argued templates, or from what the team has already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from watchword.apps.plan.drafts import (
    TEMPLATES,
    drafter_of,
    parse_description,
    render,
    section_of,
    template_section,
)
from watchword.apps.plan.workshop.session import WorkshopError
from watchword.apps.settings.faults import ConfigurationError, join
from watchword.plan.drafts import one_line


@dataclass(frozen=True, slots=True)
class Template:
    """Hold one argued template.

    :param assets: by name, why each would hurt.
    """

    name: str
    title: str
    assets: Mapping[str, str]


@cache
def templates() -> Sequence[Template]:
    """Return the templates."""
    return tuple(
        Template(
            name,
            title,
            {each: str(one["because"]) for each, one in template_section(name)["assets"].items()},
        )
        for name, title in TEMPLATES.items()
    )


@cache
def arguments() -> frozenset[str]:
    """Return what the templates argue: a team that keeps such a sentence hasn't found its own yet."""
    return frozenset(because for each in templates() for because in each.assets.values())


def begin_from(name: str) -> Mapping[str, Any]:
    """Return the plan section of a template.

    :raises WorkshopError: when there is none of this name.
    """
    if name not in TEMPLATES:
        raise WorkshopError(f"got {one_line(name, 40)!r}, expected one of {', '.join(TEMPLATES)}")
    return template_section(name)


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
    section = dict(section_of(render(draft, [str(file)], "api")))
    section["assets"] = {
        asset: {member: value for member, value in each.items() if member != "routes"}
        | ({} if each.get("lives_in") else {"lives_in": ["backend"]})
        for asset, each in section["assets"].items()
    }
    return section
