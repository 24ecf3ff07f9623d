"""Tests of the rule on browser views."""

import pytest
from tests.scan.simulated import MAIN, Call, running, verdicts

from watchword.scan.interface import Confidence, Verdict
from watchword.scan.rules.webview import RULE

SETTINGS, VIEW = "android.webkit.WebSettings", "android.webkit.WebView"


@pytest.mark.parametrize(
    ("call", "subject"),
    [
        (Call(VIEW, "addJavascriptInterface", (None, "app")), "bridge"),
        (
            Call(SETTINGS, "setAllowUniversalAccessFromFileURLs", (1,)),
            "setAllowUniversalAccessFromFileURLs",
        ),
        (Call(SETTINGS, "setAllowFileAccessFromFileURLs", (1,)), "setAllowFileAccessFromFileURLs"),
        (Call(SETTINGS, "setAllowFileAccess", (1,)), "files"),
        (Call(SETTINGS, "setMixedContentMode", (0,)), "mixed"),
        (Call(VIEW, "setWebContentsDebuggingEnabled", (1,)), "debug"),
    ],
)
def test_exposed(call: Call, subject: str) -> None:
    """Each setting that opens something is exposed, with the method that sets it."""
    assert verdicts(RULE, running(call)) == {f"{subject}:{MAIN}.run": Verdict.EXPOSED}


@pytest.mark.parametrize(
    "call",
    [
        Call(SETTINGS, "setAllowUniversalAccessFromFileURLs", (0,)),
        Call(SETTINGS, "setAllowFileAccess", (0,)),
        Call(SETTINGS, "setMixedContentMode", (1,)),
        Call(VIEW, "setWebContentsDebuggingEnabled", (0,)),
        Call(SETTINGS, "setJavaScriptEnabled", (0,)),
    ],
)
def test_switched_off(call: Call) -> None:
    """The same settings switched off are clean."""
    assert verdicts(RULE, running(call)) == {"webview": Verdict.PROTECTED}


def test_value_that_is_not_constant() -> None:
    """A value that isn't known counts, and is less sure."""
    (found,) = RULE.look(running(Call(SETTINGS, "setAllowFileAccessFromFileURLs", (None,))))
    assert (found.verdict, found.confidence) == (Verdict.EXPOSED, Confidence.POSSIBLE)


def test_object_in_front_of_the_value() -> None:
    """Readers may list the object before the arguments; the last one counts."""
    app = running(Call(SETTINGS, "setAllowFileAccess", (None, 0)))
    assert verdicts(RULE, app) == {"webview": Verdict.PROTECTED}


def test_scripts_alone() -> None:
    """Scripts alone are told."""
    found = verdicts(RULE, running(Call(SETTINGS, "setJavaScriptEnabled", (1,))))
    assert found == {"javascript": Verdict.TOLD, "webview": Verdict.PROTECTED}
