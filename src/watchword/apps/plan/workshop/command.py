"""Run ``watchword plan workshop``: put the workshop together, and serve its pages until Ctrl-C."""

import webbrowser
from pathlib import Path
from typing import Final

import click

from watchword.adapters.answer_journal import AnswerJournal
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.apps.plan.workshop.pages import Pages
from watchword.apps.plan.workshop.session import Workshop, journal_directory
from watchword.apps.terminal.console import print_json
from watchword.apps.web.frame import page_app
from watchword.apps.web.kit import Kit
from watchword.apps.web.serving import loopback, new_access, serve
from watchword.plan.workshop import ConflictError

PACKAGE: Final = "watchword.apps.plan.workshop"
_CONFLICT: Final = 409


def workshop_command(ctx: click.Context, /, *, port: int, no_browser: bool, as_json: bool) -> None:
    """Serve the workshop."""
    file: Path = ctx.obj
    listening = loopback(port)
    journal = AnswerJournal(journal_directory(file), file)
    try:
        workshop = Workshop(file, journal, SystemClock())
        access = new_access(listening.getsockname()[1], SystemEntropy())
        kit = Kit(PACKAGE)
        app = page_app(
            Pages(workshop, kit).routes(), kit, access, errors={ConflictError: _CONFLICT}
        )
        journal.announce(access.address)

        def ready() -> None:
            if as_json:
                print_json({"url": access.invitation, "file": str(file)})
            else:
                click.echo(f"The workshop of {file} is at\n\n  {access.invitation}\n")
                click.echo(
                    "Nobody else gets in without this address. Ctrl-C ends it; answers that aren't saved stay."
                )
            if not (no_browser or as_json):
                webbrowser.open(access.invitation)

        serve(app, listening, ready)
        if workshop.state().unsaved and not as_json:
            click.echo(
                f"Not saved into {file} yet: the next `watchword plan workshop` has these answers."
            )
    finally:
        listening.close()
        journal.close()
