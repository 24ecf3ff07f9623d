"""See whether names in the code were made short, by which reading it takes longer."""

from collections.abc import Iterator, Sequence
from typing import Final

from watchword.scan.app import Part
from watchword.scan.frameworks import NATIVE_HEADERS
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.libraries import SHORT
from watchword.scan.rule_kinds import AndroidRule, RuleContext

_PLAIN_BELOW: Final = 0.2
_RENAMED_FROM: Final = 0.6
"""Measured: 0.02 to 0.13 where nothing was renamed, 0.80 to 0.90 where a shrinker did; nothing between."""

_ENOUGH: Final = 200
"""From how many classes on the share says something."""


def _check(context: RuleContext) -> Iterator[Finding]:
    classes = context.code.classes
    own = tuple(context.own_classes())
    share = _share(classes)
    title = f"{share:.0%} of {len(classes):,} classes have short names; of the {len(own):,} that aren't a known library's, {_share(own):.0%}."
    sure = Confidence.LIKELY if len(classes) >= _ENOUGH else Confidence.POSSIBLE
    if share >= _RENAMED_FROM:
        yield context.protected("names", title, confidence=sure)
    elif share < _PLAIN_BELOW:
        yield context.absent("names", title, Severity.LOW)
    elif context.whole:
        yield context.info("names", title, confidence=sure)
    else:
        yield context.not_seen("names", title)


def _share(classes: Sequence[str]) -> float:
    """Return which share of classes has a name of at most two characters; 0 for no classes."""
    if not classes:
        return 0.0
    return sum(map(_is_short, classes)) / len(classes)


def _is_short(cls: str) -> bool:
    """Tell whether a class has a name as shrinkers give: ``a.b.c``, or ``a.b.c$d`` within another."""
    return all(len(each) <= SHORT for each in cls.rpartition(".")[2].split("$"))


RULE = AndroidRule(
    id="obfuscation",
    title="Renamed code",
    techniques=("MT-A01", "MT-A12"),
    protections={"PR-A01": "scan:static.obfuscation"},
    todo="Have R8 rename and shrink the release, with few rules that keep names.",
    blind="It counts short names. It doesn't see renaming by words of a dictionary, or scrambled flow. Below 200 "
    "classes the share says little.",
    parts=(Part.DEX,),
    reads=NATIVE_HEADERS,
    check=_check,
)
