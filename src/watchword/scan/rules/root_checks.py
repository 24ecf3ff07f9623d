"""See whether the app looks for signs of a rooted phone."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.frameworks import NATIVE_STRINGS
from watchword.scan.interface import Finding
from watchword.scan.rule_kinds import AndroidRule, Marks, RuleContext, checked, places

_MARKS: Final = Marks.packaged("root")
_NAMED: Final = ("com.scottyab.rootbeer.RootBeer", "com.scottyab.rootbeer.RootBeerNative")


def _check(context: RuleContext) -> Iterator[Finding]:
    found = [
        context.protected(cls, f"The app asks {cls}, a library of root checks.", at=places(uses))
        for cls in _NAMED
        if (uses := context.calls(cls))
    ]
    yield from checked(context, _MARKS, "signs of root", found=found)


RULE = AndroidRule(
    id="root-checks",
    title="Checks for root",
    techniques=("MT-A04",),
    protections={"PR-A04": "scan:static.root_checks"},
    todo="Have the server decide by attested integrity of the device; a check in the app is hooked away in minutes.",
    blind="It sees that code loads such signs, not whether it acts on what it finds. It doesn't see checks with "
    "encrypted strings or in a bundle. It may take a renamed library that only reports root for a check.",
    parts=(Part.DEX, Part.NATIVE),
    reads=NATIVE_STRINGS,
    check=_check,
)
