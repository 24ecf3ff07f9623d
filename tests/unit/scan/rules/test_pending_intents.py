"""Tests of the rule on pending intents."""

from dataclasses import replace

import pytest
from tests.unit.scan.simulated import MAIN, Call, manifest, running, verdicts

from watchword.scan.app import App
from watchword.scan.interface import Severity, Verdict
from watchword.scan.rules.pending_intents import RULE

BY = f"{MAIN}.run"
MUTABLE, IMMUTABLE, UPDATE = 0x02000000, 0x04000000, 0x08000000


def _app(*flags: int | None, least: int = 24, target: int = 30, name: str = "getActivity") -> App:
    calls = [Call("android.app.PendingIntent", name, (None, 0, None, each)) for each in flags]
    stated = replace(manifest(), min_sdk=least, target_sdk=target)
    return replace(running(*calls), manifest=stated)


@pytest.mark.parametrize(
    ("flags", "least", "target", "expected"),
    [
        ((0,), 24, 30, {f"default:{BY}": Verdict.EXPOSED}),
        ((UPDATE,), 24, 30, {f"default:{BY}": Verdict.EXPOSED}),
        ((UPDATE,), 30, 31, {f"default:{BY}": Verdict.EXPOSED}),
        ((UPDATE,), 31, 31, {"pending-intents": Verdict.PROTECTED}),
        ((IMMUTABLE | UPDATE,), 24, 30, {"pending-intents": Verdict.PROTECTED}),
        ((MUTABLE,), 24, 31, {f"mutable:{BY}": Verdict.INFO}),
        ((IMMUTABLE, 0), 24, 30, {f"default:{BY}": Verdict.EXPOSED}),
        ((None,), 24, 30, {f"flags:{BY}": Verdict.NOT_SEEN}),
        ((), 24, 30, {"pending-intents": Verdict.INFO}),
    ],
)
def test_flags(
    flags: tuple[int | None, ...], least: int, target: int, expected: dict[str, Verdict]
) -> None:
    """What says nothing is mutable on phones before Android 12, and for apps that target one of these on all."""
    assert verdicts(RULE, _app(*flags, least=least, target=target)) == expected


def test_every_maker_and_its_flags() -> None:
    """All kinds of pending intents count; options may follow the flags."""
    for name in ("getActivities", "getBroadcast", "getForegroundService", "getService"):
        (found,) = RULE.run(_app(0, name=name))
        assert (found.verdict, found.severity) == (Verdict.EXPOSED, Severity.LOW)
    options = Call("android.app.PendingIntent", "getActivity", (None, 0, None, IMMUTABLE, None))
    assert verdicts(RULE, running(options)) == {"pending-intents": Verdict.PROTECTED}
