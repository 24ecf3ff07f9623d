"""Compare what two rows of a route table ask of a request: the one place that says which is stricter.

Rows are compared where a server may take a path for one row's or for the other's
(:mod:`watchword.gate.spellings`).  Only the row that is strictest in every respect may judge then, so that this is
a partial order: of two rows that each ask for something that the other doesn't, neither is the stricter one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from watchword.gate.interface import Limit, Route
from watchword.gate.versions import is_at_least
from watchword.vocabulary import Mode, Proof

_MODES: Final = {Mode.OFF: 0, Mode.MONITOR: 1, Mode.CANARY: 2, Mode.ENFORCE: 3}
_PROOFS: Final = {Proof.BEARER: 0, Proof.SESSION: 1, Proof.DEVICE: 2}
WATCHING: Final = frozenset({Mode.OFF, Mode.MONITOR})
"""Modes in which a row refuses nobody."""

_Versions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Demands:
    """Hold what a row asks of a request that belongs to it; rows that ask for the same are equal.

    Path and methods aren't in here: they say which requests belong to a row, not what is asked of them.  Rate, replay
    mode, ``binding_header``, issuer, audience and leeway are the API's, so that all of its rows share them.

    :param canary: share, ``from_versions`` and budget, None in other modes.
    :param secret: the key that is added, which sends the request to another server.
    :param limits: names of the limits that count this row, and not every row.
    """

    mode: Mode
    level: int
    proof: Proof
    dpop: bool
    max_body: int
    minimum_versions: _Versions
    canary: tuple[int, _Versions, float] | None
    secret: str | None
    limits: frozenset[str]


def demands_of(route: Route, limits: Sequence[Limit]) -> Demands:
    """Return what a row asks for.

    :param limits: those of its API.
    """
    canary = route.canary
    return Demands(
        mode=route.mode,
        level=route.level.rank,
        proof=route.proof,
        dpop=route.dpop,
        max_body=route.max_body,
        minimum_versions=tuple(sorted(route.minimum_versions.items())),
        canary=None
        if canary is None
        else (canary.share, tuple(sorted(canary.from_versions.items())), canary.budget),
        secret=route.secret,
        limits=frozenset(limit.name for limit in limits if route.name in limit.routes),
    )


def is_as_strict(one: Demands, other: Demands) -> bool:
    """Tell whether ``one`` is at least as strict as ``other`` in every respect.

    1. Both add the same key, or none: of two servers neither is the stricter one.
    2. Mode: ``off``, ``monitor``, ``canary``, ``enforce``, each stricter than those before it.  A row that is ``off``
       asks for nothing, and one in ``monitor`` refuses nothing, so that any row in a stricter mode is stricter than
       they are, whatever else is written in them.  Of two canaries only equal ones compare.
    3. Level, and the lowest version of each app that the other row names.
    4. Proof: ``bearer``, ``session``, ``device``, each stricter than those before it; one that takes DPoP, which covers
       neither query nor body, is stricter than ``bearer`` alone.  Of two proofs, the body that one covers is no larger.
    5. Each limit that counts the other counts this one too.
    """
    if one.secret != other.secret or _MODES[one.mode] < _MODES[other.mode]:
        return False
    if other.mode is Mode.OFF or (other.mode is Mode.MONITOR and one.mode is not Mode.MONITOR):
        return True
    if one.canary is not None and one.canary != other.canary:
        return False
    return (
        one.level >= other.level
        and _asks_for_versions(one, other)
        and _asks_for_proof(one, other)
        and one.limits >= other.limits
    )


def _asks_for_versions(one: Demands, other: Demands) -> bool:
    asked = dict(one.minimum_versions)
    return all(is_at_least(asked.get(app), least) for app, least in other.minimum_versions)


def _asks_for_proof(one: Demands, other: Demands) -> bool:
    if other.proof is Proof.BEARER:
        return True
    if one.dpop and not other.dpop:
        return False
    return _PROOFS[one.proof] >= _PROOFS[other.proof] and one.max_body <= other.max_body
