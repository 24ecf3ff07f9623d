"""Tests of the rule on browser views."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.scan.app_builders import PACKAGE, apk
from tests.unit.scan.dex.assembler import ClassCode, MethodCode, assemble, call
from tests.unit.scan.simulated import MAIN, Body, Call, Class, running, simulated, verdicts

from watchword.adapters.app_package import open_app
from watchword.observations import State
from watchword.scan.archive.interface import Limits
from watchword.scan.interface import Confidence, Finding, Severity, Verdict
from watchword.scan.outcome import standings_of
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
    (found,) = RULE.run(running(Call(SETTINGS, "setAllowFileAccessFromFileURLs", (None,))))
    assert (found.verdict, found.confidence) == (Verdict.EXPOSED, Confidence.POSSIBLE)


def test_object_in_front_of_the_value() -> None:
    """Readers may list the object before the arguments; the last one counts."""
    app = running(Call(SETTINGS, "setAllowFileAccess", (None, 0)))
    assert verdicts(RULE, app) == {"webview": Verdict.PROTECTED}


def test_scripts_alone() -> None:
    """Scripts alone are told."""
    found = verdicts(RULE, running(Call(SETTINGS, "setJavaScriptEnabled", (1,))))
    told = {"javascript": Verdict.INFO, "content": Verdict.INFO}
    assert found == {**told, "webview": Verdict.PROTECTED}


_SETTINGS = "Landroid/webkit/WebSettings;"
_VIRTUAL, _RESULT, _LITERAL, _RETURN = 0x6E, 0x000C, 0x0112, 0x0E


def _built(
    folder: Path,
    *settings: tuple[str, int],
    sdk: tuple[int | str | None, int | str | None],
    schemes: tuple[str, ...] = ("v2",),
) -> tuple[list[Finding], State | None]:
    """Build an app whose activity shows a page with these settings; return what the rule says, and what PR-A11 is by it."""
    code: list[object] = call(
        _VIRTUAL, "Landroid/webkit/WebView;", "getSettings", f"(){_SETTINGS}", 2
    )
    code.append(_RESULT)
    for name, value in settings:
        code.append(_LITERAL | value << 12)
        code += call(_VIRTUAL, _SETTINGS, name, "(I)V" if "Mixed" in name else "(Z)V", 0, 1)
    show = MethodCode("show", "(Landroid/webkit/WebView;)V", [*code, _RETURN])
    main = ClassCode(f"L{PACKAGE.replace('.', '/')}/MainActivity;", [show])
    path = folder / "app.apk"
    path.write_bytes(apk(code=assemble(main), sdk=sdk))
    app = open_app(path, Limits(), lambda: 60.0)
    assert app.signing is not None
    assert app.signing.schemes == ("v2",)
    app = replace(app, signing=replace(app.signing, schemes=schemes))
    found = list(RULE.run(app))
    (standing,) = standings_of((RULE,), found, app.coverage)
    return found, standing.state


def _bad(found: list[Finding]) -> dict[str, tuple[Severity, Confidence]]:
    by = f":{PACKAGE}.MainActivity.show"
    return {
        each.subject.removesuffix(by): (each.severity, each.confidence)
        for each in found
        if each.verdict is Verdict.EXPOSED
    }


def test_file_access_that_is_on_by_default(tmp_path: Path) -> None:
    """An app for Android 6 that sets nothing loads files, and its protection isn't proven; with targetSdk 30 it loads none."""
    found, state = _built(tmp_path, ("setJavaScriptEnabled", 1), sdk=(21, 23))
    assert _bad(found) == {"files": (Severity.LOW, Confidence.LIKELY)}
    assert state is State.ABSENT
    assert _built(tmp_path, ("setJavaScriptEnabled", 1), sdk=(21, 29))[1] is State.ABSENT
    found, state = _built(tmp_path, ("setJavaScriptEnabled", 1), sdk=(21, 30))
    assert (_bad(found), state) == ({}, State.PROVEN)


def test_file_access_that_is_switched_off(tmp_path: Path) -> None:
    """The mended twin is clean; what it lets pages from files read goes for its own assets only."""
    off = ("setAllowFileAccess", 0)
    assert _built(tmp_path, off, sdk=(21, 23))[1] is State.PROVEN
    for name in ("setAllowFileAccessFromFileURLs", "setAllowUniversalAccessFromFileURLs"):
        found, _ = _built(tmp_path, (name, 1), sdk=(21, 23))
        assert _bad(found)[name] == (Severity.MEDIUM, Confidence.CERTAIN)
        found, state = _built(tmp_path, off, (name, 1), sdk=(21, 23))
        assert _bad(found) == {name: (Severity.LOW, Confidence.LIKELY)}
        assert state is State.ABSENT


def test_defaults_of_old_targets(tmp_path: Path) -> None:
    """Below targetSdk 21 parts without TLS are loaded, below 16 pages from files read other files."""
    found, _ = _built(tmp_path, sdk=(21, 20))
    assert _bad(found) == {
        "files": (Severity.LOW, Confidence.LIKELY),
        "mixed": (Severity.MEDIUM, Confidence.LIKELY),
    }
    found, _ = _built(tmp_path, sdk=(21, 15))
    assert _bad(found)["file-urls"] == (Severity.MEDIUM, Confidence.LIKELY)
    stated = (("setMixedContentMode", 1), ("setAllowFileAccess", 0))
    assert _built(tmp_path, *stated, sdk=(21, 15))[1] is State.PROVEN
    found, state = _built(tmp_path, *stated, sdk=(20, 30), schemes=("v1", "v2"))
    assert _bad(found) == {"mixed:older": (Severity.LOW, Confidence.CERTAIN)}
    assert state is None
    # Phones before Android 7 don't install what isn't signed by v1, whatever its minSdk admits.
    assert _built(tmp_path, *stated, sdk=(20, 30))[1] is State.PROVEN


@pytest.mark.parametrize("sdk", [(21, "Baklava"), (21, 999)])
def test_target_that_nobody_knows(tmp_path: Path, sdk: tuple[int, int | str]) -> None:
    """A code name has no default that is known: nothing is claimed, and nothing is proven."""
    found, state = _built(tmp_path, sdk=sdk)
    assert {each.subject for each in found if each.verdict is Verdict.NOT_SEEN} == {
        "files",
        "mixed",
    }
    assert state is None


def test_versions_that_are_not_stated(tmp_path: Path) -> None:
    """The system takes 1 for both, and so does the rule."""
    found, state = _built(tmp_path, sdk=(None, None))
    assert set(_bad(found)) == {"files", "file-urls", "mixed"}
    assert state is State.ABSENT


def test_settings_of_another_class_and_views_of_clients() -> None:
    """Where another class switches files off the default is only possible; a client is handed a view that others set up."""
    shows = Class(MAIN, (Body("run", (Call(VIEW, "loadUrl"),)),))
    helper = Class(f"{MAIN}Views", (Body("set", (Call(SETTINGS, "setAllowFileAccess", (0,)),)),))
    client = Class(f"{MAIN}Client", shows.bodies, extends="android.webkit.WebViewClient")
    old = simulated(shows, helper)
    assert old.manifest is not None
    old = replace(old, manifest=replace(old.manifest, target_sdk=29))
    (found,) = (each for each in RULE.run(old) if each.verdict is Verdict.EXPOSED)
    assert (found.subject, found.confidence) == (f"files:{MAIN}.run", Confidence.POSSIBLE)
    alone = replace(simulated(client), manifest=old.manifest)
    assert verdicts(RULE, alone) == {"webview": Verdict.PROTECTED}
