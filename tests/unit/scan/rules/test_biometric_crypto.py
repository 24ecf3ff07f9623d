"""Tests of the rule on biometrics."""

import pytest
from tests.unit.scan.simulated import MAIN, Call, running, verdicts

from watchword.scan.interface import Verdict
from watchword.scan.rules.biometric_crypto import RULE

WRAPPER = "androidx.biometric.BiometricPrompt"
INFO, KEY = (
    f"L{WRAPPER.replace('.', '/')}$PromptInfo;",
    f"L{WRAPPER.replace('.', '/')}$CryptoObject;",
)
PROMPT = "android.hardware.biometrics.BiometricPrompt"
REST = "Landroid/os/CancellationSignal;Ljava/util/concurrent/Executor;Lx/C;"
OLD = "android.hardware.fingerprint.FingerprintManager"
OLD_KEYED = f"(L{OLD.replace('.', '/')}$CryptoObject;Landroid/os/CancellationSignal;ILx/C;Lx/H;)V"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (Call(WRAPPER, "authenticate", descriptor=f"({INFO})V"), Verdict.EXPOSED),
        (Call(WRAPPER, "authenticate", descriptor=f"({INFO}{KEY})V"), Verdict.PROTECTED),
        (Call(WRAPPER, "authenticate", (None, 0), f"({INFO}{KEY})V"), Verdict.EXPOSED),
        (Call(WRAPPER, "b", descriptor=f"(L{WRAPPER.replace('.', '/')}$e;)V"), Verdict.EXPOSED),
        (Call(PROMPT, "authenticate", descriptor=f"({REST})V"), Verdict.EXPOSED),
        (
            Call(
                PROMPT,
                "authenticate",
                descriptor=f"(L{PROMPT.replace('.', '/')}$CryptoObject;{REST})V",
            ),
            Verdict.PROTECTED,
        ),
        (Call(OLD, "authenticate", (None, None, 0, None, None), OLD_KEYED), Verdict.PROTECTED),
        (Call(OLD, "authenticate", (0, None, 0, None, None), OLD_KEYED), Verdict.EXPOSED),
        (Call(OLD, "authenticate", (None, 0, None, 0, None, None), OLD_KEYED), Verdict.EXPOSED),
    ],
)
def test_key_or_none(call: Call, expected: Verdict) -> None:
    """A prompt with a key is told from one without, and from one whose key is null; renamed too."""
    assert verdicts(RULE, running(call)) == {f"{MAIN}.run": expected}


def test_no_prompt() -> None:
    """Making a prompt, or cancelling it, asks nobody."""
    cancel = Call(WRAPPER, "cancelAuthentication")
    make = Call(WRAPPER, "<init>", descriptor=f"({INFO})V")
    assert verdicts(RULE, running(cancel, make)) == {"biometrics": Verdict.ABSENT}


def test_renamed_library() -> None:
    """A prompt that only renamed code asks for may be the library's own."""
    call = Call(PROMPT, "authenticate", descriptor=f"({REST})V")
    assert verdicts(RULE, running(call, by="a.b.c")) == {"biometrics": Verdict.NOT_SEEN}
