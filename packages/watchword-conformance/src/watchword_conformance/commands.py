"""Run what :mod:`watchword_conformance.cli` declares."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_UNAVAILABLE, fail, print_json
from watchword.apps.terminal.paragraphs import printable_lines
from watchword.vocabulary import ReplayMode
from watchword_conformance import deployment as deployments
from watchword_conformance.corpus import (
    NOTHING_DECLARED,
    Capabilities,
    Case,
    load_capabilities,
    load_corpus,
)
from watchword_conformance.deployment import DeploymentError
from watchword_conformance.runner import (
    NoTargetError,
    details_of_rows,
    row_as_json,
    run,
    table_of_rows,
)
from watchword_conformance.suites import results
from watchword_conformance.suites.interface import SuiteError, find
from watchword_conformance.upstream import Upstream

_SHOWN_EACH = 50


def setup(*, output: Path, replay: str, without: tuple[str, ...], as_json: bool) -> None:
    """Write a deployment for tests: fresh keys, secrets, and the signed bundle for the gate."""
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


def upstream(*, port: int, as_json: bool) -> None:
    """Be the API behind the gate: answer everything, remember what arrived."""

    async def serve() -> None:
        async with Upstream().listening(port=port) as api:
            address = f"http://127.0.0.1:{api.port}"
            print_json({"upstream": address}) if as_json else click.echo(f"listens at {address}")
            await asyncio.Event().wait()

    asyncio.run(serve())


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
    """Run the corpus against a gate."""
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
            print_json(row_as_json(row))
    else:
        click.echo(table_of_rows(rows))
        click.echo(details_of_rows(rows))
    if any(row.outcome == "differed" for row in rows):
        ctx.exit(EXIT_REFUSED)


def suites(ctx: click.Context, *, directory: Path, as_json: bool) -> None:
    """Run published hostile suites through Watchword's own parsers and verifiers."""
    shows = sys.stderr.isatty() and not as_json

    def progress(name: str, done: int) -> None:
        if shows and done % _SHOWN_EACH == 0:
            click.echo(f"\r\x1b[K{printable_lines(name)}: {done} cases", err=True, nl=False)

    try:
        found = results.run(find(directory), results.SUITES, progress)
    except SuiteError as error:
        raise click.UsageError(printable_lines(str(error))) from None
    if shows:
        click.echo("\r\x1b[K", err=True, nl=False)
    if not found.tallies:
        raise click.UsageError(f"no suite of a layout that is known is in {directory}")
    if as_json:
        for tally in found.tallies.values():
            print_json(results.as_json(tally))
    else:
        click.echo(printable_lines(f"{results.table(found)}\n{results.details(found)}"))
    if not found.good:
        ctx.exit(EXIT_REFUSED)


def _capabilities(engine: str | None) -> Capabilities:
    """Return what an engine declares, nothing for None."""
    engines = load_capabilities()
    if engine is not None and engine not in engines:
        raise click.BadParameter(
            f"got {engine!r}, expected one of {', '.join(engines)}", param_hint="--engine"
        )
    return NOTHING_DECLARED if engine is None else engines[engine]


def _cases(chosen: Sequence[str]) -> list[Case]:
    """Return the cases that are named, by themselves or by their group; all for none."""
    cases = [
        case
        for case in load_corpus().cases
        if not chosen or case.id in chosen or case.group in chosen
    ]
    if not cases:
        raise click.BadParameter(f"no case is called {', '.join(chosen)}", param_hint="--case")
    return cases
