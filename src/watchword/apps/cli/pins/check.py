"""Hold what is live against what is pinned."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.apps.cli.console import EXIT_REFUSED, EXIT_UNAVAILABLE, print_json
from watchword.apps.cli.pins.options import CA, FILE, RESOLVE, TIMEOUT

if TYPE_CHECKING:
    from watchword.apps.pins.bench import Bench
    from watchword.apps.pins.checking import Check

_MARKS: Final = {"bad": "BAD ", "warn": "warn", "note": "note"}


@click.command(epilog="Example: watchword pins check --fail-within 30d --sign ci.pem --api clinic")
@click.option("--app", metavar="NAME", help="Only this app; left out: all that pin hosts.")
@click.option(
    "--fail-within",
    metavar="DURATION",
    help="Exit with 1 also where a set, a certificate or the root list expires within: for CI.",
)
@RESOLVE
@CA
@TIMEOUT
@click.option("--offline", is_flag=True, help="Connect to nothing; look at the sets alone.")
@click.option("--sign", type=FILE, help="Record what is found, signed by this observer's key.")
@click.option("--api", metavar="NAME", help="Which API of watchword.yaml it is, with --sign.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, /, *, app: str | None, as_json: bool, **options: Any) -> None:
    """Shake hands with each pinned host, at every address of it, and hold its key against the published set and the draft.

    Nothing but the handshake is sent.  From other vantage points: run it there too, or name addresses with --resolve.

    Exit code 0: as it should be.  1: something is bad.  3: nothing is bad, but a host can't be reached.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.apps.cli.paragraphs import show
    from watchword.apps.cli.pins.options import duration, vantage_of
    from watchword.apps.cli.pins.recording import Recorder
    from watchword.apps.pins.bench import open_bench
    from watchword.apps.pins.checking import check
    from watchword.apps.pins.looking import look_at

    if (options["sign"] is None) != (options["api"] is None):
        raise click.UsageError("--sign and --api go together: whose key, and what it is about")
    if options["offline"] and options["sign"] is not None:
        raise click.UsageError("--sign needs to look: leave out --offline")
    within = duration(options["fail_within"], "--fail-within") if options["fail_within"] else None
    # What is needed to record is read first: a check whose results are lost is one too many.
    recorder = Recorder(ctx.obj, options["sign"], options["api"]) if options["sign"] else None
    bench = open_bench(ctx.obj)
    apps = bench.file.pins.apps if app is None else (bench.app_named(app),)
    vantage = vantage_of(options)
    hosts = bench.file.pins.looked_at(apps, vantage.named)
    looks = {} if options["offline"] else look_at(hosts, vantage)
    found = check(bench, apps, looks, SystemClock().timestamp(), within)
    recorded = 0 if recorder is None else recorder.record(found, SystemClock().now(), within)
    if as_json:
        print_json({**members(found), "recorded": recorded})
    else:
        show(_lines(bench, found, options=options))
    ctx.exit(code_of(found))


def code_of(found: "Check") -> int:
    """Return the exit code: what is bad goes before what couldn't be looked at."""
    from watchword.apps.pins.checking import Weight

    bad = [each.code for each in found.of(Weight.BAD)]
    if not bad:
        return 0
    return EXIT_UNAVAILABLE if set(bad) == {"unreachable"} else EXIT_REFUSED


def members(found: "Check") -> dict[str, Any]:
    """Return a check for scripts."""
    from watchword.pins.interface import Pin, PinRole

    return {
        "findings": [asdict(each) for each in found.findings],
        "hosts": {
            host: [
                {
                    "place": sight.place,
                    "chain": [str(Pin(spki, PinRole.CURRENT)) for spki in sight.chain],
                    "not_after": int(sight.not_after),
                    "fault": sight.fault,
                }
                for sight in look.sights
            ]
            for host, look in found.looks.items()
        },
        "published": {
            app: None
            if each is None
            else {"version": each.version, "hard_expiry": each.hard_expiry}
            for app, each in found.published.items()
        },
    }


def _lines(bench: "Bench", found: "Check", *, options: dict[str, Any]) -> Iterator[str]:
    from watchword.apps.cli.paragraphs import wrapped
    from watchword.apps.pins.checking import Weight
    from watchword.apps.pins.words import day

    for host, look in found.looks.items():
        roles = {
            key.pin.spki: key.pin.role.value
            for key in bench.pinned.of(bench.file.pins.standing_for(host))
        }
        for sight in look.sights:
            role = next((roles[spki] for spki in sight.chain if spki in roles), "not pinned")
            holds = "holds" if sight.fault is None else "does not hold"
            yield f"{host} at {sight.place}: {role}, chain {holds}, certificate until {day(sight.not_after)}"
    for app, each in found.published.items():
        if each is not None:
            yield f"{app}: version {each.version}, enforced until {day(each.hard_expiry)}"
    for finding in found.findings:
        yield from wrapped(
            f"{finding.subject}: {finding.text}", first=_MARKS[finding.weight.value], indent=6
        )
        if finding.todo:
            yield from wrapped(f"-> {finding.todo}", indent=6)
    if not found.of(Weight.BAD, Weight.WARN):
        looked = "" if not options["offline"] else ", as far as can be told offline"
        yield f"All is as it should be{looked}."
