"""Tests of the rule on checks for debuggers."""

import pytest
from tests.unit.scan.simulated import MAIN, Body, Call, Class, running, simulated, verdicts

from watchword.scan.app import Native
from watchword.scan.interface import Verdict
from watchword.scan.rules.debugger_checks import RULE

ABSENT = {"checks": Verdict.ABSENT}
RUN = {f"{MAIN}.run": Verdict.PROTECTED}
CONNECTED = Call("android.os.Debug", "isDebuggerConnected")


def test_asks() -> None:
    """Who asks whether a debugger is connected, or waits, checks; a library that asks doesn't."""
    assert verdicts(RULE, running(CONNECTED)) == RUN
    assert verdicts(RULE, running(Call("android.os.Debug", "waitingForDebugger"))) == RUN
    assert verdicts(RULE, running(Call("android.os.Debug", "startMethodTracing"))) == ABSENT
    assert verdicts(RULE, running(CONNECTED, by="androidx.core.A")) == ABSENT
    assert verdicts(RULE, running(CONNECTED, by="a.b.c")) == {"checks": Verdict.NOT_SEEN}


@pytest.mark.parametrize(
    ("mnemonics", "descriptor", "tests"),
    [
        (("iget", "and-int/lit8", "return"), "()Z", True),
        (("iget", "return"), "()Z", False),
        (("iget", "and-int/lit8", "return-void"), "()V", False),
    ],
)
def test_flags(mnemonics: tuple[str, ...], descriptor: str, tests: bool) -> None:
    """A method that answers by a bit of the app's flags checks whether it was made debuggable."""
    call = Call("android.content.Context", "getApplicationInfo")
    body = Body("run", (call,), mnemonics=mnemonics, descriptor=descriptor)
    assert verdicts(RULE, simulated(Class(MAIN, (body,)))) == (RUN if tests else ABSENT)


@pytest.mark.parametrize(("ends", "tests"), [("finish", True), ("getPackageName", False)])
def test_flags_in_an_activity(ends: str, tests: bool) -> None:
    """An activity asks itself for its flags, and ends where it was made debuggable."""
    asked = Call(MAIN, "getApplicationInfo")
    body = Body(
        "run",
        (asked, Call(MAIN, ends)),
        mnemonics=("iget", "and-int/lit8", "if-eqz", "invoke-virtual", "return-void"),
        descriptor="()V",
    )
    assert verdicts(RULE, simulated(Class(MAIN, (body,)))) == (RUN if tests else ABSENT)


def test_traces() -> None:
    """The tracer's line of /proc counts where it's loaded or in native code, and so does ptrace."""
    assert verdicts(RULE, running(strings=("TracerPid:",))) == {MAIN: Verdict.PROTECTED}
    reads = Native("lib/x.so", "ELF", "arm64", strings=("TracerPid:\t%d",))
    assert verdicts(RULE, simulated(natives=(reads,))) == {"native": Verdict.PROTECTED}
    traces = Native("lib/x.so", "ELF", "arm64", symbols=frozenset({"ptrace"}))
    assert verdicts(RULE, simulated(natives=(traces,))) == {"ptrace": Verdict.PROTECTED}
