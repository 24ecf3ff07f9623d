"""Run what :mod:`watchword.apps.observations.cli` declares."""

import difflib
import hashlib
import json
import os.path
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from watchword.adapters.observations import ObservationsFile
from watchword.adapters.observer_keys import read_observer_key, write_observer_key
from watchword.adapters.system import SystemClock
from watchword.apps.observations.document import (
    DIGEST,
    ObservationError,
    Observers,
    Reading,
    from_json,
    read_observations,
    sign,
    to_json,
    troubles,
    unsigned,
    verify,
)
from watchword.apps.settings.faults import shown
from watchword.apps.settings.plan import PlanSettings, load_plan
from watchword.apps.terminal.console import EXIT_REFUSED, print_json, refused_by_the_system
from watchword.apps.terminal.key_pairs import make_pair
from watchword.apps.terminal.paragraphs import hanging, printable, show
from watchword.encoding.phrases import moment, seconds
from watchword.observations import (
    MAX_REVIEW,
    OF_A_ROUTE,
    Claim,
    Observation,
    Review,
    SeenRoute,
    State,
    Vouched,
)
from watchword.plan.evidence import NEGATIVE, Circumstances, judge, same_person
from watchword.plan.interface import Catalogue, Protection, row_of
from watchword.plan.outcome import Standing
from watchword.vocabulary import Environment, Proof

_NAMED: Final = 8
"""Most names that a refusal lists."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """Hold one statement with its worth.

    :param observer: who vouches for it, None where nobody does.
    :param state: what it is worth by itself, None where the catalogue hasn't got its protection.
    :param decides: it is the one that stands for its protection at its target.
    """

    observation: Observation
    observer: str | None
    state: State | None
    why: str
    decides: bool


def weigh(settings: PlanSettings, reading: Reading, now: datetime) -> tuple[Weighed, ...]:
    """Return every statement with its worth, the newest first."""
    where = settings.circumstances(now, reading.vouched)
    catalogue = settings.catalogue
    evidence = judge(reading.vouched, reading.claims, catalogue, settings.assets, where)
    standing = [each for found in evidence.standings.values() for each in found]
    rows = []
    statements: tuple[Vouched | Claim, ...] = (*reading.vouched, *reading.claims)
    for statement in statements:
        alone = _alone(settings, statement, where)
        seen = statement.observation
        rows.append(
            Weighed(
                observation=seen,
                observer=statement.observer if isinstance(statement, Vouched) else None,
                state=alone.state if alone else None,
                why=alone.why if alone else "The catalogue has no such protection.",
                decides=alone is not None and any(_is_part(alone, each) for each in standing),
            )
        )
    return tuple(sorted(rows, key=_newest_first, reverse=True))


def _is_part(alone: Standing, standing: Standing) -> bool:
    """Tell whether a statement stands for all that it is on: what stands alike on several routes stands together."""
    same = replace(alone, routes=()) == replace(standing, routes=())
    return same and (alone.routes == standing.routes or {*alone.routes} < {*standing.routes})


def _newest_first(row: Weighed) -> tuple[datetime, str, str, str, str]:
    seen = row.observation
    return (seen.at, seen.protection, seen.target, seen.key, row.why)


def standing_of(
    settings: PlanSettings, statement: Vouched | Claim, now: datetime
) -> Standing | None:
    """Return how one statement stands by itself, None for an unknown protection."""
    return _alone(settings, statement, settings.circumstances(now))


def _alone(
    settings: PlanSettings, statement: Vouched | Claim, where: Circumstances
) -> Standing | None:
    vouched = [statement] if isinstance(statement, Vouched) else []
    claims = [statement] if isinstance(statement, Claim) else []
    found = judge(vouched, claims, settings.catalogue, {}, where)
    return next((each for some in found.standings.values() for each in some), None)


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


def keygen_command(config: Path, /, output: Path, public: Path | None, *, as_json: bool) -> None:
    """Make a key pair: a private key to sign with, a public one to name under `plan: observers:`."""
    made = make_pair(output, public, write_observer_key, as_json=as_json)
    if made is None:
        return
    click.echo(f"{output}: the private key, for the observer alone (mode 0600)")
    click.echo(f"{made}: the public key; name it in watchword.yaml:\n")
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in output.stem.lower())
    click.echo("plan:\n  observers:")
    # The file names its files from where it stands itself.
    named = os.path.relpath(made, config.parent)
    click.echo(f"    {name.strip('-') or 'observer'}:\n      key: {named}")


def record_command(
    ctx: click.Context, /, sign: Path | None, *, as_json: bool, **options: Any
) -> None:
    """Record one observation, seen now, in the plan's file, and say what it is worth."""
    settings = load_plan(ctx.obj)
    now = SystemClock().now()
    try:
        statement = _stated(settings, options)
        observation = _composed(settings, statement, now)
    except ObservationError as error:
        option = f"--{error.where}" if error.where in options else error.where
        wrong = ObservationError(option, error.got, error.expected)
        raise click.UsageError(str(wrong)) from None
    told = _record(settings, observation, sign, now)
    if as_json:
        print_json(told.members)
    else:
        _show(told)
    if told.note:
        click.echo(printable(told.note), err=True)


@dataclass(frozen=True, slots=True)
class _Told:
    """Hold what was recorded, for scripts, and a line on its signature, empty where none is due."""

    members: dict[str, Any]
    file: Path
    note: str


