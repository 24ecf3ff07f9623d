"""Write docs/promises.md from scripts/promises/promises.toml: ``python -m scripts.pages promises``."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from scripts.cited_tests import ROOT, shown

SOURCE: Final = Path(__file__).parents[1] / "promises" / "promises.toml"
TARGET: Final = ROOT / "docs" / "promises.md"
INTRODUCTION: Final = """\
# Promises

What Watchword does when something fails: {count} promises, each with the tests that show it. Nothing else is promised;
[the end of the page](#not-promised-yet) names what you might expect and no test shows yet. `python -m scripts.pages promises` writes this page from
`scripts/promises/promises.toml`, and a test checks that each named test exists.

Three things hold throughout:

- **It fails closed.** What can't be decided is refused, and no setting opens everything.
- **Acknowledged writes survive.**
- **A refused client learns a class**; the operator learns the [reason](reasons.md) (here in `code`).

The servers in these tests are real: Valkey, OpenBao, Envoy, nginx, and SQLite on a full disk. Processes are killed, stopped and raced. Connections to the shared store
go through a proxy that delays, cuts and garbles answers. `make test-all` and `make test-long` run all of them.
"""


def load() -> dict[str, Any]:
    """Return groups of promises, and what isn't promised."""
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))


def page(found: Mapping[str, Any]) -> str:
    """Return the whole page."""
    count = sum(len(group["promises"]) for group in found["groups"])
    return "\n".join([INTRODUCTION.format(count=count), *_body(found)]).rstrip("\n") + "\n"


def _body(found: Mapping[str, Any]) -> Iterator[str]:
    for group in found["groups"]:
        yield f"## {group['title']}\n"
        yield "| when | then | what is seen | shown by |"
        yield "| --- | --- | --- | --- |"
        for each in group["promises"]:
            cells = (each["event"], each["promise"], each["seen"], shown(each["tests"]))
            yield "| " + " | ".join(cells) + " |"
        yield ""
    yield "## Not promised yet\n"
    yield "| what | how it is |"
    yield "| --- | --- |"
    for each in found["unpromised"]:
        yield f"| {each['what']} | {each['why']} |"
