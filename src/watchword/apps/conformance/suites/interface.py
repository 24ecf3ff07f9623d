"""Define what a published suite is: cases, what must become of each, and what lies outside of our profile.

A case outside of the profile is refused all the same, and one that is taken counts as a wrong accept.  The exception is
what the profile leaves ``unjudged``: there a verdict of the suite asks for something that nothing of ours decides by,
or the suite itself has no verdict.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from watchword.apps.conformance.suites.files import SuiteFile
from watchword.reasons import RefusedError

JsonObject = dict[str, Any]

Attempt = Callable[[], bool]
"""Puts one case through our code.  True: accepted.  False, or a RefusedError: refused."""


class Must(StrEnum):
    """Say what must become of a case; ``EITHER``, where a suite has no verdict, is outside of the profile always."""

    ACCEPT = "accept"
    REJECT = "reject"
    EITHER = "either"


class MisreadError(Exception):
    """Report that a case was accepted and read as something else than it says: worse than a refusal."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Name why cases lie outside of our profile.

    :param why: a sentence for the page.
    :param unjudged: whether our code may accept such a case as well as refuse it.
    """

    name: str
    why: str
    unjudged: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Hold one case.

    :param must: what the suite says; of a case outside of the profile it is only told.
    :param outside: None for a case that our profile has.
    """

    id: str
    must: Must
    attempt: Attempt
    outside: Outside | None = None


@dataclass(frozen=True, slots=True)
class CaseSet:
    """Hold the cases of one file; sets of one name are counted together."""

    name: str
    cases: Iterable[Case]


Reader = Callable[[SuiteFile], CaseSet | None]
"""Return the cases of a file, None where its layout is another one.

A file of the layout that lacks something raises LookupError, TypeError, ValueError or AttributeError.
"""


@dataclass(frozen=True, slots=True)
class Suite:
    """Hold one layout, and what of ours its cases are put through.

    :param source: where the suite is published.
    :param layout: by what a file is recognised.
    :param held: the code that is held to it.
    :param outside: every reason that its cases can have.
    """

    title: str
    source: str
    layout: str
    held: str
    read: Reader
    outside: tuple[Outside, ...] = ()


def must_of(result: str) -> Must:
    """Return what Wycheproof's ``result`` asks for; ``acceptable`` leaves it open."""
    return {"valid": Must.ACCEPT, "invalid": Must.REJECT, "acceptable": Must.EITHER}[result]


def agreed(*attempts: Attempt) -> bool:
    """Return what several readers of the same thing say.

    :raises MisreadError: where they differ; a refusal is a False.
    """
    answers = {_answer(attempt) for attempt in attempts}
    if len(answers) > 1:
        raise MisreadError("two readers of ours differ")
    return answers.pop()


def _answer(attempt: Attempt) -> bool:
    try:
        return attempt()
    except RefusedError:
        return False
