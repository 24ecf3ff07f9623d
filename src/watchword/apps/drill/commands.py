"""Run what :mod:`watchword.apps.drill.cli` declares."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from watchword.adapters.drill_wire import (
    AddressError,
    parse_target,
    read_drill_jwk,
    write_drill_key,
)
from watchword.adapters.observations import ObservationsFile
from watchword.adapters.observer_keys import read_observer_key
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.drill.harness import open_harness
from watchword.apps.drill.invited_instance import enrolled, reserve, write_instance
from watchword.apps.drill.preparation import Prepared, RunOptions, prepared
from watchword.apps.drill.reports import (
    HTML_MARK,
    JUNIT_MARK,
    SARIF_MARK,
    document,
    failed,
    html_page,
    junit,
    sarif,
)
from watchword.apps.drill.run import observations_of, run_drill
from watchword.apps.drill.run_plan import RunPlan, api_of, attacks_of, urls_of
from watchword.apps.drill.terminal import Announcement, LiveView
from watchword.apps.observations.commands import digest_of_build
from watchword.apps.observations.document import ObservationError, Observers, sign, verify
from watchword.apps.reports.text import json_text
from watchword.apps.settings.load import check_file, load_settings
from watchword.apps.settings.plan import PlanSettings, load_plan
from watchword.apps.settings.schema import ApiSettings, Settings
from watchword.apps.terminal.console import (
    EXIT_REFUSED,
    EXIT_UNAVAILABLE,
    EXIT_USAGE,
    fail,
    print_json,
)
from watchword.apps.terminal.key_pairs import make_pair
from watchword.apps.terminal.output import OutputFileError, replace_file
from watchword.apps.terminal.paragraphs import printable, show, wrapped
from watchword.apps.terminal.parameters import seconds_of
from watchword.apps.terminal.process import mute_logs
from watchword.drill.consent import ALL, MAX_AHEAD, PATH, Consent, ConsentError, written_consent
from watchword.drill.interface import NEEDED, Attack
from watchword.drill.judgements import Report
from watchword.drill.registry import ATTACKS
from watchword.drill.wire import Part, TargetLostError
from watchword.observations import Vouched
from watchword.plan.catalogue import load_catalogue
from watchword.reasons import WatchwordError
from watchword.tokens.jose import thumbprint


def command(ctx: click.Context, /, **options: Any) -> None:
    """Attack your own deployment with the scripts that the plan worries about."""
    if ctx.invoked_subcommand is None:
        ctx.exit(_drill(ctx.obj, options))


INTERRUPTED: Final = 130


def _drill(config: Path, options: dict[str, Any]) -> int:
    """Run the drill that the options describe; return the exit code."""
    mute_logs()
    settings = load_settings(config)
    api = api_of(settings, options["api"])
    signer = _observer(options["sign"])
    build = _build(options["build"])
    plan = _plan(config, signer)
    orders = RunOptions(
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
        if not run_by.targets.loopback:
            raise
        raise TargetLostError(f"{error}; start it first: watchword up") from None
    _tell_of_the_end(run_by, report)
    recorded: list[int] = []
    kept = [lambda: recorded.append(_record(plan, report, signer, build))]
    faults = list(_faults_of([*kept, *_reports(report, options, config)]))
    if options["as_json"]:
        print_json({**document(report), "recorded": sum(recorded)})
    code = _code(report, options["fail_on"])
    if not faults or report.interrupted:
        return code
    wrong = all(isinstance(each, OutputFileError) for each in faults)
    return EXIT_USAGE if wrong else EXIT_UNAVAILABLE


def _faults_of(steps: list[Callable[[], None]]) -> Iterator[Exception]:
    """Carry out all of what keeps a run's results, and tell of each step that fails: one full disk must not cost the rest."""
    for step in steps:
        try:
            step()
        except (OSError, WatchwordError) as error:
            fail(error)
            yield error


def _tell_of_the_end(run_by: Prepared, report: Report) -> None:

    ends = run_by.agreement.expires
    if report.interrupted and ends is not None and ends <= SystemClock().now():
        click.echo("The consent ended while the drill ran: nothing more was sent.", err=True)


