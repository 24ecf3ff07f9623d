"""Tests of the rule on screens."""

import pytest
from tests.unit.scan.simulated import MAIN, Call, running, verdicts

from watchword.scan.interface import Verdict
from watchword.scan.rules.flag_secure import RULE

WINDOW = "android.view.Window"
ABSENT = {"screens": Verdict.ABSENT}


@pytest.mark.parametrize(
    "call",
    [
        Call(WINDOW, "addFlags", (0x2000,)),
        Call(WINDOW, "setFlags", (0x2000, 0x2000)),
        Call(WINDOW, "addFlags", (None, 0x2080)),
        Call("android.view.SurfaceView", "setSecure", (1,)),
    ],
)
def test_kept_out(call: Call) -> None:
    """The flag, alone or with others, and a secure surface keep a screen out."""
    assert verdicts(RULE, running(call)) == {f"{MAIN}.run": Verdict.PROTECTED}


@pytest.mark.parametrize(
    "call",
    [
        Call(WINDOW, "addFlags", (0x80,)),
        Call(WINDOW, "addFlags", (None,)),
        Call("android.view.SurfaceView", "setSecure", (0,)),
    ],
)
def test_other_flags(call: Call) -> None:
    """Other flags, and values that aren't known, don't."""
    assert verdicts(RULE, running(call)) == ABSENT


def test_overlays_are_told() -> None:
    """That touches through foreign windows are refused is told."""
    app = running(Call("android.view.View", "setFilterTouchesWhenObscured", (1,)))
    assert verdicts(RULE, app) == {"overlays": Verdict.INFO, **ABSENT}
