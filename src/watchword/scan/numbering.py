"""Keep subjects the same from build to build where a compiler numbers classes: ``Api$2`` is ``Api$3`` once another was added before it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from watchword.scan.interface import Finding

_NUMBER: Final = re.compile(r"\$([0-9]{1,6})(?![0-9A-Za-z_])")


def unnumbered(text: str) -> str:
    """Return a text without the numbers of anonymous classes."""
    return _NUMBER.sub("$", text) if "$" in text else text


def renumbered(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings whose subjects number anonymous classes by their order among the rule's findings in that class alone.

    Where a finding is says its locations, by the numbers of the build.
    """
    ranks: dict[tuple[str, str], dict[str, int]] = {}
    for subject, rule in sorted(_anonymous(findings), key=_by_number):
        mine = ranks.setdefault((rule, unnumbered(subject)), {})
        mine.setdefault(subject, len(mine) + 1)
    return [_renumbered(each, ranks) for each in findings]


def _anonymous(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    return {(each.subject, each.rule) for each in findings if _NUMBER.search(each.subject)}


def _by_number(one: tuple[str, str]) -> tuple[list[int], str]:
    return [int(number) for number in _NUMBER.findall(one[0])], one[0]


def _renumbered(finding: Finding, ranks: dict[tuple[str, str], dict[str, int]]) -> Finding:
    if not _NUMBER.search(finding.subject):
        return finding
    name = unnumbered(finding.subject)
    rank = ranks[finding.rule, name][finding.subject]
    # The last one gets the rank; of those around it, it doesn't matter which they were.
    at = [place.start() for place in _NUMBER.finditer(finding.subject)]
    head = unnumbered(finding.subject[: at[-1]])
    tail = _NUMBER.sub("", finding.subject[at[-1] :], count=1)
    return replace(finding, subject=f"{head}${rank}{tail}")
