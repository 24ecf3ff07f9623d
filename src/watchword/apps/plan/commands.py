"""Run what :mod:`watchword.apps.plan.cli` declares."""

import sys
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.adapters.system import SystemClock, SystemEntropy, TimeLimit
from watchword.apps.observations.document import Reading, read_observations, troubles
from watchword.apps.plan.catalogue import (
    Upstream,
    entry_as_dict,
    entry_lines,
    maswe_1_0_0,
    protection_in_words,
    read_upstream,
    technique_in_words,
)
from watchword.apps.plan.cyclonedx import cyclonedx
from watchword.apps.plan.markdown import markdown as as_markdown
from watchword.apps.plan.terminal import item_lines, lines
from watchword.apps.settings.plan import (
    PlanSettings,
    configured_catalogue,
    load_plan,
    read_catalogue,
)
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.output import OutputFileError, replace_file
from watchword.apps.terminal.paragraphs import hanging, printable, show, wrapped
from watchword.plan.catalogue import names_used, nearest_id, same_id, unknown_names
from watchword.plan.evidence import judge, weak_routes
from watchword.plan.interface import Catalogue, Deadline, Protection, Technique, is_guess
from watchword.plan.outcome import Exposure, Plan
from watchword.plan.service import Question, make_plan

if TYPE_CHECKING:
    from watchword.apps.plan.document import PlanDocument

PATIENCE_SECONDS: Final = 8.0
"""How long the order is shaken at most; the order itself is always whole."""

_MANY_PATHS: Final = 500
"""From so many paths on a plan may take longer than a moment."""

_LEAST_OF_A_NAME: Final = 4
_MAX_NAMED: Final = 12
_MAX_SHOWN: Final = 60
_MAX_TROUBLES: Final = 5
"""Most lines of the observations that are told one by one; a file may hold thousands."""

_STDOUT: Final = Path("-")


def plan_of(
    settings: PlanSettings, question: Question, now: datetime, deadline: Deadline
) -> tuple[Plan, Reading]:
    """Return the plan, and what was read of observations, faults among it.

    :raises ObservationsFileError: when the file of observations can't be read.
    """
    reading = read_observations(settings.observations, settings.observers)
    evidence = judge(
        reading.vouched,
        reading.claims,
        settings.catalogue,
        settings.model.assets,
        settings.circumstances(now, reading.vouched),
    )
    plan = make_plan(settings.model, settings.catalogue, evidence, now, question, deadline)
    return replace(plan, limits=settings.limits, pins=settings.pins), reading


def show_plan(
    ctx: click.Context,
    /,
    *,
    as_json: bool,
    markdown: bool,
    cyclonedx: bool,
    tickets: str | None,
    html: Path | None,
    management: Path | None,
    details: bool,
    item: str | None,
    everything: bool,
    budget: int | None,
    what_if: tuple[str, ...],
    fail_on: tuple[str, ...],
    earlier: "PlanDocument | None",
) -> None:
    """Say what to protect first."""
    forms = {
        "--json": as_json,
        "--markdown": markdown,
        "--cyclonedx": cyclonedx,
        "--tickets": tickets,
        "--item": item,
    }
    _refuse_together(forms, earlier, fail_on, details=details)
    settings = load_plan(ctx.obj)
    plan = _made(settings, _question(settings, budget, what_if))
    if item is not None:
        listed = [each.protection.id for each in plan.items]
        item = _item_of(item, listed, plan.catalogue)
    if html is not None:
        _write_report(html, plan, earlier)
    if management is not None:
        _write_for_management(management, plan)
    # Of an asset that wasn't planned for nobody knows how it stands.
    unplanned = len(settings.assets) > len(plan.assets)
    failing = any(_holds(plan, each, earlier, unplanned=unplanned) for each in fail_on)
    if earlier is not None:
        # The models of a plan's JSON take as long to import as a plan to make; who reads words needs none of them.
        from watchword.apps.plan.earlier import show_since  # noqa: PLC0415

        show_since(plan, earlier, as_json=as_json, everything=everything)
    elif as_json or markdown or cyclonedx or tickets is not None:
        _print(plan, tickets, as_json=as_json, markdown=markdown)
    elif (html is None and management is None) or details or item is not None:
        _show(plan, details=details, everything=everything, item=item)
    if failing:
        ctx.exit(EXIT_REFUSED)


