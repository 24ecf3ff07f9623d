"""See whether the app looks for tools that hook it."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.frameworks import NATIVE_STRINGS
from watchword.scan.interface import Finding
from watchword.scan.rule_kinds import AndroidRule, Marks, RuleContext, checked

_MARKS: Final = Marks.packaged("hooks")


def _check(context: RuleContext) -> Iterator[Finding]:
    yield from checked(context, _MARKS, "tools that hook")


RULE = AndroidRule(
    id="hook-checks",
    title="Checks for hooking tools",
    techniques=("MT-A07", "MT-A12"),
    # What a hooking tool meets, only a run can show: no static finding is evidence for PR-A05.
    protections={},
    todo="Run the app under such a tool and see what it does; let nothing depend on the app's own answer.",
    blind="It sees that code loads such names, not whether it acts on them. It doesn't see encrypted strings and scans "
    "of ports by number.",
    parts=(Part.DEX, Part.NATIVE),
    reads=NATIVE_STRINGS,
    check=_check,
)
