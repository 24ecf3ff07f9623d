"""See whether the app keeps its screens out of captures and from under other apps' windows."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Method, Part
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, constants, last_constants, places

_WINDOW: Final = "android.view.Window"
_FLAG_SECURE: Final = 0x2000


def _check(context: RuleContext) -> Iterator[Finding]:
    found = False
    for by in dict.fromkeys(use.by for use in context.calls(_WINDOW, "addFlags", "setFlags")):
        if _secures(context, by):
            found = True
            title = f"{by} keeps its screen out of screenshots and recordings."
            yield context.protected(str(by), title, at=places([by]), confidence=Confidence.CERTAIN)
    for use, value in last_constants(context, "android.view.SurfaceView", "setSecure"):
        if value != 0:
            found = True
            title = f"{use.by} keeps a surface out of screenshots and recordings."
            yield context.protected(str(use.by), title, at=places([use]))
    overlays = [
        use
        for cls, name in (
            ("android.view.View", "setFilterTouchesWhenObscured"),
            (_WINDOW, "setHideOverlayWindows"),
        )
        for use, value in last_constants(context, cls, name)
        if value != 0
    ]
    if overlays:
        yield context.info(
            "overlays", "Touches through another app's window are refused.", at=places(overlays)
        )
    if not found:
        yield context.absent(
            "screens", "No screen of the app is kept out of captures.", Severity.MEDIUM
        )


def _secures(context: RuleContext, by: Method) -> bool:
    """Tell whether a method sets the flag; ``setFlags`` has it first, and the mask behind."""
    for name in ("addFlags", "setFlags"):
        for arguments in constants(context.code, by, _WINDOW, name):
            if any(isinstance(each, int) and each & _FLAG_SECURE for each in arguments):
                return True
    return False


RULE = AndroidRule(
    id="flag-secure",
    title="Screens kept out of captures",
    techniques=("MT-A16", "MT-A14"),
    protections={"PR-A10": "scan:static.flag_secure"},
    todo="Set FLAG_SECURE on screens that show what nobody else may see.",
    blind="It doesn't tell which screens need it, and one screen that has it counts for the app. It doesn't see a "
    "framework's plugin for it.",
    parts=(Part.DEX,),
    check=_check,
)
