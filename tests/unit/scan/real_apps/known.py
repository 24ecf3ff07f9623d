"""Hold the index of known apps beside the clone, what our readers read of each, and what our rules say of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from watchword.adapters.app_package import open_app
from watchword.scan.app import App
from watchword.scan.archive.interface import Limits
from watchword.scan.interface import Finding, Verdict
from watchword.scan.outcome import Report
from watchword.scan.registry import RULES
from watchword.scan.service import scan

APPS = Path(__file__).resolve().parents[5] / "shared" / "apps"
INDEX: tuple[dict[str, Any], ...] = (
    tuple(json.loads((APPS / "index.json").read_text("utf-8")))
    if (APPS / "index.json").is_file()
    else ()
)
BY_FILE: dict[str, dict[str, Any]] = {known["file"]: known for known in INDEX}


@dataclass(frozen=True, slots=True)
class Fact:
    """Hold one fact of the index; strings that apps keep secret are in no repr.

    :param of: ``measured`` or ``documented``.
    :param key: of the index; a string that was looked for is told by its number: ``string_check 1``.
    :param about: the string itself.
    """

    file: str
    of: str
    key: str
    value: Any = field(repr=False)
    about: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Render as the id of a test."""
        return f"{self.file} {self.of} {self.key}"


def measured_facts() -> Iterator[Fact]:
    """Yield what other tools measured; the strings that were looked for one by one."""
    for known in INDEX:
        for key in ("size", "sha256"):
            yield Fact(known["file"], "measured", key, known[key])
        for key, value in known["measured"].items():
            if key == "string_check":
                for number, (text, places) in enumerate(value.items(), 1):
                    yield Fact(known["file"], "measured", f"{key} {number}", places, text)
            else:
                yield Fact(known["file"], "measured", key, value)


def documented_facts() -> Iterator[Fact]:
    """Yield what documentation says of the apps."""
    for known in INDEX:
        for key, value in known["truth_docs"].items():
            yield Fact(known["file"], "documented", key, value)


@cache
def app_of(file: str) -> App:
    """Return an app as our readers read it."""
    return open_app(APPS / file, Limits(), lambda: 60.0)


@cache
def report_of(file: str) -> Report:
    """Return what all rules say of an app."""
    return scan(app_of(file), RULES)


def found(file: str, rule: str, verdict: Verdict, subject: str = "") -> tuple[Finding, ...]:
    """Return what a rule found with a verdict; with ``subject``, where the subject is that or ends in it."""
    return tuple(
        each
        for each in report_of(file).findings
        if each.rule == rule and each.verdict is verdict and each.subject.endswith(subject)
    )


def secrets(file: str, *rules: str) -> dict[str, str]:
    """Return the kinds of the secrets that rules found, by their values: never to be shown."""
    return {
        each.secret.value: each.secret.kind
        for each in report_of(file).findings
        if each.secret is not None and each.rule in rules
    }
