"""See whether the app looks for an emulator."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.frameworks import NATIVE_STRINGS
from watchword.scan.interface import Finding
from watchword.scan.rule_kinds import AndroidRule, Marks, RuleContext, checked

_MARKS: Final = Marks.packaged("emulator")


def _check(context: RuleContext) -> Iterator[Finding]:
    yield from checked(context, _MARKS, "signs of an emulator")


RULE = AndroidRule(
    id="emulator-checks",
    title="Checks for emulators",
    techniques=("MT-A05", "MT-A06"),
    # What an emulator meets, only a run can show: no static finding is evidence for PR-A07.
    protections={},
    todo="Have the server decide by attested hardware; an emulator's signs are easily changed.",
    blind="It sees that code loads such signs, not whether it acts on them. A library that looks for them only to draw "
    "faster may count.",
    parts=(Part.DEX, Part.NATIVE),
    reads=NATIVE_STRINGS,
    check=_check,
)
