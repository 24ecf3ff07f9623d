"""Hold a gate to the conformance corpus."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_UNAVAILABLE, fail, print_json

if TYPE_CHECKING:
    from watchword.apps.conformance.capabilities import Capabilities
    from watchword.apps.conformance.corpus import Case

_SHOWN_EACH = 50
_DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.group(
    epilog="Example: watchword conformance gate --target http://127.0.0.1:8080 "
    "--upstream http://127.0.0.1:9900 --deployment conformance/"
)
def command() -> None:
    """Hold a gate to the corpus: hundreds of good and bad requests, and what must become of each.

    `setup` writes a deployment, whose bundle the gate under test loads; `upstream` is the API to put
    behind it; `gate` sends the requests, and compares what became of them with what must.

    `suites` needs no gate: it runs published hostile suites through Watchword's own parsers.
    """


@command.command(epilog="Example: watchword conformance setup -o conformance/")
@click.option("-o", "--output", type=_DIRECTORY, required=True, help="Where to write it.")
@click.option(
    "--replay",
    type=click.Choice(["local", "affine", "shared"]),
    default="local",
    show_default=True,
    help="How the gate keeps a proof from passing twice.",
)
@click.option("--without", multiple=True, help="A row that the gate's table shall not have.")
@click.option("--json", "as_json", is_flag=True, help="Print the files' names as JSON.")
def setup(*, output: Path, replay: str, without: tuple[str, ...], as_json: bool) -> None:
    """Write a deployment for tests: fresh keys, secrets, and the signed bundle for the gate.

    Whoever has the directory can sign for the gate that loads the bundle, in the lab environment
    alone.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.entropy import SystemEntropy
    from watchword.apps.conformance import deployment as deployments
    from watchword.apps.conformance.corpus import load_corpus
    from watchword.vocabulary import ReplayMode

    corpus = load_corpus()
    known = {row.name for row in corpus.routes}
    for name in without:
        if name not in known:
            raise click.BadParameter(
                f"got the row {name!r}, expected one of {', '.join(sorted(known))}",
                param_hint="--without",
            )
    made = deployments.make_deployment(
        SystemEntropy(), SystemClock().timestamp(), ReplayMode(replay), frozenset(without)
    )
    deployments.save(made, output)
    bundle, signer = deployments.publish(made, corpus, output)
    if as_json:
        print_json({"bundle": bundle, "signer": signer, "host": corpus.host})
        return
    click.echo(f"bundle for the gate: {bundle}\nkey that it is signed by: {signer}")


