"""See whether the app notices a debugger."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Method, Part
from watchword.scan.frameworks import NATIVE_STRINGS
from watchword.scan.interface import Confidence, Finding, Location
from watchword.scan.rule_parts import AndroidRule, Look, Marks, checked, places

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


def _see(look: Look) -> Iterator[Finding]:
    asked, others = look.of_the_app(
        use.by for use in look.calls(_DEBUG, "isDebuggerConnected", "waitingForDebugger")
    )
    flagged, more = look.of_the_app(_flagged(look))
    found = [
        look.protected(
            str(by),
            f"{by} asks whether a debugger is connected.",
            at=places([by]),
            confidence=Confidence.CERTAIN,
        )
        for by in asked
    ]
    found += [
        look.protected(
            str(by),
            f"{by} tests the app's own flags, such as whether it was made debuggable.",
            at=places([by]),
            confidence=Confidence.POSSIBLE,
        )
        for by in flagged
    ]
    tracing = sorted(each.file for each in look.app.natives if "ptrace" in each.symbols)
    if tracing:
        at = tuple(Location(file=file) for file in tracing)
        found.append(look.protected("ptrace", "Native code traces, such as itself.", at=at))
    yield from checked(look, _MARKS, "debuggers", found=found, unsure=others or more)


def _flagged(look: Look) -> Iterator[Method]:
    """Yield the methods that test a bit of the app's own flags: by all looks, that it was made debuggable."""
    # Compilers name the class that asks where it's a context itself: com.example.MainActivity.getApplicationInfo().
    for cls in (*_CONTEXTS, *look.own_classes()):
        for use in look.calls(cls, "getApplicationInfo"):
            body = look.code.body(use.by)
            if any(each.startswith("and-int") for each in body) and _acts(look, use.by):
                yield use.by


def _acts(look: Look, by: Method) -> bool:
    """Tell whether a method answers yes or no, or ends the app."""
    if by.descriptor.endswith(")Z") or "throw" in look.code.body(by):
        return True
    return any(each.name in _ENDS for each in look.code.calls_of(by))


RULE = AndroidRule(
    id="debugger-checks",
    title="Checks for debuggers",
    techniques=("MT-A08",),
    protections={"PR-A06": "scan:static.debuggable"},
    todo="Ship a build that isn't debuggable, and count such checks as delay: they are hooked away.",
    blind="It sees that the app asks, not whether it acts. Which flag is tested isn't read; encrypted strings aren't seen.",
    parts=(Part.DEX, Part.NATIVE),
    reads=NATIVE_STRINGS,
    see=_see,
)
