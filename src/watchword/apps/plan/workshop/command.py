"""Run `watchword plan workshop`: the plan's questions as pages in the browser, on this machine alone."""

import webbrowser
from pathlib import Path
from typing import Final

import click

from watchword.adapters.answer_journal import AnswerJournal
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.plan.workshop import ends, pages
from watchword.apps.plan.workshop.session import Workshop, journal_directory
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.process import serve, until_signal
from watchword.apps.web.access import Access
from watchword.apps.web.frame import page_app
from watchword.apps.web.kit import Kit
from watchword.apps.web.serving import serve_pages

PACKAGE: Final = "watchword.apps.plan.workshop"


def workshop_command(ctx: click.Context, /, *, port: int, no_browser: bool, as_json: bool) -> None:
    """Serve the workshop of one file until it is stopped."""
    serve(_run(ctx.obj or Path("watchword.yaml"), port, browser=not no_browser, as_json=as_json))


async def _run(file: Path, port: int, *, browser: bool, as_json: bool) -> None:
    stop = until_signal()
    journal = AnswerJournal(journal_directory(file), file)
    try:
        workshop = Workshop(file, journal, SystemClock())
        access = Access.random(SystemEntropy())
        kit = Kit(access, PACKAGE)
        app = page_app(
            [*pages.routes(workshop, kit), *ends.routes(workshop, kit)],
            access=access,
            kit=kit,
            uploads=pages.UPLOADS,
        )

        def ready(url: str) -> None:
            journal.announce(url.partition("?")[0])
            _tell(file, url, as_json=as_json)

        await serve_pages(
            app, access, stop, port=port, ready=ready, opener=webbrowser.open if browser else None
        )
        if not as_json:
            _tell_end(workshop)
    finally:
        journal.close()


def _tell(file: Path, url: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(file), "url": url})
        return
    click.echo(
        f"The workshop on {file} is open to whoever has this address, on this machine alone:"
    )
    click.echo(f"  {url}")
    click.echo(
        "Each answer is kept at once; Ctrl-C ends it, and the next start goes on from there."
    )


def _tell_end(workshop: Workshop) -> None:
    state = workshop.state()
    if state.unsaved:
        click.echo(
            f"Ended. {workshop.file} hasn't all answers yet: they are kept, and offered at the next start."
        )
    else:
        click.echo(f"Ended. {workshop.file} has every answer.")
