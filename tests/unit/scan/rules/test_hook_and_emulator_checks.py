"""Tests of the rules on checks for hooking tools and for emulators."""

import pytest
from tests.unit.scan.simulated import MAIN, running, simulated, verdicts

from watchword.scan.app import Native
from watchword.scan.interface import Verdict
from watchword.scan.rule_kinds import AndroidRule
from watchword.scan.rules.emulator_checks import RULE as EMULATOR
from watchword.scan.rules.hook_checks import RULE as HOOK

ABSENT = {"checks": Verdict.ABSENT}
FOUND = {MAIN: Verdict.PROTECTED}


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        (("frida-server",), FOUND),
        (("de.robv.android.xposed.XposedBridge",), FOUND),
        (("/proc/self/maps", "27042"), FOUND),
        (("/proc/self/maps",), ABSENT),
        (("Friday",), ABSENT),
    ],
)
def test_hooks(strings: tuple[str, ...], expected: dict[str, Verdict]) -> None:
    """A tool's name, or two weaker signs in a class, is a look for it."""
    assert verdicts(HOOK, running(strings=strings)) == expected


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        (("goldfish",), FOUND),
        (("generic", "unknown"), FOUND),
        (("unknown",), ABSENT),
        (("/dev/qemu_pipe",), FOUND),
    ],
)
def test_emulators(strings: tuple[str, ...], expected: dict[str, Verdict]) -> None:
    """An emulator's hardware, or two weaker signs in a class, is a look for one."""
    assert verdicts(EMULATOR, running(strings=strings)) == expected


@pytest.mark.parametrize(
    ("rule", "text"), [(HOOK, "maps: frida found"), (EMULATOR, "/dev/socket/qemud")]
)
def test_native_code(rule: AndroidRule, text: str) -> None:
    """Signs within a native library's strings count."""
    native = Native("lib/arm64-v8a/libx.so", "ELF", "arm64", strings=(text,))
    assert verdicts(rule, simulated(natives=(native,))) == {"native": Verdict.PROTECTED}


def test_no_evidence_for_the_plan() -> None:
    """What tools meet only a run shows: these rules give no key of evidence."""
    assert not HOOK.protections
    assert not EMULATOR.protections