def _run(
    settings: Settings,
    api: ApiSettings,
    run_by: Prepared,
    options: dict[str, Any],
    plan: PlanSettings | None,
) -> "Report":

    # What is read by machines goes to stdout alone; people see the run either way.
    console = Console(highlight=False, stderr=options["as_json"])
    view = LiveView(console, len(run_by.attacks))
    clock = SystemClock()
    course = RunPlan(run_by.attacks, options["genuine"])
    assets = () if plan is None else tuple(plan.assets.values())
    with open_harness(settings, api, run_by.targets, clock, SystemEntropy(), assets) as stage:
        view.open(
            Announcement(
                target=run_by.url,
                loopback=run_by.targets.loopback,
                facts=stage.context.facts,
                attacks=run_by.attacks,
                samples=stage.context.samples,
                genuine=options["genuine"],
                rate=run_by.targets.rate,
                left_out=run_by.left_out,
            )
        )
        if not run_by.targets.loopback:
            _ask(run_by.url, yes=options["yes"])
        with view.running():
            report = run_drill(
                stage,
                course,
                run_by.url,
                loopback=run_by.on_this_machine,
                now=clock.now,
                on_result=view.show,
            )
    view.close(report, _names())
    return report


def _names() -> "Mapping[str, str]":
    """Return the names of the catalogue's protections by their ids, which nobody knows by heart."""
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

    return read_observer_key(key)


def _build(text: str | None) -> str | None:
    """Return the digest of the app's build, before anything is sent.

    :raises click.UsageError: when it is neither a digest nor a file that can be read.
    """
    if text is None:
        return None

    try:
        return digest_of_build(text)
    except ObservationError as error:
        raise click.UsageError(str(error)) from None


def _plan(config: Path, signer: Any) -> "PlanSettings | None":
    """Read the plan before anything is sent, None where the file has none.

    Its assets say what has to be guarded, and what is recorded is bound to the policy that the run began with.

    :raises ConfigurationError: for one with faults, and where there is none that could be signed for.
    """
    return check_file(config).plan if signer is None else load_plan(config)


def _reports(report: Report, options: dict[str, Any], config: Path) -> list[Callable[[], None]]:
    """Return what writes each report that was asked for."""
    file = None if config.is_absolute() else config
    made: dict[str, tuple[Callable[[], str], str]] = {
        "junit": (lambda: junit(report), JUNIT_MARK),
        "sarif": (lambda: json_text(sarif(report, file=file)), SARIF_MARK),
        "html": (lambda: html_page(report, _names()), HTML_MARK),
    }

    def written(name: str) -> Callable[[], None]:
        text, mark = made[name]
        return lambda: replace_file(options[name], text(), mark)

    return [written(name) for name in made if options[name] is not None]


def _record(plan: PlanSettings | None, report: Report, signer: Any, build: str | None) -> int:
    """Append what was found to the plan's observations, signed; return how many there are."""
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


def _code(report: Report, conditions: tuple[str, ...]) -> int:

    reasons = failed(report, conditions)
    for reason in reasons:
        click.echo(printable(f"failed: {reason}"), err=True)
    if report.interrupted:
        return INTERRUPTED
    return EXIT_REFUSED if reasons else 0


def attacks_command(*, attack: str | None, as_json: bool) -> None:
    """List the attacks of the drill, or show one: what is sent, what must happen, what it can't detect."""
    chosen = attacks_of([attack] if attack else [], [])
    if as_json:
        print_json([_members(each) for each in chosen])
    elif attack is not None and len(chosen) == 1:
        _show(chosen[0])
    else:
        width = max(len(each.id) for each in chosen)
        for each in chosen:
            show(wrapped(each.title, first=each.id, indent=width + 2))


def _members(attack: Attack) -> dict[str, Any]:
    return {
        "id": attack.id,
        "title": attack.title,
        "techniques": list(attack.techniques),
        "protections": dict(attack.protections),
        "needs": [need.value for need in attack.needs],
        "sends": attack.sends,
        "must": attack.must,
        "blind": attack.blind,
        "exploits": attack.exploits,
        "variants": [
            {"name": each.name, "expected": sorted(reason.code for reason in each.expected)}
            for each in attack.variants
        ],
    }


def _show(attack: Attack) -> None:

    show(wrapped(f"{attack.id}: {attack.title}"))
    rows = [
        ("technique", ", ".join(attack.techniques)),
        ("tests", ", ".join(f"{name} ({key})" for name, key in attack.protections.items())),
        ("needs", "; ".join(NEEDED[need] for need in attack.needs) or "nothing"),
        ("sent", attack.sends),
        ("must", attack.must),
        ("can't tell", attack.blind),
    ]
    for name, text in rows:
        for line in click.wrap_text(text, 76).splitlines():
            click.echo(f"  {name:<11} {line}")
            name = ""  # noqa: PLW2901 - named once.
    click.echo("  variants")
    for variant in attack.variants:
        expected = " or ".join(sorted(reason.code for reason in variant.expected)) or "any refusal"
        click.echo(f"    {variant.name:<32} {expected}")


