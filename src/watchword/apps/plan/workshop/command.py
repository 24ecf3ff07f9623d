"""Run ``watchword plan workshop``: put the workshop together, and serve its pages until Ctrl-C."""

import threading
import webbrowser
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
from starlette.types import ASGIApp

from watchword.adapters.answer_journal import AnswerJournal
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.plan.workshop.pages import Pages
from watchword.apps.plan.workshop.session import Workshop, journal_directory
from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.process import serve
from watchword.apps.web.frame import Access, page_app
from watchword.apps.web.kit import Kit
from watchword.apps.web.serving import new_access, serve_pages

PACKAGE: Final = "watchword.apps.plan.workshop"


def workshop_command(ctx: click.Context, /, *, port: int, no_browser: bool, as_json: bool) -> None:
    """Serve the workshop."""
    serve(_run(ctx.obj, port, browser=not (no_browser or as_json), as_json=as_json))


async def _run(file: Path, port: int, *, browser: bool, as_json: bool) -> None:
    with ExitStack() as opened:
        journal = AnswerJournal(journal_directory(file), file)
        opened.callback(journal.close)
        workshop = Workshop(file, journal, SystemClock())
        opened.callback(workshop.close)
        kit = Kit(PACKAGE)
        access: list[Access] = []

        def made(listening: int) -> ASGIApp:
            access.append(new_access(listening, SystemEntropy()))
            journal.announce(access[0].address)
            routes = Pages(workshop, kit).routes()
            return page_app(routes, kit, access[0])

        def ready() -> None:
            _tell(file, access[0].invitation, as_json=as_json)
            if browser:
                # Some browsers' starters wait for the browser.
                threading.Thread(
                    target=webbrowser.open, args=(access[0].invitation,), daemon=True
                ).start()

        await serve_pages(port, made, ready)
        if workshop.state().unsaved and not as_json:
            click.echo(
                f"Not saved into {file} yet: the next `watchword plan workshop` has these answers."
            )


def _tell(file: Path, invitation: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": invitation, "file": str(file)})
        return
    click.echo(f"The workshop of {file} is at\n\n  {invitation}\n")
    click.echo(
        "Nobody else gets in without this address. Ctrl-C ends it; answers that aren't saved stay."
    )
