"""Record one observation."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.terminal.console import encodable, print_json, refused_by_the_system
from watchword.apps.terminal.paragraphs import printable

if TYPE_CHECKING:
    from watchword.apps.observations.composing import Statement
    from watchword.apps.settings.plan import PlanSettings
    from watchword.observations import Observation
    from watchword.plan.outcome import Standing

# What may not be read is told when it is read: that is no wrong usage.
_FILE = click.Path(dir_okay=False, readable=False, path_type=Path)
_STATES = ("proven", "reviewed", "claimed", "absent", "broken")


@click.command(
    epilog="Example: watchword observe record PR-B07 --state reviewed --target api:clinic "
    "--key scan:api.bola_test --source 'review of 2026-11' --reviewer Ada --author Bob "
    "--artifact orders.py --expires 90d --sign ci.pem"
)
@click.argument("protection", callback=encodable)
@click.option(
    "--state",
    type=click.Choice(_STATES),
    default="proven",
    show_default=True,
    help="What was seen. Nobody states `stale`: that is what time makes of it.",
)
@click.option("--target", required=True, callback=encodable, help="api:NAME or app:NAME.")
@click.option("--key", required=True, callback=encodable, help="What was looked at.")
@click.option(
    "--route",
    metavar="'METHOD PATH'",
    callback=encodable,
    help="On which route of the API, where a route decides it: 'POST /v2/payments/**'.",
)
@click.option("--source", required=True, callback=encodable, help="What saw it, and its version.")
@click.option("--sign", type=_FILE, help="Private key of an observer; without it: a claim.")
@click.option("--reviewer", callback=encodable, help="Who looked, with --state reviewed.")
@click.option("--author", callback=encodable, help="Who made what was looked at.")
@click.option("--artifact", type=_FILE, help="What was looked at; its SHA-256 is recorded.")
@click.option(
    "--expires",
    metavar="DURATION",
    default="90d",
    show_default=True,
    help="How long the review counts; at most 180d.",
)
@click.option("--build", metavar="FILE|SHA-256", help="The build of the app that was looked at.")
@click.option("--detail", default="", callback=encodable, help="One line for people.")
@click.option("--environment", type=click.Choice(["prod", "lab"]), help="If not as in the file.")
@click.option("--loopback", is_flag=True, help="It was reached on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print what was recorded as JSON.")
@click.pass_context
def command(ctx: click.Context, /, sign: Path | None, *, as_json: bool, **options: Any) -> None:
    """Record one observation, seen now, in the plan's file, and say what it is worth.

    What an observer signed can prove a protection; without a signature it is a claim, and only
    `absent` and `broken` have an effect.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.observations import ObservationError
    from watchword.apps.settings.plan import load_plan

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


def _stated(settings: "PlanSettings", options: dict[str, Any]) -> "Statement":
    """Read the options.

    :raises ObservationError: for a duration or a digest that isn't one.
    """
    from datetime import timedelta

    from pydantic_core import PydanticCustomError

    from watchword.apps.observations import ObservationError
    from watchword.apps.observations.composing import Statement
    from watchword.apps.settings.schema import seconds
    from watchword.observations import State
    from watchword.vocabulary import Environment

    expires, artifact, build = (options[name] for name in ("expires", "artifact", "build"))
    try:
        lasts = timedelta(seconds=seconds(expires))
    except PydanticCustomError as error:
        raise ObservationError("--expires", repr(expires), error.message()) from None
    read: dict[str, Any] = {
        "state": State(options["state"]),
        "environment": Environment(options["environment"] or settings.environment),
        "expires": lasts,
        "artifact": None if artifact is None else _digest_of(artifact, "--artifact"),
        "build": None if build is None else digest_of_build(build),
    }
    return Statement(**{**options, **read})


def _composed(settings: "PlanSettings", statement: "Statement", now: datetime) -> "Observation":
    from watchword.apps.observations.composing import compose
    from watchword.apps.plan.planning import circumstances_of

    return compose(statement, settings.catalogue, circumstances_of(settings, now))


def digest_of_build(text: str) -> str:
    """Return a digest that was written in hex, or that of the file named.

    :raises ObservationError: when there is no such file, or it can't be read.
    """
    from watchword.apps.observations.document import DIGEST

    written = text.replace(":", "").lower()
    return written if DIGEST.fullmatch(written) else _digest_of(Path(text), "--build")


def _digest_of(file: Path, option: str) -> str:
    """Return the SHA-256 of a file of any size, in hex."""
    import hashlib

    from watchword.apps.observations import ObservationError

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
    settings: "PlanSettings", observation: "Observation", key: Path | None, now: datetime
) -> _Told:
    """Append the observation, and read the line again for what it is worth."""
    from watchword.adapters.observations import ObservationsFile, read_observer_key
    from watchword.apps.cli.observe.judged import standing_of
    from watchword.apps.observations import Observers, sign, to_json, unsigned, verify
    from watchword.observations import Vouched

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


def _unvouched(standing: "Standing", key: Path | None) -> str:
    """Say what it means that no observer vouches for a statement, and what to do about it."""
    from watchword.plan.reliance import NEGATIVE

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
