"""List the rules, or show one of them."""

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import printable, show, wrapped

if TYPE_CHECKING:
    from watchword.scan.interface import Telling

_TEXT_AT: Final = 14
"""The column at which what is said of a rule begins."""


@click.command(epilog="Example: watchword scan rules pinning")
@click.argument("rule", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def command(*, rule: str | None, as_json: bool) -> None:
    """List the rules of the scan, or show one: what it looks for, what it is evidence of, what it can't tell.

    RULE is a rule's id.  Those over apps come first, then those over descriptions of APIs (--api).
    """
    from watchword.scan.api.registry import RULES as API_RULES
    from watchword.scan.registry import RULES

    every: list[Telling] = [*RULES, *API_RULES]
    chosen = [each for each in every if rule is None or each.id == rule]
    if not chosen:
        near = difflib.get_close_matches(rule or "", [each.id for each in every], n=1)
        expected = f"{near[0]}?" if near else "one that `watchword scan rules` lists"
        raise click.UsageError(printable(f"got {rule!r}, expected {expected}"))
    if as_json:
        print_json([_members(each) for each in chosen])
    elif rule is not None:
        show(_lines(chosen[0]))
    else:
        width = max(len(each.id) for each in chosen)
        for each in chosen:
            click.echo(f"{each.id:<{width}}  {each.title}")


def _members(rule: "Telling") -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "techniques": list(rule.techniques),
        "protections": dict(rule.protections),
        "todo": rule.todo,
        "blind": rule.blind,
    }


def _lines(rule: "Telling") -> Iterator[str]:
    yield f"{rule.id}: {rule.title}"
    evidence = ", ".join(f"{name} ({key})" for name, key in rule.protections.items())
    rows = [
        ("technique", ", ".join(rule.techniques) or "none"),
        ("evidence", evidence or "of nothing"),
        ("do", rule.todo),
        ("can't tell", rule.blind),
    ]
    for name, text in rows:
        yield from wrapped(text, first=f"  {name}", indent=_TEXT_AT)
