"""Carry out ``watchword drill``: say what will be done, do it, show and record what came of it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_UNAVAILABLE, fail, print_json
from watchword.apps.terminal.paragraphs import printable
from watchword.reasons import WatchwordError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watchword.apps.drill.conducting import Prepared
    from watchword.apps.settings import ApiSettings, Settings
    from watchword.apps.settings.plan import PlanSettings
    from watchword.drill.outcome import Report

INTERRUPTED: Final = 130


def run(config: Path, options: dict[str, Any]) -> int:
    """Run the drill that the options describe; return the exit code."""
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.entropy import SystemEntropy
    from watchword.apps.drill.conducting import Orders, prepared
    from watchword.apps.drill.course import api_of
    from watchword.apps.logs import silence_logs
    from watchword.apps.settings import load_settings
    from watchword.drill.wire import TargetLostError

    silence_logs()
    settings = load_settings(config)
    api = api_of(settings, options["api"])
    signer = _observer(options["sign"])
    build = _build(options["build"])
    plan = _plan(config, signer)
    orders = Orders(
        target=options["target"],
        only=options["only"],
        without=options["without"],
        key=options["key"],
        named=options["address"],
        ca=options["ca"],
        rate=options["rate"],
        instance=options["instance"],
    )
    run_by = prepared(settings, api, orders, SystemClock(), SystemEntropy())
    try:
        report = _run(settings, api, run_by, options, plan)
    except TargetLostError as error:
        if not run_by.reach.loopback:
            raise
        raise TargetLostError(f"{error}; start it first: watchword up") from None
    _tell_of_the_end(run_by, report)
    recorded: list[int] = []
    kept = [lambda: recorded.append(_record(plan, report, signer, build))]
    faults = list(_faults_of([*kept, *_reports(report, options, config)]))
    if options["as_json"]:
        from watchword.apps.drill.document import document

        print_json({**document(report), "recorded": sum(recorded)})
    code = _code(report, options["fail_on"])
    return EXIT_UNAVAILABLE if faults and not report.interrupted else code


def _faults_of(steps: list[Callable[[], None]]) -> Iterator[Exception]:
    """Carry out all of what keeps a run's results, and tell of each step that fails: one full disk must not cost the rest."""
    for step in steps:
        try:
            step()
        except (OSError, WatchwordError) as error:
            fail(error)
            yield error


def _tell_of_the_end(run_by: "Prepared", report: "Report") -> None:
    from watchword.adapters.clock import SystemClock

    ends = run_by.agreement.expires
    if report.interrupted and ends is not None and ends <= SystemClock().now():
        click.echo("The consent ended while the drill ran: nothing more was sent.", err=True)


def _run(
    settings: "Settings",
    api: "ApiSettings",
    run_by: "Prepared",
    options: dict[str, Any],
    plan: "PlanSettings | None",
) -> "Report":
    from rich.console import Console

    from watchword.adapters.clock import SystemClock
    from watchword.adapters.entropy import SystemEntropy
    from watchword.apps.drill.announcement import Announcement
    from watchword.apps.drill.arena import open_stage
    from watchword.apps.drill.live import LiveView
    from watchword.apps.drill.running import Course, run_drill

    # What is read by machines goes to stdout alone; people see the run either way.
    console = Console(highlight=False, stderr=options["as_json"])
    view = LiveView(console, len(run_by.attacks))
    clock = SystemClock()
    course = Course(run_by.attacks, options["genuine"])
    assets = () if plan is None else tuple(plan.assets.values())
    with open_stage(settings, api, run_by.reach, clock, SystemEntropy(), assets) as stage:
        view.open(
            Announcement(
                target=run_by.url,
                loopback=run_by.reach.loopback,
                facts=stage.arena.facts,
                attacks=run_by.attacks,
                samples=stage.arena.samples,
                genuine=options["genuine"],
                rate=run_by.reach.rate,
                left_out=run_by.left_out,
            )
        )
        if not run_by.reach.loopback:
            _ask(run_by.url, yes=options["yes"])
        with view.running():
            report = run_drill(
                stage,
                course,
                run_by.url,
                loopback=run_by.on_this_machine,
                now=clock.now,
                told=view.show,
            )
    view.close(report, _names())
    return report


