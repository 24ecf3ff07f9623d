"""Make an observation of what a person or a tool states, and refuse what could never be of use."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn

from watchword.apps.observations.document import ObservationError, from_json, to_json
from watchword.apps.settings.faults import shown
from watchword.observations import MAX_REVIEW, OF_A_ROUTE, Observation, Review, SeenRoute, State
from watchword.plan.evidence import Circumstances, same_person
from watchword.plan.interface import Catalogue, Protection, row_of
from watchword.vocabulary import Environment, Proof

_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """Hold what is stated, as options of the command line name it.

    :param build: SHA-256 in hex, None where none was looked at.
    :param artifact: the same of what was reviewed.
    :param expires: how long the review is to count.
    :param route: method and path of a row of the API's table, such as ``GET /v1/records/**``.
    """

    protection: str
    key: str
    state: State
    target: str
    source: str
    environment: Environment
    loopback: bool = False
    build: str | None = None
    detail: str = ""
    reviewer: str | None = None
    author: str | None = None
    artifact: str | None = None
    expires: timedelta = MAX_REVIEW
    route: str | None = None


def compose(
    statement: Statement, catalogue: Catalogue, circumstances: Circumstances
) -> Observation:
    """Return the observation, made now, of the policy that is in force by the file.

    A review isn't bound to the policy: it is of its artifact, whatever mode a route is in.

    :raises ObservationError: with the option that is wrong, what was got and what was expected.
    """
    protection = catalogue.protections.get(statement.protection)
    if protection is None:
        _refuse("PROTECTION", statement.protection, catalogue.protections)
    if statement.key not in protection.evidence:
        _refuse("--key", statement.key, protection.evidence)
    # Asked for a review too: its target may be misspelt as any.
    generation = _generation(statement.target, circumstances)
    observation = Observation(
        protection=protection.id,
        key=statement.key,
        state=statement.state,
        at=circumstances.now,
        target=statement.target,
        source=statement.source,
        environment=statement.environment,
        loopback=statement.loopback,
        build=statement.build,
        generation=None if statement.state is State.REVIEWED else generation,
        detail=statement.detail,
        review=_review(statement, protection, circumstances.now),
        route=_route(statement, circumstances),
    )
    # What is written must be what can be read again.
    return from_json(to_json(observation))


def _generation(target: str, circumstances: Circumstances) -> str | None:
    """Return the policy in force at an API; a misspelt one would never be asked for again."""
    kind, _, name = target.partition(":")
    known = circumstances.generations
    if kind == "api" and known and name not in known:
        _refuse("--target", target, [f"api:{each}" for each in known])
    return known.get(name) if kind == "api" else None


def _route(statement: Statement, circumstances: Circumstances) -> SeenRoute | None:
    """Return the route that was looked at, with the proof that the file asks for there.

    What a row decides counts on the row that it was seen on alone, so that one has to be named where a table is known.
    """
    kind, _, name = statement.target.partition(":")
    rows = circumstances.routes.get(name, ()) if kind == "api" else ()
    known = [f"{method} {row.path}" for row in rows for method in row.methods or ("GET",)]
    if statement.route is None:
        if known and statement.state.counts and statement.key.startswith(OF_A_ROUTE):
            expected = f"the route that it was seen on, such as {shown(known[0])}"
            raise ObservationError("--route", "nothing", expected)
        return None
    if kind == "app":
        raise ObservationError("--route", "it with an app", "it with --target api:NAME")
    if kind != "api":
        return None  # The target is told of when all is read again.
    method, _, path = statement.route.partition(" ")
    row = row_of(rows, path, method)
    if row is None or row.proof not in set(Proof):
        _refuse("--route", statement.route, known)
    return SeenRoute(path, method, Proof(row.proof))


def _review(statement: Statement, protection: Protection, now: datetime) -> Review | None:
    """Return the review, None where none is stated."""
    options = {
        "--reviewer": statement.reviewer,
        "--author": statement.author,
        "--artifact": statement.artifact,
    }
    if statement.state is not State.REVIEWED:
        for option, value in options.items():
            if value is not None:
                raise ObservationError(option, f"it with --state {statement.state}", "it left out")
        return None
    if not protection.reviewable:
        raise ObservationError(
            "--state", f"reviewed for {protection.id}", "proven: a machine can see this one"
        )
    for option, value in options.items():
        if not value:
            raise ObservationError(option, "nothing", "it with --state reviewed")
    assert statement.reviewer and statement.author and statement.artifact  # noqa: PT018 - seen above.
    if same_person(statement.reviewer, statement.author):
        raise ObservationError(
            "--reviewer", f"the author, {statement.author}", "somebody who didn't write it"
        )
    if not timedelta() < statement.expires <= MAX_REVIEW:
        got = f"{statement.expires.days} days"
        raise ObservationError("--expires", got, f"at most {MAX_REVIEW.days} days")
    expires = now + statement.expires
    return Review(statement.reviewer, statement.author, statement.artifact, expires)


def _refuse(where: str, got: str, known: Iterable[str]) -> NoReturn:
    """Refuse an unknown name, with the nearest of those that are known."""
    names = sorted(known)
    near = difflib.get_close_matches(got, names, n=_NAMED)
    names = near + [name for name in names if name not in near]
    listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    expected = f"{near[0]}? Known: {listed}" if near else f"one of {listed}"
    raise ObservationError(where, shown(got), expected)
