"""See what a page in the app's browser views could reach."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_parts import AndroidRule, Look, last_constants, places

_SETTINGS: Final = "android.webkit.WebSettings"
_VIEW: Final = "android.webkit.WebView"

_FILES: Final = (
    "setAllowFileAccessFromFileURLs",
    "setAllowUniversalAccessFromFileURLs",
)
_ALWAYS_ALLOW: Final = 0
"""``MIXED_CONTENT_ALWAYS_ALLOW``, and what Java knows as false."""


def _see(look: Look) -> Iterator[Finding]:
    found = [*_bridges(look), *_files(look), *_mixed(look), *_debugging(look)]
    yield from found
    scripts = [
        use for use, value in last_constants(look, _SETTINGS, "setJavaScriptEnabled") if value != 0
    ]
    if scripts:
        yield look.told(
            "javascript",
            "Pages in a browser view may run scripts.",
            Severity.LOW,
            at=places(scripts),
        )
    if not found:
        what = "No page in a browser view reaches native functions or local files by a setting of the app's own code."
        yield look.clean("webview", what)


def _bridges(look: Look) -> Iterator[Finding]:
    for use in dict.fromkeys(look.calls(_VIEW, "addJavascriptInterface")):
        title = f"{use.by} hands native functions to the pages in a browser view."
        yield look.exposed(f"bridge:{use.by}", title, Severity.MEDIUM, at=places([use]))


def _files(look: Look) -> Iterator[Finding]:
    for name in _FILES:
        for use, value in dict.fromkeys(last_constants(look, _SETTINGS, name)):
            if value != 0:
                title = f"{use.by} lets pages from files read other files ({name})."
                sure = Confidence.CERTAIN if value == 1 else Confidence.POSSIBLE
                yield look.exposed(
                    f"{name}:{use.by}", title, Severity.MEDIUM, at=places([use]), confidence=sure
                )
    for use, value in dict.fromkeys(last_constants(look, _SETTINGS, "setAllowFileAccess")):
        if value != 0:
            title = f"{use.by} lets pages be loaded from files."
            yield look.exposed(
                f"files:{use.by}",
                title,
                Severity.LOW,
                at=places([use]),
                confidence=Confidence.LIKELY,
            )


def _mixed(look: Look) -> Iterator[Finding]:
    for use, value in dict.fromkeys(last_constants(look, _SETTINGS, "setMixedContentMode")):
        if value == _ALWAYS_ALLOW:
            title = f"{use.by} lets pages that came by TLS load parts without."
            yield look.exposed(f"mixed:{use.by}", title, Severity.MEDIUM, at=places([use]))


def _debugging(look: Look) -> Iterator[Finding]:
    for use, value in dict.fromkeys(last_constants(look, _VIEW, "setWebContentsDebuggingEnabled")):
        if value != 0:
            title = f"{use.by} lets a computer on the cable debug the pages."
            yield look.exposed(
                f"debug:{use.by}",
                title,
                Severity.LOW,
                at=places([use]),
                confidence=Confidence.LIKELY,
            )


RULE = AndroidRule(
    id="webview",
    title="What pages in browser views reach",
    techniques=("MT-A20",),
    protections={"PR-A11": "scan:static.webview"},
    todo="Load only pages of one's own by https in a view with a bridge, and switch file access off.",
    blind="It doesn't know which pages are loaded, nor what the functions behind a bridge do; a class that extends WebView and calls "
    "its own methods may be missed.",
    parts=(Part.DEX,),
    see=_see,
)
