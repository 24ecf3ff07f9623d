"""Tests of the rule on checks for root, and of how checks are told from libraries'."""

import pytest
from tests.unit.scan.simulated import MAIN, Body, Call, Class, running, simulated, verdicts

from watchword.scan.app import Native
from watchword.scan.interface import Verdict
from watchword.scan.rules.root_checks import RULE

ABSENT = {"checks": Verdict.ABSENT}
SU = "/system/xbin/su"


@pytest.mark.parametrize(
    "strings",
    [
        (SU,),
        ("/system/app/Superuser.apk",),
        ("com.topjohnwu.magisk",),
        ("su", "PATH"),
        ("test-keys", "su"),
    ],
)
def test_signs(strings: tuple[str, ...]) -> None:
    """One strong sign, or two weak ones in a class, that a method loads is a check."""
    assert verdicts(RULE, running(strings=strings)) == {MAIN: Verdict.PROTECTED}


@pytest.mark.parametrize("strings", [("su",), ("test-keys",), ("/system/xbin/sum",), ()])
def test_too_little(strings: tuple[str, ...]) -> None:
    """One weak sign isn't, nor a string that only begins like one."""
    assert verdicts(RULE, running(strings=strings)) == ABSENT


def test_string_that_nobody_loads() -> None:
    """A sign in the table of strings that no method loads is no check."""
    assert verdicts(RULE, simulated(strings=(SU,))) == ABSENT


def test_library_that_reports() -> None:
    """A crash reporter's own look for root protects nothing."""
    reporter = Class("com.crashlytics.Common", (Body("isRooted", strings=(SU,)),))
    assert verdicts(RULE, simulated(reporter)) == ABSENT


def test_rootbeer() -> None:
    """RootBeer counts once the app asks it."""
    beer = "com.scottyab.rootbeer.RootBeer"
    alone = simulated(Class(beer, (Body("isRooted", strings=(SU,)),)))
    assert verdicts(RULE, alone) == ABSENT
    assert verdicts(RULE, running(Call(beer, "isRooted"))) == {beer: Verdict.PROTECTED}


def _renamed(*callers: Class) -> dict[str, Verdict]:
    return verdicts(RULE, simulated(Class("a.b.c", (Body("d", strings=(SU,)),)), *callers))


def test_renamed_check() -> None:
    """A renamed check counts if surely own code calls it, over a hop too; otherwise it may be a library's."""
    call = Call("a.b.c", "d")
    mine = {"a.b.c": Verdict.PROTECTED}
    theirs = {"a.b.c": Verdict.INFO, "checks": Verdict.NOT_SEEN}
    assert _renamed() == theirs
    assert _renamed(Class("androidx.core.A", (Body("x", (call,)),))) == theirs
    assert _renamed(Class(MAIN, (Body("run", (call,)),))) == mine
    hop = Class("a.b.e", (Body("f", (call,)),))
    assert _renamed(hop) == theirs
    assert _renamed(hop, Class(MAIN, (Body("run", (Call("a.b.e", "f"),)),))) == mine
    # Whoever calls another method of the class doesn't call the check.
    assert _renamed(Class(MAIN, (Body("run", (Call("a.b.c", "other"),)),))) == theirs


def test_renamed_calls_in_a_ring() -> None:
    """Renamed methods that call each other end the search."""
    ring = Class("a.b.e", (Body("f", (Call("a.b.c", "d"), Call("a.b.e", "f"))),))
    assert _renamed(ring)["checks"] is Verdict.NOT_SEEN


def test_native_code() -> None:
    """Signs in native code count."""
    native = Native("lib/arm64-v8a/libx.so", "ELF", "arm64", strings=("/system/bin/su",))
    assert verdicts(RULE, simulated(natives=(native,))) == {"native": Verdict.PROTECTED}
    plain = Native("lib/arm64-v8a/libx.so", "ELF", "arm64", strings=("/system/bin/surfaceflinger",))
    assert verdicts(RULE, simulated(natives=(plain,))) == ABSENT
