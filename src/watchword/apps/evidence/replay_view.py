"""Replay records and show to a person which of them come out differently."""

from collections.abc import Iterator

import click

from watchword.apps.evidence.record_sources import FoundRecord, find_records
from watchword.apps.evidence.replay import Conditions, Replayed, replay
from watchword.apps.terminal.console import EXIT_REFUSED, print_json
from watchword.apps.terminal.paragraphs import show, wrapped

_LABEL = 11


def replay_and_show(where: str, conditions: Conditions, *, as_json: bool) -> int:
    """Replay records one by one as they are read; return the exit code."""
    counts = {"same": 0, "different": 0, "unreadable": 0, "policy only": 0, "left out": 0}
    for found in find_records(where):
        if found.record is None:
            counts["unreadable"] += 1
            _show_unreadable(found, as_json=as_json)
            continue
        result = replay(found.record, conditions)
        counts["same" if result.is_same else "different"] += 1
        counts["policy only"] += not result.is_whole
        counts["left out"] += found.record.left_out
        if as_json:
            print_json({"file": found.file, "line": found.line, **result.as_dict()})
        else:
            show(_lines(found, result))
    _show_summary(counts, err=as_json)
    return 0 if counts["same"] and not counts["different"] + counts["unreadable"] else EXIT_REFUSED


def _show_unreadable(found: FoundRecord, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": found.file, "line": found.line, "unreadable": found.why})
    else:
        first = click.style("unreadable ", fg="yellow")
        show(wrapped(f"{found.place}: {found.why}", first=first, indent=_LABEL))


def _lines(found: FoundRecord, result: Replayed) -> Iterator[str]:
    record, verdict = result.record, result.verdict
    word, colour = ("same", "green") if result.is_same else ("different", "red")
    level = record.verdict.level.value if verdict is None else verdict.level.value
    who = record.instance or "not enrolled"
    what = f"{record.at:%Y-%m-%d %H:%M:%S}  {level:<8}  {record.app.id}  {record.format}  {who}"
    yield from wrapped(what, first=click.style(word, fg=colour), indent=_LABEL)
    if not result.is_same:
        yield from wrapped(found.place, indent=_LABEL)
    for difference in result.differences:
        yield from wrapped(difference, first=" " * (_LABEL - 2) + "-", indent=_LABEL)
    for note in result.notes:
        yield from wrapped(note, first=" " * (_LABEL - 2), indent=_LABEL)


def _show_summary(counts: dict[str, int], *, err: bool) -> None:
    """Print how many came out how; in JSON's way only on the other stream."""
    total = counts["same"] + counts["different"]
    text = f"{counts['same']} of {total} replayed to the same result"
    if counts["policy only"]:
        text += f", {counts['policy only']} by policy only"
    if counts["unreadable"]:
        text += f"; {counts['unreadable']} lines are no records"
    if counts["left out"]:
        text += f"; {counts['left out']} refusals weren't recorded, too many came at once"
    click.echo(text, err=err)
