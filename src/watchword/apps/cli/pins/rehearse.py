"""Play rotations and accidents through before they happen."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.apps.cli.console import EXIT_REFUSED, print_json
from watchword.apps.cli.pins.options import CA, RESOLVE, TIMEOUT

if TYPE_CHECKING:
    from watchword.apps.pins.rehearsing import Rehearsed
    from watchword.pins.rehearsal import Rehearsal

_COLUMN: Final = 22


@click.command(
    epilog="Example: watchword pins rehearse api.example.com --scenario lost-key, or in CI: watchword pins rehearse --fail-on renewal "
    "--fail-on swap-next --fail-on lost-key"
)
@click.argument("host", required=False)
@click.option("--app", metavar="NAME", help="Only this app.")
@click.option(
    "--scenario", "names", multiple=True, metavar="NAME", help="Only this one, step by step."
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="NAME",
    help="Exit with 1 where this scenario locks an installed app out; several times.",
)
@click.option(
    "--offline", is_flag=True, help="Connect to nothing: each host shows its current key."
)
@RESOLVE
@CA
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, /, *, host: str | None, as_json: bool, **options: Any) -> None:
    """Play rotations and accidents with the draft as if it were published and enforced: which installed apps survive.

    Renewal with the same key, planned swaps, changes of the authority, lost and stolen keys, expiry, rollback, freeze, wrong
    clocks.  Each app version of `watchword pins release` takes part twice: one phone fetches at every step, one never did.
    Nothing is changed anywhere.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.cli.paragraphs import show
    from watchword.apps.cli.pins.options import vantage_of
    from watchword.apps.pins.bench import open_bench
    from watchword.apps.pins.faults import PinsError
    from watchword.apps.pins.hosts import read_host
    from watchword.apps.pins.looking import look_at
    from watchword.apps.pins.rehearsing import rehearse_all, scenarios_named

    scenarios_named(options["fail_on"])
    scenarios = scenarios_named(
        [*options["names"], *(options["fail_on"] if options["names"] else ())]
    )
    bench = open_bench(ctx.obj)
    name = None if host is None else bench.host_named(read_host(host))
    apps = bench.file.pins.apps if options["app"] is None else (bench.app_named(options["app"]),)
    hosts = {
        app: [
            each
            for each in bench.file.pins.hosts_of(app)
            if (name is None and bench.pinned.of(each)) or each == name
        ]
        for app in apps
    }
    wanted = list(dict.fromkeys(each for found in hosts.values() for each in found))
    looks = {} if options["offline"] else look_at(wanted, vantage_of(options))
    now = SystemClock().timestamp()
    found = [
        each
        for app in apps
        if hosts[app]
        for each in rehearse_all(bench, app, hosts[app], looks, scenarios, now)
    ]
    if not found:
        raise PinsError("got no host with a pinned key, expected one: watchword pins add HOST")
    if as_json:
        print_json({"hosts": [_members(each) for each in found]})
    else:
        show(line for each in found for line in _lines(each, steps=bool(options["names"])))
    failed = [
        (each.host, rehearsal)
        for each in found
        for rehearsal in each.rehearsals
        if rehearsal.scenario.name in options["fail_on"] and rehearsal.locked_out
    ]
    for where, rehearsal in failed:
        click.echo(
            f"failed: {where}: {rehearsal.scenario.name} locks an installed app out", err=True
        )
    ctx.exit(EXIT_REFUSED if failed else 0)


def _members(found: "Rehearsed") -> dict[str, Any]:
    return {
        "app": found.app,
        "host": found.host,
        "assumed": found.assumed,
        "as_enforced": found.as_enforced,
        "scenarios": [
            {
                "name": each.scenario.name,
                "title": each.scenario.title,
                "possible": each.played is not None,
                "locked_out": list(each.locked_out),
                "steps": [
                    {
                        "title": played.step.title,
                        "attack": played.step.intercepts is not None,
                        "endings": {
                            phone: {
                                "outcome": ending.outcome.value,
                                "withheld": ending.withheld,
                                "refused": None if ending.refused is None else ending.refused.code,
                            }
                            for phone, ending in played.endings.items()
                        },
                    }
                    for played in each.played or ()
                ],
            }
            for each in found.rehearsals
        ],
    }


def _lines(found: "Rehearsed", *, steps: bool) -> Iterator[str]:
    notes = [
        "it wasn't seen, and is taken to show its current key" if found.assumed else "",
        "it only reports yet, and is rehearsed as if it were enforced" if found.as_enforced else "",
    ]
    told = "; ".join(filter(None, notes))
    yield f"{found.host}, {found.app}" + (f" ({told})" if told else "")
    for each in found.rehearsals:
        yield from _steps(each) if steps else _summary(each)


def _summary(rehearsal: "Rehearsal") -> Iterator[str]:
    from watchword.apps.cli.paragraphs import wrapped

    scenario = rehearsal.scenario
    if rehearsal.played is None:
        said = "can't happen here"
    elif rehearsal.locked_out:
        said = f"LOCKED OUT: {' and '.join(rehearsal.locked_out)}"
    else:
        said = "all are served"
    if _intercepted(rehearsal):
        said += f"; INTERCEPTED: {' and '.join(_intercepted(rehearsal))}"
    yield from wrapped(f"{scenario.title}: {said}", first=f"  {scenario.name}", indent=_COLUMN)


def _intercepted(rehearsal: "Rehearsal") -> list[str]:
    """Return the phones that an attacker's server got a connection of, secrets included."""
    from watchword.pins.rehearsal import Outcome

    found = [
        phone
        for played in rehearsal.played or ()
        if played.step.intercepts is not None
        for phone, ending in played.endings.items()
        if ending.outcome is not Outcome.REFUSED and not ending.withheld
    ]
    return list(dict.fromkeys(found))


def _steps(rehearsal: "Rehearsal") -> Iterator[str]:
    from watchword.apps.cli.paragraphs import wrapped

    yield from _summary(rehearsal)
    for number, played in enumerate(rehearsal.played or (), 1):
        attack = " [attack]" if played.step.intercepts is not None else ""
        yield from wrapped(f"{played.step.title}{attack}", first=f"    {number}.", indent=7)
        for phone, ending in played.endings.items():
            withheld = ", secrets withheld" if ending.withheld else ""
            why = f", took no set: {ending.refused.code}" if ending.refused is not None else ""
            yield from wrapped(
                f"{ending.outcome.value}{withheld}{why}", first=f"       {phone}", indent=34
            )
