"""Tests of the rule on debug logs."""

from dataclasses import replace

import pytest
from tests.unit.scan.simulated import PACKAGE, Body, Call, Class, running, simulated, verdicts

from watchword.scan.interface import Confidence, Verdict
from watchword.scan.rules.logs import RULE

DEBUG = Call("android.util.Log", "d")


def test_own_debug_logs() -> None:
    """Debug logs of the app's own code are counted, with where they are."""
    (found,) = RULE.run(running(DEBUG, Call("android.util.Log", "v")))
    assert found.verdict is Verdict.EXPOSED
    assert "2 calls in 1 class" in found.title
    assert len(found.locations) == 1


def test_others() -> None:
    """Warnings and errors don't count, nor what libraries log."""
    assert verdicts(RULE, running(Call("android.util.Log", "e"))) == {"logs": Verdict.PROTECTED}
    library = Class("androidx.core.A", (Body("run", (DEBUG,)),))
    assert verdicts(RULE, simulated(library)) == {"logs": Verdict.PROTECTED}


@pytest.mark.parametrize("package", ["com.android.shop", "com.stripe.shop"])
def test_package_under_a_librarys_prefix(package: str) -> None:
    """An app whose package begins like a library's is the app all the same."""
    app = running(DEBUG, by=f"{package}.Log")
    assert verdicts(RULE, app) == {"logs": Verdict.PROTECTED}
    assert app.manifest is not None
    moved = replace(app, manifest=replace(app.manifest, package=package))
    assert verdicts(RULE, moved) == {"logs": Verdict.EXPOSED}


def test_renamed_code() -> None:
    """Logs that only renamed code writes may be a library's: exposed, and less sure."""
    (found,) = RULE.run(running(DEBUG, by="a.b.c"))
    assert found.confidence is Confidence.POSSIBLE
    assert "may be a library's" in found.title


def test_renamed_code_beside_the_apps_own() -> None:
    """Where the app's own code logs, what may be a library's isn't counted with it."""
    bodies = (Body("run", (DEBUG,)),)
    (found,) = RULE.run(simulated(Class(f"{PACKAGE}.Log", bodies), Class("a.b.c", bodies)))
    assert found.confidence is Confidence.CERTAIN
    assert "1 call in 1 class." in found.title
    assert [place.cls for place in found.locations] == [f"{PACKAGE}.Log"]
