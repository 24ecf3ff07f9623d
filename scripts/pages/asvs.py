"""Write docs/asvs.md from the answers in scripts/asvs/answers.toml: ``python -m scripts.pages asvs``."""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from scripts.cited_tests import ROOT, shown

SOURCE: Final = Path(__file__).parents[1] / "asvs" / "answers.toml"
TARGET: Final = ROOT / "docs" / "asvs.md"
WORDS: Final = {"met": "met", "partly": "partly", "not": "not met", "without": "no case"}
OWNERS: Final = {"ours": "open here", "operator": "the operator's"}
CHAPTERS: Final = {
    1: "Encoding and sanitisation",
    2: "Validation and business logic",
    3: "Web front ends",
    4: "APIs and HTTP",
    6: "Authentication",
    7: "Sessions",
    8: "Authorisation",
    9: "Self-contained tokens",
    10: "OAuth and OpenID Connect",
    11: "Cryptography",
    12: "Secure communication",
    13: "Configuration",
    14: "Data protection",
    15: "Architecture and dependencies",
    16: "Logs and errors",
}
INTRODUCTION: Final = """\
# ASVS 5.0

The {count} requirements of the [OWASP Application Security Verification Standard 5.0](https://owasp.org/www-project-application-security-verification-standard/)
that concern Watchword, answered one by one by its authors; no outside body has reviewed the answers. We put each requirement in a few
words of ours; its text is at OWASP. `python -m scripts.pages asvs` writes this page from `scripts/asvs/answers.toml`, and a test checks
that each named file and test exists.

| answer | level 1 | level 2 | level 3 | what it means |
| --- | ---: | ---: | ---: | --- |
{rows}

The answers cover only Watchword. The API behind the gate needs its own.

## What is left

| id | what is missing | whose |
| --- | --- | --- |
{left}
"""
MEANINGS: Final = {
    "met": "holds, and the named tests show it",
    "partly": "holds in part; what is missing is named",
    "not": "doesn't hold; the answer says whose task it is",
    "without": "Watchword has nothing that it is about",
}


def load() -> list[dict[str, Any]]:
    """Return all answers, in the order of the file."""
    items: list[dict[str, Any]] = tomllib.loads(SOURCE.read_text(encoding="utf-8"))["items"]
    return items


def page(items: Sequence[Mapping[str, Any]]) -> str:
    """Return the whole page."""
    counts = Counter((item["answer"], item["level"]) for item in items)
    rows = [
        f"| {WORDS[answer]} | "
        + " | ".join(str(counts[answer, level]) for level in (1, 2, 3))
        + f" | {meaning} |"
        for answer, meaning in MEANINGS.items()
    ]
    left = [
        f"| {item['id']} | {item['missing']} | {OWNERS[item['whose']]} |"
        for item in items
        if "missing" in item
    ]
    text = INTRODUCTION.format(count=len(items), rows="\n".join(rows), left="\n".join(left))
    return text + "\n".join(_answers(items)).rstrip("\n") + "\n"


def _answers(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    chapter = 0
    for item in items:
        number = int(item["id"][1:].split(".")[0])
        if number != chapter:
            chapter = number
            yield f"\n## V{number} {CHAPTERS[number]}\n"
        yield f"**{item['id']}** (level {item['level']}): {item['about']} **{_word(item)}**\n"
        yield item["how"] + (f" Missing: {item['missing']}" if "missing" in item else "") + "\n"
        yield f"- in {', '.join(_link(file) for file in item['files'])}"
        if item["tests"]:
            yield f"- shown by {shown(item['tests'])}"
        yield ""


def _word(item: Mapping[str, Any]) -> str:
    return WORDS[item["answer"]].capitalize()


def _link(file: str) -> str:
    """Return a link out of docs/; a name shows what it leads to."""
    target = file.removeprefix("docs/") if file.startswith("docs/") else f"../{file}"
    return f"[{file.removeprefix('src/watchword/')}]({target})"
