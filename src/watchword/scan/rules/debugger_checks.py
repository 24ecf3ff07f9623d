"""See whether the app notices a debugger."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Method, Part
from watchword.scan.frameworks import NATIVE_STRINGS
from watchword.scan.interface import Confidence, Finding, Location
from watchword.scan.rule_kinds import AndroidRule, Marks, RuleContext, checked, places

_DEBUG: Final = "android.os.Debug"
_CONTEXTS: Final = (
    "android.content.Context",
    "android.app.Activity",
    "android.content.ContextWrapper",
)
_ENDS: Final = frozenset({"exit", "finish", "finishAffinity", "finishAndRemoveTask", "killProcess"})
_MARKS: Final = Marks(
    strong=frozenset({"TracerPid", "TracerPid:", "ro.debuggable", "init.svc.adbd"}),
    native=re.compile(r"TracerPid"),
    hints=("tracerpid",),
)


def _check(context: RuleContext) -> Iterator[Finding]:
    asked, others = context.of_the_app(
        use.by for use in context.calls(_DEBUG, "isDebuggerConnected", "waitingForDebugger")
    )
    flagged, more = context.of_the_app(_flagged(context))
    found = [
        context.protected(
            str(by),
            f"{by} asks whether a debugger is connected.",
            at=places([by]),
            confidence=Confidence.CERTAIN,
        )
        for by in asked
    ]
    found += [
        context.protected(
            str(by),
            f"{by} tests the app's own flags, such as whether it was made debuggable.",
            at=places([by]),
            confidence=Confidence.POSSIBLE,
        )
        for by in flagged
    ]
    tracing = sorted(each.file for each in context.app.natives if "ptrace" in each.symbols)
    if tracing:
        at = tuple(Location(file=file) for file in tracing)
        found.append(context.protected("ptrace", "Native code traces, such as itself.", at=at))
    yield from checked(context, _MARKS, "debuggers", found=found, unsure=others or more)


def _flagged(context: RuleContext) -> Iterator[Method]:
    """Yield the methods that test a bit of the app's own flags: by all looks, that it was made debuggable."""
    # Compilers name the class that asks where it's a context itself: com.example.MainActivity.getApplicationInfo().
    for cls in (*_CONTEXTS, *context.own_classes()):
        for use in context.calls(cls, "getApplicationInfo"):
            body = context.code.body(use.by)
            if any(each.startswith("and-int") for each in body) and _acts(context, use.by):
                yield use.by


def _acts(context: RuleContext, by: Method) -> bool:
    """Tell whether a method answers yes or no, or ends the app."""
    if by.descriptor.endswith(")Z") or "throw" in context.code.body(by):
        return True
    return any(each.name in _ENDS for each in context.code.calls_of(by))


RULE = AndroidRule(
    id="debugger-checks",
    title="Checks for debuggers",
    techniques=("MT-A08",),
    protections={"PR-A06": "scan:static.debuggable"},
    todo="Ship a build that isn't debuggable, and count such checks as delay: they are hooked away.",
    blind="It sees that the app asks, not whether it acts. It doesn't read which flag is tested, and doesn't see "
    "encrypted strings.",
    parts=(Part.DEX, Part.NATIVE),
    reads=NATIVE_STRINGS,
    check=_check,
)