@command.command(epilog="Example: watchword conformance upstream --port 9900")
@click.option("--port", type=click.IntRange(0, 65535), default=9900, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON.")
def upstream(*, port: int, as_json: bool) -> None:
    """Be the API behind the gate: answer everything, remember what arrived.

    Listens at 127.0.0.1 until it is stopped; port 0 takes a free one.
    """
    import asyncio

    from watchword.apps.conformance.upstream import Upstream

    async def serve() -> None:
        async with Upstream().listening(port=port) as api:
            address = f"http://127.0.0.1:{api.port}"
            print_json({"upstream": address}) if as_json else click.echo(f"listens at {address}")
            await asyncio.Event().wait()

    asyncio.run(serve())


@command.command(
    epilog="Example: watchword conformance gate --target http://127.0.0.1:8080 "
    "--upstream http://127.0.0.1:9900 --deployment conformance/ --engine proxy"
)
@click.option("--target", required=True, metavar="URL", help="The gate under test.")
@click.option("--upstream", "api", required=True, metavar="URL", help="The API behind it.")
@click.option("--deployment", type=_DIRECTORY, required=True, help="What `setup` wrote.")
@click.option("--engine", help="Take what this engine declares into account.")
@click.option("--case", "chosen", multiple=True, metavar="ID", help="This case or group alone.")
@click.option("--json", "as_json", is_flag=True, help="Print a row of JSON for each case.")
@click.pass_context
def gate(
    ctx: click.Context,
    *,
    target: str,
    api: str,
    deployment: Path,
    engine: str | None,
    chosen: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the corpus against a gate.

    Exit code 0: everything is as it must be, or as the engine declares.  1: something differs.  3: no
    gate, or no conformance upstream, answers.
    """
    import asyncio
    import sys

    from watchword.apps.conformance import report
    from watchword.apps.conformance.deployment import DeploymentError
    from watchword.apps.conformance.runner import NoTargetError
    from watchword.apps.conformance.runs import run

    capabilities, cases = _capabilities(engine), _cases(chosen)
    shows = sys.stderr.isatty() and not as_json

    def progress(done: int) -> None:
        if shows:
            click.echo(f"\r{done} of {len(cases)} cases", err=True, nl=done == len(cases))

    try:
        rows = asyncio.run(
            run(deployment, target, api, capabilities, cases=cases, progress=progress)
        )
    except (ValueError, DeploymentError) as error:
        raise click.UsageError(str(error)) from None
    except NoTargetError as error:
        fail(error)
        ctx.exit(EXIT_UNAVAILABLE)
    if as_json:
        for row in rows:
            print_json(report.as_json(row))
    else:
        click.echo(report.table(rows))
        click.echo(report.details(rows))
    if any(row.outcome == "differed" for row in rows):
        ctx.exit(EXIT_REFUSED)


@command.command(epilog="Example: watchword conformance suites wycheproof/")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print a row of JSON for each set.")
@click.pass_context
def suites(ctx: click.Context, *, directory: Path, as_json: bool) -> None:
    """Run published hostile suites through Watchword's own parsers and verifiers.

    DIRECTORY holds them as they are published, at any depth and in tar archives too: JSONTestSuite,
    Wycheproof, structured-field-tests, x509-limbo and others (docs/hostile-suites.md). They are told
    by their layout.

    Exit code 0: every case was rejected or accepted as it must be, or is outside of the profile.
    1: one was wrongly accepted or rejected, or raised an exception that is no refusal.
    """
    import sys

    from watchword.apps.conformance.suites import report
    from watchword.apps.conformance.suites.files import SuiteError, find
    from watchword.apps.conformance.suites.judging import run
    from watchword.apps.conformance.suites.registry import SUITES
    from watchword.apps.terminal.paragraphs import printable_lines

    shows = sys.stderr.isatty() and not as_json

    def progress(name: str, done: int) -> None:
        if shows and done % _SHOWN_EACH == 0:
            click.echo(f"\r\x1b[K{printable_lines(name)}: {done} cases", err=True, nl=False)

    try:
        found = run(find(directory), SUITES, progress)
    except SuiteError as error:
        raise click.UsageError(printable_lines(str(error))) from None
    if shows:
        click.echo("\r\x1b[K", err=True, nl=False)
    if not found.tallies:
        raise click.UsageError(f"no suite of a layout that is known is in {directory}")
    if as_json:
        for tally in found.tallies.values():
            print_json(report.as_json(tally))
    else:
        click.echo(printable_lines(f"{report.table(found)}\n{report.details(found)}"))
    if not found.good:
        ctx.exit(EXIT_REFUSED)


def _capabilities(engine: str | None) -> "Capabilities":
    """Return what an engine declares, nothing for None."""
    from watchword.apps.conformance.capabilities import NOTHING_DECLARED, load_capabilities

    engines = load_capabilities()
    if engine is not None and engine not in engines:
        raise click.BadParameter(
            f"got {engine!r}, expected one of {', '.join(engines)}", param_hint="--engine"
        )
    return NOTHING_DECLARED if engine is None else engines[engine]


def _cases(chosen: Sequence[str]) -> "list[Case]":
    """Return the cases that are named, by themselves or by their group; all for none."""
    from watchword.apps.conformance.corpus import load_corpus

    cases = [
        case
        for case in load_corpus().cases
        if not chosen or case.id in chosen or case.group in chosen
    ]
    if not cases:
        raise click.BadParameter(f"no case is called {', '.join(chosen)}", param_hint="--case")
    return cases