def keygen_command(*, output: Path, public: Path | None, as_json: bool) -> None:
    """Make a key pair: a private key that the drill signs with, a public one for the owner of the target."""
    made = make_pair(output, public, write_drill_key, as_json=as_json)
    if made is None:
        return
    click.echo(f"{output}: the private key, for the drill alone (mode 0600): --key {output}")
    click.echo(f"{made}: the public key, for the owner of the target, who agrees with:")
    click.echo(f"\n  watchword drill consent --key {made} --origin https://api.example.com")


_KEYS = {"gate": "consent", "service": "service_consent"}


def consent_command(*, key: Path, as_json: bool, **options: Any) -> None:
    """Print the consent that a target's owner serves at /.well-known/watchword-drill of that target."""
    jwk = read_drill_jwk(key)
    consent = _composed(jwk, options)
    document = written_consent(consent)
    if as_json:
        print_json(json.loads(document))
        return
    click.echo(document.decode(), nl=False)
    # On stderr, since the document is sent into a file.
    click.echo(f"Serve it at {consent.origin}{PATH} as application/json.", err=True)
    keys = [key for part, key in _KEYS.items() if part in consent.parts]
    if keys:
        click.echo(
            f"Or put it into a file that watchword.yaml names, under drill: API: {' and '.join(keys)}.",
            err=True,
        )


def _composed(jwk: dict[str, str], options: dict[str, Any]) -> "Consent":
    """Return what was asked for; wrong usage where nobody could agree to that."""
    try:
        origin = parse_target(options["origin"]).text
    except AddressError as error:
        raise click.BadParameter(str(error), param_hint="--origin") from None
    attacks = None
    if options["attacks"].strip() != ALL:
        attacks = frozenset(filter(None, map(str.strip, options["attacks"].split(","))))
        unknown = sorted(attacks - ATTACKS.keys())
        if unknown or not attacks:
            got = ", ".join(unknown) or "no id"
            raise click.BadParameter(
                f"got {got}, expected ids of `watchword drill attacks`, or {ALL}",
                param_hint="--attacks",
            )
    ahead = timedelta(seconds=seconds_of(options["expires"], "--expires"))
    if ahead > MAX_AHEAD:
        raise click.BadParameter(
            f"got {options['expires']}, expected at most {MAX_AHEAD.days}d", param_hint="--expires"
        )
    consent = Consent(
        key=thumbprint(jwk),
        origin=origin,
        attacks=attacks,
        rate=options["rate"],
        expires=SystemClock().now() + ahead,
        parts=frozenset(map(Part, options["parts"])),
    )
    try:
        written_consent(consent)
    except ConsentError as error:
        raise click.UsageError(str(error)) from None
    return consent


_CODE: Final = re.compile(r"[!-~]{1,200}")


def enrol_command(
    ctx: click.Context,
    /,
    *,
    api: str | None,
    app: str,
    service: str | None,
    output: Path,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Enrol a test instance by the code of `watchword instances invite`, read from standard input."""
    settings = load_settings(ctx.obj)
    chosen = api_of(settings, api)
    if app not in chosen.apps:
        raise click.UsageError(f"--app: got {app!r}, expected one of: {', '.join(chosen.apps)}")
    code = "" if sys.stdin is None else sys.stdin.readline(256).strip()
    if _CODE.fullmatch(code) is None:
        # It isn't quoted: a slip at its end leaves the rest as good as it was.
        raise click.UsageError(
            "got no code on standard input; make one: watchword instances invite"
        )
    where = service or urls_of(settings, chosen, None)[Part.SERVICE]
    # First the file, then the code: once that is spent it can't be used for another try.
    reserve(output)
    try:
        instance = enrolled(settings, app, code, where, SystemClock(), ca)
        write_instance(output, instance)
    except BaseException:
        output.unlink(missing_ok=True)
        raise
    if as_json:
        print_json({"instance": instance.instance, "app": app, "file": output})
    else:
        click.echo(f"Enrolled {instance.instance} of {app}; its keys are in {output}.")
