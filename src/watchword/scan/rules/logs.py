"""See whether the app's own code writes logs that are meant for developers."""

from collections.abc import Iterator
from typing import Final

from watchword.encoding.phrases import counted
from watchword.scan.app import Part
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, classes_of, places

_LOG: Final = "android.util.Log"


def _check(context: RuleContext) -> Iterator[Finding]:
    found = (*context.calls(_LOG, "d", "v"), *context.calls("java.io.PrintStream", "println"))
    if not found:
        yield context.clean("logs", "The app's own code writes no debug logs.")
        return
    # A release that strips such calls strips those of its libraries too; but only the app's own count where there are any.
    sure = tuple(use for use in found if not context.unsure(use.by))
    told = sure or found
    calls = counted(len(told), "call", "calls")
    classes = counted(classes_of(told), "class", "classes")
    whose = "" if sure else " of renamed code, which may be a library's"
    yield context.exposed(
        "logs",
        f"Debug logs are written: {calls} in {classes}{whose}.",
        Severity.LOW,
        at=places(told),
        confidence=Confidence.CERTAIN if sure else Confidence.POSSIBLE,
    )


RULE = AndroidRule(
    id="logs",
    title="Debug logs in the release",
    techniques=("MT-A23", "MT-A03"),
    protections={"PR-A13": "scan:static.logs"},
    todo="Have the release build strip Log.d and Log.v (R8: -assumenosideeffects), and never log a token.",
    blind="It doesn't tell what is logged, and doesn't see a logger of another name. Warnings and errors don't count.",
    parts=(Part.DEX,),
    check=_check,
)
