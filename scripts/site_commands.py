"""Write a page of all commands from the command line itself: every option, its default and its meaning."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import click
from scripts.site_markdown import cell, prose

from watchword.apps.cli.main import cli

INTRODUCTION: Final = """\
# Commands

All {count} commands with what `--help` says of them. Every command takes `-h`, and nearly every one `--json`. The file is named before the command:
`watchword -c staging.yaml check`; left out, it is `watchword.yaml` in the working directory.

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | refused, or not as expected |
| 2 | wrong usage or configuration |
| 3 | not reachable, or not available |
| 130 | interrupted |

"""
_VERBATIM: Final = "\b"
"""What click takes, alone in a line, for the mark of a paragraph that keeps its lines."""


def page() -> str:
    """Return the page, made by ``python -m scripts.site_reference``."""
    found = list(_walked(cli, ()))
    head = INTRODUCTION.format(count=len(found))
    lines = [*_overview(found), *(line for words, each in found for line in _section(words, each))]
    return head + "\n".join(lines)


def _overview(found: Sequence[tuple[tuple[str, ...], click.Command]]) -> Iterator[str]:
    """Yield a row for each command of the first level: what it does, and what stands below it."""
    yield "| command | does | below it |"
    yield "| --- | --- | --- |"
    for words, command in found:
        if len(words) == 1:
            below = [f"`{each[1]}`" for each, _ in found if each[:1] == words and len(each) == 2]
            does = cell(prose((command.help or "").strip().partition("\n\n")[0]))
            yield f"| [`{words[0]}`](#watchword-{words[0]}) | {does} | {', '.join(below)} |"
    yield ""


def _walked(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield what can be called, groups before what is in them, in the order of ``--help``."""
    if words:
        yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _walked(found, (*words, name))


def _section(words: tuple[str, ...], command: click.Command) -> Iterator[str]:
    called = " ".join(("watchword", *words))
    context = click.Context(command, info_name=called)
    yield f"{'#' * min(len(words) + 1, 4)} {called}"
    yield ""
    yield from _paragraphs(command.help or "")
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{called} {pieces}\n```"
    yield ""
    rows = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) is not None
        and "--help" not in parameter.opts
    ]
    if rows:
        yield from _table(rows)
    yield from _example(command.epilog or "")


def _table(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "| option | meaning |"
    yield "| --- | --- |"
    for options, meaning in rows:
        yield f"| `{cell(options)}` | {cell(prose(meaning)) or '-'} |"
    yield ""


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\f", maxsplit=1)[0].split("\n\n"):
        lines = paragraph.strip("\n").splitlines()
        if lines and lines[0] == _VERBATIM:
            yield "\n".join(("```text", *lines[1:], "```"))
        else:
            yield prose(" ".join(paragraph.split()))
        yield ""


def _example(epilog: str) -> Iterator[str]:
    """Yield the epilog's examples: their lines are kept where click keeps them."""
    text = re.sub(rf"^{_VERBATIM}\n", "", epilog, flags=re.MULTILINE).strip("\n")
    if text:
        body = re.sub(r"^(Examples?|Try it):\s*", "", text)
        lines = [re.sub(r"^  ", "", line) for line in body.splitlines()]
        yield "For example:\n"
        yield "\n".join(("```text", *lines, "```"))
        yield ""