def _print(plan: Plan, tickets: str | None, *, as_json: bool, markdown: bool) -> None:
    """Print a plan in the form that was asked for; CycloneDX where none of these was."""
    if as_json:
        from watchword.apps.plan.document import document  # noqa: PLC0415

        print_json(document(plan))
    elif markdown:
        click.echo(as_markdown(plan))
    elif tickets is not None:
        # Every attack and every rule is imported with it.
        from watchword.apps.plan.tickets import FORMS  # noqa: PLC0415

        click.echo(FORMS[tickets](plan), nl=False)
    else:
        print_json(_bill(plan))


def _made(settings: PlanSettings, question: Question) -> Plan:
    """Make the plan; whoever waits at a terminal sees that something goes on."""
    with _waiting(len(settings.model.paths)):
        now = SystemClock().now()
        plan, reading = plan_of(settings, question, now, TimeLimit(PATIENCE_SECONDS))
    _tell_troubles(list(troubles(reading, settings.observations.name)))
    _tell_guesses(settings)
    # Between reading and planning nobody needs the number; every view has to say it.
    return replace(plan, unreadable=len(reading.faults))


def _waiting(paths: int) -> AbstractContextManager[object]:
    """Show whoever sits at a terminal that something goes on; a small plan is there before that is."""
    if paths < _MANY_PATHS or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=True).status(f"Planning for {paths} paths")


def _tell_troubles(lines: list[str]) -> None:
    """Say on stderr which lines of the observations can't be read."""
    for line in lines[:_MAX_TROUBLES]:
        click.echo(f"note: {printable(line)}", err=True)
    if len(lines) > _MAX_TROUBLES:
        more = f"{len(lines) - _MAX_TROUBLES:,} more lines like these"
        click.echo(f"note: and {more}; `watchword observe list` names each", err=True)


def _tell_guesses(settings: PlanSettings) -> None:
    """Say on stderr which impacts nobody has thought about yet: the order rests on them."""
    names = [name for name, asset in settings.assets.items() if is_guess(asset.because)]
    if not names:
        return
    listed = ", ".join(names[:_MAX_NAMED])
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    what = (
        "1 impact is still a guess"
        if len(names) == 1
        else f"{len(names)} impacts are still guesses"
    )
    for line in wrapped(f"note: {what} (because begins with TODO): {listed}{more}"):
        click.echo(line, err=True)


def _show(plan: Plan, *, details: bool, everything: bool, item: str | None) -> None:
    found: Iterator[str] = (
        lines(plan, details=details, everything=everything)
        if item is None
        else item_lines(plan, item)
    )
    show(found)


def _bill(plan: Plan) -> object:
    serial = uuid.UUID(bytes=SystemEntropy().token_bytes(16), version=4)
    return cyclonedx(plan, f"urn:uuid:{serial}", plan.made_at)


def _write_report(file: Path, plan: Plan, earlier: "PlanDocument | None") -> None:
    from watchword.apps.plan.html import MARK, report  # noqa: PLC0415

    since: tuple[str, ...] = ()
    if earlier is not None:
        from watchword.apps.plan.earlier import changes  # noqa: PLC0415

        since = changes(plan, earlier)
    try:
        replace_file(file, report(plan, since), MARK)
    except OutputFileError as error:
        raise click.BadParameter(printable(str(error)), param_hint="--html") from None
    click.echo(printable(f"Wrote {file}"), err=True)


def _write_for_management(file: Path, plan: Plan) -> None:
    from watchword.apps.plan.html import MARK  # noqa: PLC0415
    from watchword.apps.plan.management import management  # noqa: PLC0415

    try:
        replace_file(file, management(plan), MARK)
    except OutputFileError as error:
        raise click.BadParameter(printable(str(error)), param_hint="--management") from None
    click.echo(printable(f"Wrote {file}"), err=True)


