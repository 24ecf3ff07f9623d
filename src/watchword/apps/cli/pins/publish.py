"""Sign and publish a set, unless it would lock apps out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.console import EXIT_REFUSED, print_json
from watchword.apps.cli.pins.options import CA, RESOLVE, TIMEOUT

if TYPE_CHECKING:
    from watchword.apps.pins.publishing import Judged, Published


@click.command(
    epilog='Example: watchword pins publish, or at 3 a.m.: watchword pins publish --force --reason "key stolen, backup is live, '
    'new backup comes tomorrow"'
)
@click.option("--app", "apps", multiple=True, metavar="NAME", help="Only this app; several times.")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be published, and what is in the way."
)
@click.option(
    "--force", is_flag=True, help="Publish although something that can be forced is in the way."
)
@click.option("--reason", metavar="TEXT", help="Why, with --force: it stands in the log for good.")
@click.option("--actor", metavar="NAME", help="Who does it; left out: the user and the machine.")
@click.option(
    "--above",
    type=click.IntRange(0, 2**53 - 2),
    default=0,
    help="A version that apps may have seen, after a workspace was lost.",
)
@RESOLVE
@CA
@TIMEOUT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool, **options: Any) -> None:
    """Look at the servers, make the set of each app, and publish it: the service hands it out from then on.

    Refused is what would lock out the live key or a supported app version, has no backup, or wasn't reported on first.  Forcing
    needs a reason, which is kept with your name in a log that can't be edited unseen.  All apps are published, or none.
    """
    from watchword.adapters.clock import SystemClock
    from watchword.adapters.pin_workspace import who_runs
    from watchword.apps.cli.paragraphs import show
    from watchword.apps.cli.pins.options import vantage_of
    from watchword.apps.pins.publishing import Order, publish

    if options["force"] != bool((options["reason"] or "").strip()):
        raise click.UsageError("--force and --reason go together: what is forced is written down")
    order = Order(options["apps"], options["reason"], options["above"])
    published = publish(
        ctx.obj,
        order,
        vantage_of(options),
        SystemClock().timestamp(),
        options["actor"] or who_runs(),
        dry=options["dry_run"],
    )
    if as_json:
        print_json(_members(published))
    else:
        show(_lines(published, dry=options["dry_run"], forced=options["force"]))
    if any(each.permit is None for each in published.judged):
        ctx.exit(EXIT_REFUSED)


def _members(published: "Published") -> dict[str, Any]:
    return {
        "published": published.done,
        "sets": [
            {
                "app": each.draft.app,
                "version": each.draft.version,
                "hard_expiry": each.draft.hard_expiry,
                "changes": list(each.changes),
                "permitted": each.permit is not None,
                "forced": each.permit is not None and bool(each.permit.forced),
                "objections": [
                    {
                        "reason": found.reason.code,
                        "host": found.host,
                        "text": found.text,
                        "blocks": found.blocks,
                        "forceable": found.forceable,
                    }
                    for found in each.against
                ],
            }
            for each in published.judged
        ],
    }


def _lines(published: "Published", *, dry: bool, forced: bool) -> Iterator[str]:
    for each in published.judged:
        yield from _of_app(each, done=published.done, dry=dry)
    if (
        published.done
        and forced
        and not any(each.permit and each.permit.forced for each in published.judged)
    ):
        yield "Nothing had to be forced."
    if published.done or all(each.permit is not None for each in published.judged):
        return
    final = any(
        found.blocks and not found.forceable for each in published.judged for found in each.against
    )
    if final:
        yield "Nothing is published. What no app would take can't be forced."
    else:
        yield 'Nothing is published. If it must be: watchword pins publish --force --reason "why"'


def _of_app(judged: "Judged", *, done: bool, dry: bool) -> Iterator[str]:
    from watchword.apps.cli.paragraphs import wrapped
    from watchword.apps.pins.words import day

    draft = judged.draft
    for found in judged.against:
        first = "note" if not found.blocks else "FORCED" if judged.permit else "refused"
        where = f"{found.host}: " if found.host else ""
        yield from wrapped(
            f"{draft.app}: {where}{found.text} ({found.reason.code})", first=first, indent=8
        )
    changes = "; ".join(judged.changes) or "nothing but its times"
    verb = (
        "published" if done else "would be published" if dry and judged.permit else "not published"
    )
    yield from wrapped(f"{draft.app}: version {draft.version} {verb}. Changed: {changes}.")
    if done:
        hosts = ", ".join(f"{each.host} ({each.mode})" for each in draft.hosts)
        yield from wrapped(
            f"Apps look again from {day(draft.soft_expiry)} on and enforce until {day(draft.hard_expiry)}: {hosts}.",
            indent=2,
        )