def _stated(settings: PlanSettings, options: dict[str, Any]) -> Statement:
    """Read the options.

    :raises ObservationError: for a duration or a digest that isn't one.
    """
    expires, artifact, build = (options[name] for name in ("expires", "artifact", "build"))
    try:
        lasts = timedelta(seconds=seconds(expires))
    except ValueError as error:
        raise ObservationError("--expires", repr(expires), str(error)) from None
    read: dict[str, Any] = {
        "state": State(options["state"]),
        "environment": Environment(options["environment"] or settings.environment),
        "expires": lasts,
        "artifact": None if artifact is None else _digest_of(artifact, "--artifact"),
        "build": None if build is None else digest_of_build(build),
    }
    return Statement(**{**options, **read})


def _composed(settings: PlanSettings, statement: Statement, now: datetime) -> Observation:
    return compose(statement, settings.catalogue, settings.circumstances(now))


def digest_of_build(text: str) -> str:
    """Return a digest that was written in hex, or that of the file named.

    :raises ObservationError: when there is no such file, or it can't be read.
    """
    written = text.replace(":", "").lower()
    return written if DIGEST.fullmatch(written) else _digest_of(Path(text), "--build")


def _digest_of(file: Path, option: str) -> str:
    """Return the SHA-256 of a file of any size, in hex."""
    if file.exists() and not file.is_file():
        raise ObservationError(option, f"{file}, which is no file", "a file")
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and refused_by_the_system(error):
            raise
        got = f"{file}: {getattr(error, 'strerror', None) or error}"
        raise ObservationError(option, got, "a file that can be read") from None


def _record(
    settings: PlanSettings, observation: Observation, key: Path | None, now: datetime
) -> _Told:
    """Append the observation, and read the line again for what it is worth."""
    line = unsigned(observation) if key is None else sign(observation, read_observer_key(key))
    found = verify(line, Observers.of(settings.observers))
    ObservationsFile(settings.observations).append(line)
    standing = standing_of(settings, found, now)
    assert standing is not None  # The protection was found in the catalogue.
    members = {
        **to_json(observation),
        "verified": isinstance(found, Vouched),
        "observer": found.observer if isinstance(found, Vouched) else None,
        "stands": standing.state.value,
        "why": standing.why,
    }
    note = "" if isinstance(found, Vouched) else _unvouched(standing, key)
    return _Told(members, settings.observations, note)


def _unvouched(standing: Standing, key: Path | None) -> str:
    """Say what it means that no observer vouches for a statement, and what to do about it."""
    unknown = f"no observer under plan.observers has the public key of {key}"
    if standing.state in NEGATIVE:
        why = "it is unsigned" if key is None else unknown
        return f"note: {why}, and it is believed all the same: bad news only takes trust away"
    why = "sign it with --sign and an observer's key" if key is None else unknown
    return f"warning: recorded as a claim: {why}"


def _show(told: _Told) -> None:
    members = told.members
    route = members.get("route")
    on = "" if route is None else f" on {route['method']} {route['path']}"
    head = f"{members['protection']} at {members['target']}{on}: {members['state']}"
    click.echo(printable(f"{head}, which stands as {members['stands']}. {members['why']}"))
    click.echo(printable(f"Recorded in {told.file}."))


def list_command(ctx: click.Context, *, protection: str | None, as_json: bool) -> None:
    """List observations, the newest first: what each is worth now, and why."""
    settings = load_plan(ctx.obj)
    reading = read_observations(settings.observations, settings.observers)
    rows = weigh(settings, reading, SystemClock().now())
    shown = [each for each in rows if protection in {None, each.observation.protection}]
    if as_json:
        for row in shown:
            print_json(members_of(row))
    elif shown:
        _show_rows(shown)
    else:
        click.echo(f"No observations in {printable(str(settings.observations))}.")
    for line in troubles(reading, str(settings.observations)):
        click.echo(printable(line), err=True)
    if reading.faults:
        ctx.exit(EXIT_REFUSED)


def members_of(row: Weighed) -> dict[str, Any]:
    """Return a statement and its worth for scripts."""
    return {
        **to_json(row.observation),
        "verified": row.observer is not None,
        "observer": row.observer,
        "stands": row.state.value if row.state else None,
        "decides": row.decides,
        "why": row.why,
    }


def _show_rows(rows: list[Weighed]) -> None:
    cells = [("", "at (UTC)", "protection", "target", "route", "key", "said", "worth", "by")]
    cells += [
        (
            "*" if row.decides else " ",
            f"{row.observation.at:%Y-%m-%d %H:%M}",
            row.observation.protection,
            row.observation.target,
            str(row.observation.route or ""),
            row.observation.key,
            row.observation.state.value,
            row.state.value if row.state else "unknown",
            row.observer or "nobody",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for index, line in enumerate(cells):
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())
        if index:
            show(hanging(f"     {rows[index - 1].why}"))


def export_command(ctx: click.Context, *, as_json: bool) -> None:
    """Write every observation with who vouches for it and what it is worth now, as one JSON object."""
    settings = load_plan(ctx.obj)
    now = SystemClock().now()
    reading = read_observations(settings.observations, settings.observers)
    document = {
        "made_at": moment(now),
        "environment": settings.environment.value,
        "observations": [members_of(row) for row in weigh(settings, reading, now)],
        "unreadable": [
            {"line": each.line, "fault": each.text} for each in (*reading.faults, *reading.notes)
        ],
    }
    if as_json:
        print_json(document)
    else:
        click.echo(json.dumps(document, indent=2))
    if reading.faults:
        ctx.exit(EXIT_REFUSED)