def _refuse_together(
    forms: Mapping[str, object],
    earlier: "PlanDocument | None",
    fail_on: tuple[str, ...],
    *,
    details: bool,
) -> None:
    """Refuse what doesn't go together; an earlier plan is compared in words or as JSON."""
    given = [name for name, asked in forms.items() if asked]
    if len(given) > 1:
        raise click.UsageError(f"got several forms, expected one of {', '.join(forms)}")
    if earlier is None:
        if "worse" in fail_on:
            raise click.UsageError("got --fail-on worse, expected --since FILE with it")
        return
    others = [each for each in given if each != "--json"] + ["--details"] * details
    if others:
        raise click.UsageError(f"got --since with {others[0]}, expected it alone or with --json")


def _holds(plan: Plan, condition: str, earlier: "PlanDocument | None", *, unplanned: bool) -> bool:
    """Tell whether a condition of ``--fail-on`` holds.

    :param unplanned: some asset of the file isn't in the plan.
    """
    if condition == "unreadable":
        return plan.unreadable > 0
    if condition == "weak-route":
        return bool(weak_routes(plan.model.assets.values()))
    if unplanned:
        return True
    if condition == "worse":
        from watchword.apps.plan.earlier import is_worse_now  # noqa: PLC0415

        return earlier is not None and is_worse_now(earlier, plan)
    if condition == "open":
        return any(asset.now is Exposure.OPEN for asset in plan.assets)
    # An asset that nobody reaches counts too: nothing protects it, somebody only struck its paths.
    return any(asset.now is not Exposure.CLOSED for asset in plan.assets)


def _question(settings: PlanSettings, limit: int | None, what_if: tuple[str, ...]) -> Question:
    """Return what is asked for.

    :param limit: in units of effort; left out, that of the file.
    :raises click.BadParameter: naming the protection that nobody knows, or that is taken both ways.
    """
    chosen: Mapping[str, set[str]] = {"+": set(), "-": set()}
    for text in what_if:
        sign, name = text[:1], text[1:]
        if sign not in chosen:
            got = f"got {text[:_MAX_SHOWN]!r}, expected +ID or -ID"
            raise click.BadParameter(got, param_hint="--what-if")
        chosen[sign].add(_protection(name, settings.catalogue, "--what-if"))
    if both := sorted(chosen["+"] & chosen["-"]):
        got = f"got +{both[0]} and -{both[0]}, expected one of the two"
        raise click.BadParameter(got, param_hint="--what-if")
    return Question(
        settings.budget if limit is None else limit, frozenset(chosen["+"]), frozenset(chosen["-"])
    )


def _item_of(name: str, listed: Collection[str], catalogue: Catalogue) -> str:
    """Return the id of the item that somebody asks for, however its case is written.

    :param listed: ids of the plan's items.
    :raises click.BadParameter: saying where else to look.
    """
    found = same_id(name, listed)
    if found is not None:
        return found
    key = _protection(name, catalogue, "--item", listed)
    got = f"got {key}, which isn't in this plan; `watchword plan catalogue {key}` says what it is"
    raise click.BadParameter(got, param_hint="--item")


def _by_name(name: str, catalogue: Catalogue, among: Collection[str]) -> str:
    """Return the first protection with this in its name, by id and name; empty where none has."""
    word = name[:_MAX_SHOWN].strip().casefold()
    found = [each for each in catalogue.protections.values() if each.id in among]
    named = (f"{each.id} ({each.name})" for each in found if word in each.name.casefold())
    return next(named, "") if len(word) >= _LEAST_OF_A_NAME else ""


