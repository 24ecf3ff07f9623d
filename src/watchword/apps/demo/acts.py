"""Define an act of the demo: who did what, what was expected, what really happened."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold how a request or an enrolment ended.

    :param what: ``served`` or ``refused``, then the HTTP status, for example ``refused 401``.
    :param reason: the first reason's code, as the operator's ``explain`` tells it; None if served.
    """

    what: str
    reason: str | None = None

    def __str__(self) -> str:
        """Render as one text, which is what acts compare."""
        return self.what if self.reason is None else f"{self.what}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Act:
    """Hold one finished act.

    :param chapter: the part of the story that it belongs to.
    :param act: what is done.
    :param actor: who does it.
    """

    chapter: str
    act: str
    actor: str
    expected: str
    got: Outcome

    @property
    def ok(self) -> bool:
        """Tell whether it went as expected."""
        return self.expected == str(self.got)

    def as_dict(self) -> dict[str, Any]:
        """Return the act for ``--json``."""
        return {
            "chapter": self.chapter,
            "act": self.act,
            "actor": self.actor,
            "expected": self.expected,
            "got": str(self.got),
            "reason": self.got.reason,
            "ok": self.ok,
        }