def _names() -> "Mapping[str, str]":
    """Return the names of the catalogue's protections by their ids, which nobody knows by heart."""
    from watchword.plan.catalogue.reading import load_catalogue

    return {name: each.name for name, each in load_catalogue().protections.items()}


def _ask(url: str, *, yes: bool) -> None:
    """Ask before anything is sent to another machine.

    :raises click.UsageError: where nobody can answer.
    :raises click.Abort: where somebody says no.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked; say --yes to attack another machine")
    click.confirm(printable(f"Attack {url}?"), abort=True, err=True)


def _observer(key: Path | None) -> Any:
    """Read the observer's key before anything is sent: a run whose results are lost is a run too many."""
    if key is None:
        return None
    from watchword.adapters.observations import read_observer_key

    return read_observer_key(key)


def _build(text: str | None) -> str | None:
    """Return the digest of the app's build, before anything is sent.

    :raises click.UsageError: when it is neither a digest nor a file that can be read.
    """
    if text is None:
        return None
    from watchword.apps.cli.observe.record import digest_of_build
    from watchword.apps.observations import ObservationError

    try:
        return digest_of_build(text)
    except ObservationError as error:
        raise click.UsageError(str(error)) from None


def _plan(config: Path, signer: Any) -> "PlanSettings | None":
    """Read the plan before anything is sent, None where the file has none.

    Its assets say what has to be guarded, and what is recorded is bound to the policy that the run began with.

    :raises ConfigurationError: for one with faults, and where there is none that could be signed for.
    """
    from watchword.apps.settings.plan import check_file, load_plan

    return check_file(config).plan if signer is None else load_plan(config)


def _reports(report: "Report", options: dict[str, Any], config: Path) -> list[Callable[[], None]]:
    """Return what writes each report that was asked for."""
    from watchword.apps.drill import html, junit, sarif
    from watchword.apps.output_files import replace_file
    from watchword.apps.reports.text import json_text

    file = None if config.is_absolute() else config
    made: dict[str, tuple[Callable[[], str], str]] = {
        "junit": (lambda: junit.junit(report), junit.MARK),
        "sarif": (lambda: json_text(sarif.sarif(report, file=file)), sarif.MARK),
        "html": (lambda: html.page(report, _names()), html.MARK),
    }

    def written(name: str) -> Callable[[], None]:
        text, mark = made[name]
        return lambda: replace_file(options[name], text(), mark)

    return [written(name) for name in made if options[name] is not None]


def _record(plan: "PlanSettings | None", report: "Report", signer: Any, build: str | None) -> int:
    """Append what was found to the plan's observations, signed; return how many there are."""
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.observations import ObservationsFile
    from watchword.apps.drill.recording import observations_of
    from watchword.apps.observations import Observers, sign, verify
    from watchword.observations import Vouched

    if plan is None or signer is None:
        click.echo("Nothing is recorded: --sign KEY records it for the plan.", err=True)
        return 0
    found = observations_of(
        report,
        SystemClock().now(),
        build=build,
        generation=plan.generations.get(report.facts.api or ""),
    )
    lines = [sign(each, signer) for each in found]
    file = ObservationsFile(plan.observations)
    for line in lines:
        file.append(line)
    observers = Observers.of(plan.observers)
    if lines and not isinstance(verify(lines[0], observers), Vouched):
        click.echo(
            "warning: no observer under plan.observers has this key; what is good counts as a claim",
            err=True,
        )
    click.echo(printable(f"Recorded {len(lines)} observations in {plan.observations}."), err=True)
    return len(lines)


def _code(report: "Report", conditions: tuple[str, ...]) -> int:
    from watchword.apps.drill.failing import failed

    reasons = failed(report, conditions)
    for reason in reasons:
        click.echo(printable(f"failed: {reason}"), err=True)
    if report.interrupted:
        return INTERRUPTED
    return EXIT_REFUSED if reasons else 0
