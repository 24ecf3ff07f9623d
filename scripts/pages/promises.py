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

What Watchword does when something fails: {count} promises, each with the tests that show it. What isn't here isn't promised;
[the end of the page](#not-promised-yet) names what you might expect and nothing shows yet. Written by `python -m scripts.pages promises` from
`scripts/promises/promises.toml`; a test holds each named test to be there.

Three things hold throughout. **In doubt it is closed**: what can't be decided is refused, and no setting opens everything. **Nothing that was
acknowledged is lost.** **Whoever is refused learns a class**; the operator learns the [reason](reasons.md) (here in `code`).

Servers are real in these tests (Valkey, OpenBao, Envoy, nginx, SQLite on a full disk); processes are killed, stopped and raced; the way to the shared store
goes through a proxy that delays, cuts and garbles answers. To run all of them: `make test-all` and `make test-long`.
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
