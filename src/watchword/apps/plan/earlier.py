"""Read a plan that was stored, and say what changed since: ``watchword plan diff`` and ``--since``."""

from pathlib import Path

import click

from watchword.apps.plan.differences import (
    change_lines,
    compare,
    is_worse,
    since_as_dict,
    since_lines,
)
from watchword.apps.plan.document import (
    MAX_BYTES,
    PlanDocument,
    PlanDocumentError,
    members_of,
    parse,
    read,
)
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_USAGE, print_json
from watchword.apps.terminal.paragraphs import hanging, printable, show
from watchword.plan.outcome import Plan


def diff_command(ctx: click.Context, *, old: Path, new: Path, as_json: bool) -> None:
    """Say how the plan NEW differs from the plan OLD."""
    try:
        plans = read_file(old), read_file(new)
    except PlanDocumentError as error:
        click.echo(printable(f"error: {error}"), err=True)
        ctx.exit(EXIT_USAGE)
    found = compare(*plans)
    if as_json:
        print_json(found.as_dict())
    else:
        for line in found.lines():
            show(hanging(line))
    ctx.exit(EXIT_REFUSED if found.any else 0)


def read_file(path: Path) -> PlanDocument:
    """Return the plan in a file.

    :raises PlanDocumentError: naming the file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return read(parse(data))
    except OSError as error:
        raise PlanDocumentError(f"{path}: {error.strerror or error}") from None
    except PlanDocumentError as error:
        raise PlanDocumentError(f"{path}: {error}") from None


def read_earlier(file: Path) -> PlanDocument:
    """Return the plan in the file of ``--since``.

    :raises click.BadParameter: naming the file, where it can't be read or is none.
    """
    try:
        return read_file(file)
    except PlanDocumentError as error:
        raise click.BadParameter(printable(str(error))) from None


def show_since(plan: Plan, earlier: PlanDocument, *, as_json: bool, everything: bool) -> None:
    """Print what changed since an earlier plan, beside what is first now."""
    now = members_of(plan)
    found = compare(earlier, now)
    if as_json:
        print_json(since_as_dict(earlier, now, found))
        return
    for line in since_lines(plan, earlier, now, found, everything=everything):
        show(hanging(line))


def changes(plan: Plan, earlier: PlanDocument) -> tuple[str, ...]:
    """Return what changed since an earlier plan, for a page that has the rest: a heading, and lines below it."""
    now = members_of(plan)
    return tuple(change_lines(plan, earlier, now, compare(earlier, now), everything=False))


def is_worse_now(earlier: PlanDocument, plan: Plan) -> bool:
    """Tell whether anything is worse in a plan than in an earlier one."""
    return is_worse(earlier, members_of(plan))
