"""Draft a plan from the files that a user names, and write it where nothing is yet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from watchword.apps.plan.descriptions import read_description
from watchword.apps.plan.draft_text import STARTER, render
from watchword.apps.settings.faults import ConfigurationError, Fault, join
from watchword.apps.terminal.output import write_new_file
from watchword.plan.drafts.interface import Draft, merged
from watchword.plan.drafts.openapi import draft_from_openapi
from watchword.plan.drafts.otm import draft_from_otm
from watchword.plan.drafts.wording import one_line, slug
from watchword.plan.interface import ModelFault

_Drafter: TypeAlias = Callable[[Any], tuple[Draft, list[ModelFault]]]

_FALLBACK_API: Final = "api"


@dataclass(frozen=True, slots=True)
class Drafted:
    """Hold a draft with the text of its file.

    :param api: the name that its routes have under ``apis``.
    """

    draft: Draft
    text: str
    api: str


def draft_plan(openapi: Path | None, otm: Path | None, api: str | None = None) -> Drafted:
    """Draft from an API description, a threat model or both; without either, a plan to start from.

    :param api: name of the API under ``apis``; left out, it is made from the description's title.
    :raises ConfigurationError: when a file can't be read, or isn't what it should be.
    """
    drafts: list[Draft] = []
    sources: list[str] = []
    named: tuple[tuple[Path | None, _Drafter], ...] = (
        (openapi, draft_from_openapi),
        (otm, draft_from_otm),
    )
    for file, drafter in named:
        if file is not None:
            drafts.append(_drafted(file, drafter))
            sources.append(one_line(file.name, 60))
    if not drafts:
        return Drafted(Draft(), STARTER, api or _FALLBACK_API)
    draft = merged(drafts)
    name = api or _api_name(drafts[0].title if openapi is not None else "")
    return Drafted(draft, render(draft, sources, name), name)


def write_new(file: Path, text: str) -> None:
    """Write a file that isn't there yet.

    :raises ConfigurationError: when it is; nothing is overwritten.
    :raises OSError: when it can't be written; nothing is left behind, so that the next try isn't in its own way.
    """
    try:
        write_new_file(file, text)
    except FileExistsError:
        fault = Fault("", None, "a file that is there already", "a new file: -o FILE, or -o -")
        raise ConfigurationError(file, [fault]) from None


def _drafted(file: Path, drafter: _Drafter) -> Draft:
    draft, faults = drafter(read_description(file))
    if faults:
        found = [Fault(join(each.where), None, each.got, each.expected) for each in faults]
        raise ConfigurationError(file, found)
    return draft


def _api_name(title: str) -> str:
    """Return a name for the API: ``Clinic API`` becomes ``clinic``."""
    name = slug(title)
    return name.removesuffix("-api") or _FALLBACK_API
