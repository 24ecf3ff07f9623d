"""Define observations: dated statements on one protection, and what they may say.

Ground floor: imports nothing of Watchword but words.  A statement that somebody signed with a key that this deployment
knows is a :class:`Vouched` one; anything else is a :class:`Claim`, whatever it says of itself.  Both carry the
same :class:`Observation`, but they are two types, so that no code can take one for the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from watchword.vocabulary import Environment, Proof

MAX_REVIEW: Final = timedelta(days=180)
"""Longest that a review counts: what no machine can see changes without telling anybody."""


SEVERITIES: Final = ("info", "low", "medium", "high", "critical")
"""Severities that a finding of an observation may have, the least first."""

OF_A_ROUTE: Final = (
    "live:shield.",
    "live:tokens.",
    "live:attest.",
    "live:app.",
    "live:gateway.limits",
    "live:policy.",
)
"""What a key begins with that a row of the API's route table decides: seen on one it says nothing of another."""

BY_A_PROOF: Final = ("live:shield.signature_enforced", "live:tokens.bound_ratio")
"""Keys of what a token alone never shows: whoever steals it, or repeats the request, is served."""


class State(StrEnum):
    """Say how a protection stands.

    ``proven``: an observer saw it work.  ``reviewed``: a person looked, where no machine can see.
    ``claimed``: somebody says so.  ``absent``: looked for, not there.  ``stale``: the proof is too
    old, or of another build or policy.  ``broken``: there, but without effect.

    Only the first two count.  ``stale`` is never stated: it is what time makes of a statement.
    """

    PROVEN = "proven"
    REVIEWED = "reviewed"
    CLAIMED = "claimed"
    ABSENT = "absent"
    STALE = "stale"
    BROKEN = "broken"

    @property
    def counts(self) -> bool:
        """Tell whether a plan may rely on it."""
        return self in {State.PROVEN, State.REVIEWED}


@dataclass(frozen=True, slots=True)
class Review:
    """Hold who looked at what, for what no machine can see.

    :param reviewer: who looked; never the ``author`` of what was looked at.
    :param artifact: SHA-256 in hex of what was looked at.
    :param expires: at most :data:`MAX_REVIEW` after the observation.
    """

    reviewer: str
    author: str
    artifact: str
    expires: datetime


@dataclass(frozen=True, slots=True, order=True)
class SeenRoute:
    """Name the requests of an API that a statement is on: those that one row of its table decides.

    :param path: the row's pattern, as the file has it.
    :param method: that was sent; upper case.
    :param proof: that was asked for there.
    """

    path: str
    method: str
    proof: Proof

    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{self.method} {self.path} ({self.proof})"


@dataclass(frozen=True, slots=True)
class Observation:
    """Hold one statement on one protection.

    :param protection: its id in the catalogue, such as ``PR-B01``.
    :param key: what was looked at: one of the protection's evidence keys, such as
        ``live:shield.enforced_ratio``.
    :param state: what is stated; never ``stale``.
    :param at: when it was seen, aware, in UTC.
    :param target: what was looked at: ``api:NAME`` or ``app:NAME`` of ``watchword.yaml``.
    :param source: what saw it, for people: a tool and its version, or a name.
    :param environment: of the deployment that was looked at.
    :param loopback: it was reached on this machine; such a run never proves production.
    :param build: SHA-256 in hex of the app build that was looked at, None where there is none.
    :param generation: SHA-256 in hex of the policy that was in force, None where there is none.
    :param detail: one line for people.
    :param measured: by technique of the catalogue, how many ways to carry it out were stopped, of how many that
        were tried; empty where nobody tried.
    :param findings: what speaks against the protection, each (severity, title) by an id that stays the same from build to
        build: by it one sees what is new where the protection failed before already.
    """

    protection: str
    key: str
    state: State
    at: datetime
    target: str
    source: str
    environment: Environment
    loopback: bool = False
    build: str | None = None
    generation: str | None = None
    detail: str = ""
    review: Review | None = None
    measured: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    findings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    route: SeenRoute | None = None


@dataclass(frozen=True, slots=True)
class Vouched:
    """Hold an observation whose signature was verified under the key of a configured observer."""

    observation: Observation
    observer: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Hold an observation that nobody vouches for, and why nobody does."""

    observation: Observation
    why: str
