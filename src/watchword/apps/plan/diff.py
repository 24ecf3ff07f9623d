"""Say how one plan differs from another."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_USAGE, print_json
from watchword.apps.terminal.paragraphs import hanging, printable, show

if TYPE_CHECKING:
    from watchword.apps.plan.stored import StoredPlan

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(
    epilog="Example: watchword plan diff plan-of-march.json plan-of-today.json",
    short_help="Say how the plan NEW differs from the plan OLD.",
)
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, *, old: Path, new: Path, as_json: bool) -> None:
    """Say how the plan NEW differs from the plan OLD: files that `watchword plan --json` wrote.

    Items that came, went or moved, and how assets and paths stand; with what changed beneath them:
    evidence, impacts, efforts, the budget.  When a plan was made doesn't count.

    Exit code 0: they are the same.  1: they differ.  2: a file can't be read, or is no plan.
    """
    from watchword.apps.plan.differences import compare_stored
    from watchword.apps.plan.stored import PlanDocumentError

    try:
        plans = read_file(old), read_file(new)
    except PlanDocumentError as error:
        click.echo(printable(f"error: {error}"), err=True)
        ctx.exit(EXIT_USAGE)
    found = compare_stored(*plans)
    if as_json:
        print_json(found.as_dict())
    else:
        for line in found.lines():
            show(hanging(line))
    ctx.exit(EXIT_REFUSED if found.any else 0)


def read_file(path: Path) -> "StoredPlan":
    """Return the plan in a file.

    :raises PlanDocumentError: naming the file.
    """
    from watchword.apps.plan.stored import MAX_BYTES, PlanDocumentError, parse, read

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return read(parse(data))
    except OSError as error:
        raise PlanDocumentError(f"{path}: {error.strerror or error}") from None
    except PlanDocumentError as error:
        raise PlanDocumentError(f"{path}: {error}") from None