def _protection(
    name: str, catalogue: Catalogue, option: str, hints: Collection[str] | None = None
) -> str:
    """Return the id of a protection.

    :param hints: ids of which the nearest is named; left out, all.
    :raises click.BadParameter: where there is none.
    """
    protections = catalogue.protections
    found = same_id(name, protections)
    if found is not None:
        return found
    technique = same_id(name, catalogue.techniques)
    if technique is not None:
        got = (
            f"got {technique}, which is an attack, expected a protection (PR-...); "
            f"`watchword plan catalogue {technique}` says what it is and what cuts it"
        )
        raise click.BadParameter(got, param_hint=option)
    among = protections if hints is None else hints
    near = _by_name(name, catalogue, among) or nearest_id(name, among)
    hint = f"did you mean {near}?" if near else "`watchword plan catalogue` lists them"
    got = f"got {name[:_MAX_SHOWN]!r}, expected a protection's id; {hint}"
    raise click.BadParameter(got, param_hint=option)


def catalogue_command(
    ctx: click.Context,
    *,
    entry: str | None,
    own: Path | None,
    check: bool,
    stix: tuple[Path, ...],
    maswe: Path | None,
    as_json: bool,
) -> None:
    """Show what attackers do and what protects against it."""
    if (stix or maswe) and not check:
        raise click.UsageError("--stix and --maswe say which ids there are: they go with --check")
    if check and entry:
        raise click.UsageError("--check looks at the whole catalogue, so that it takes no ID")
    config: Path = ctx.obj or Path("watchword.yaml")
    if own is None and (own := configured_catalogue(config)) is not None:
        click.echo(printable(f"note: with the entries of {own}, which {config} names"), err=True)
    catalogue = read_catalogue(own)
    if check:
        upstream = read_upstream(stix, maswe) if stix or maswe else maswe_1_0_0()
        good = _check(catalogue, upstream, as_json=as_json)
        ctx.exit(0 if good else EXIT_REFUSED)
    if entry:
        _show_entry(catalogue, _find(catalogue, entry), as_json=as_json)
    else:
        _list_entries(catalogue, as_json=as_json)


def _find(catalogue: Catalogue, entry: str) -> Technique | Protection:
    """Return the entry of an id, in whatever case it is written.

    :raises click.BadParameter: when there is none.
    """
    known = [*catalogue.techniques, *catalogue.protections]
    key = same_id(entry, known)
    if key is None:
        near = nearest_id(entry, known)
        hint = f"did you mean {near}? " if near else ""
        message = f"got {entry[:60]!r}, expected an id; {hint}Without ID all are listed."
        raise click.BadParameter(message, param_hint="ID")
    return catalogue.techniques.get(key) or catalogue.protections[key]


def _show_entry(catalogue: Catalogue, found: Technique | Protection, *, as_json: bool) -> None:
    if as_json:
        print_json(entry_as_dict(found))
    elif isinstance(found, Technique):
        show(technique_in_words(catalogue, found))
    else:
        show(protection_in_words(catalogue, found))


def _list_entries(catalogue: Catalogue, *, as_json: bool) -> None:
    if not as_json:
        show(entry_lines(catalogue))
        return
    for technique in catalogue.techniques.values():
        print_json(entry_as_dict(technique))
    for protection in catalogue.protections.values():
        print_json(entry_as_dict(protection))


def _check(catalogue: Catalogue, upstream: Upstream, *, as_json: bool) -> bool:
    """Print each id that isn't known upstream; tell whether there is none."""
    unknown = unknown_names(catalogue, upstream.live)
    for each in unknown:
        retired = each.name in upstream.retired.get(each.catalogue, ())
        state = "retired" if retired else "unknown"
        if as_json:
            members = {"catalogue": each.catalogue, "id": each.name, "state": state}
            print_json({**members, "entries": each.entries})
            continue
        line = f"{state}  {each.catalogue}  {each.name}, named by {', '.join(each.entries)}"
        show(hanging(line))
    used = names_used(catalogue)
    counts = [f"{other}: {len(used.get(other, ()))}" for other in sorted(upstream.live)]
    left = [other for other in used if other not in upstream.live]
    summary = f"ids checked: {', '.join(counts)}; {len(unknown)} unknown or retired"
    click.echo(summary, err=as_json)
    if left:
        click.echo(
            f"not checked, since no file says which there are: {', '.join(left)}", err=as_json
        )
    return not unknown
