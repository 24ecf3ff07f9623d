"""See what a page in the app's browser views could reach."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from watchword.scan.app import Method, Part, Use
from watchword.scan.defaults import (
    WEBVIEW_BRIDGE,
    WEBVIEW_CONTENT,
    WEBVIEW_FILE_URLS,
    WEBVIEW_FILES,
    WEBVIEW_MIXED,
    Levels,
    PlatformDefault,
    Where,
    levels_of,
)
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, last_constants, places

_SETTINGS: Final = "android.webkit.WebSettings"
_VIEW: Final = "android.webkit.WebView"

_FILES: Final = "setAllowFileAccess"
_MIXED: Final = "setMixedContentMode"
_FILE_URLS: Final = (
    "setAllowFileAccessFromFileURLs",
    "setAllowUniversalAccessFromFileURLs",
)
_SHOWS: Final = (
    "<init>",
    "addJavascriptInterface",
    "getSettings",
    "loadData",
    "loadDataWithBaseURL",
    "loadUrl",
    "postUrl",
    "setWebChromeClient",
    "setWebViewClient",
)
"""What a class calls that sets a view up or shows something in it."""

_CLIENTS: Final = frozenset({"android.webkit.WebChromeClient", "android.webkit.WebViewClient"})
"""Classes that are handed a view which another one set up."""

_OLDER: Final = "mixed:older"
_ALWAYS_ALLOW: Final = 0
"""``MIXED_CONTENT_ALWAYS_ALLOW``, and what Java knows as false."""


@dataclass(frozen=True, slots=True)
class _Views:
    """Hold who of the app's own has to do with browser views, and what it states of them.

    A view and its settings are known by the class that holds both, its inner ones included; further nobody follows them here.
    """

    context: RuleContext
    levels: Levels
    by_class: dict[str, list[Method]]
    stated: dict[str, list[tuple[Use, str | int | None]]]

    def values(self, setting: str, cls: str) -> list[str | int | None]:
        """Return what a class sets, None for what isn't constant; nothing where it leaves the default."""
        return [value for use, value in self.stated[setting] if _outer(use.by) == cls]

    def by_default(self, setting: str) -> Iterator[Method]:
        """Yield one method of each class that has a view and leaves a setting as it is."""
        for cls, methods in self.by_class.items():
            if not self.values(setting, cls):
                yield methods[0]

    def confidence(self, by: Method, setting: str) -> Confidence:
        """Return how sure it is that the default counts: another class may state the setting for this one's view."""
        unsure = bool(self.stated[setting]) or self.context.unsure(by)
        return Confidence.POSSIBLE if unsure else Confidence.LIKELY

    def no_files(self, cls: str) -> bool:
        """Tell whether the views of a class load no files but the app's own assets."""
        values = self.values(_FILES, cls)
        if values:
            return all(value == 0 for value in values)
        return WEBVIEW_FILES.before_on(self.levels) is Where.NOWHERE


def _outer(by: Method) -> str:
    return by.cls.partition("$")[0]


def _views(context: RuleContext) -> _Views:
    settings = (_FILES, _MIXED, "setAllowContentAccess", *_FILE_URLS)
    stated = {
        name: list(dict.fromkeys(last_constants(context, _SETTINGS, name))) for name in settings
    }
    by_class: dict[str, list[Method]] = {}
    for use in (*context.calls(_VIEW, *_SHOWS), *context.calls(_SETTINGS)):
        if context.code.superclass(use.by.cls) not in _CLIENTS:
            by_class.setdefault(_outer(use.by), []).append(use.by)
    return _Views(context, levels_of(context.app), by_class, stated)


def _check(context: RuleContext) -> Iterator[Finding]:
    views = _views(context)
    found = [*_bridges(views), *_files(views), *_file_urls(views), *_mixed(views)]
    found += _debugging(context)
    yield from found
    yield from _told(views)
    if all(each.subject == _OLDER for each in found):
        what = "No page in a browser view reaches native functions or local files, by settings of the app's own code or by default."
        # What holds on newer phones only proves nothing.
        yield context.clean(
            "webview", what, confidence=Confidence.POSSIBLE if found else Confidence.LIKELY
        )


def _told(views: _Views) -> Iterator[Finding]:
    context = views.context
    scripts = [
        use
        for use, value in last_constants(context, _SETTINGS, "setJavaScriptEnabled")
        if value != 0
    ]
    if scripts:
        yield context.info(
            "javascript",
            "Pages in a browser view may run scripts.",
            Severity.LOW,
            at=places(scripts),
        )
    left = list(views.by_default("setAllowContentAccess")) if scripts else []
    if left:
        title = f"By default {WEBVIEW_CONTENT.before}: nothing switches it off."
        yield context.info("content", title, at=places(left))


def _unknown(views: _Views, subject: str, setting: str, by: Iterable[Method]) -> Iterator[Finding]:
    if any(True for _ in by):
        title = f"The default of {setting} isn't known: the app names a version of Android that nobody knows, or none was read."
        yield views.context.not_seen(subject, title)


def _bridges(views: _Views) -> Iterator[Finding]:
    context, where = views.context, WEBVIEW_BRIDGE.before_on(views.levels)
    more = {
        Where.EVERYWHERE: ", every public method of them, by the default of its targetSdk",
        Where.OLDER: f", every public method of them on {WEBVIEW_BRIDGE.older_inside}",
    }.get(where, "")
    for use in dict.fromkeys(context.calls(_VIEW, "addJavascriptInterface")):
        title = f"{use.by} hands native functions to the pages in a browser view{more}."
        yield context.exposed(f"bridge:{use.by}", title, Severity.MEDIUM, at=places([use]))


def _files(views: _Views) -> Iterator[Finding]:
    context = views.context
    for use, value in views.stated[_FILES]:
        if value != 0:
            title = f"{use.by} lets pages be loaded from files."
            sure = Confidence.LIKELY if value == 1 else Confidence.POSSIBLE
            yield context.exposed(
                f"files:{use.by}", title, Severity.LOW, at=places([use]), confidence=sure
            )
    where = WEBVIEW_FILES.before_on(views.levels)
    if where is Where.UNKNOWN:
        yield from _unknown(views, "files", _FILES, views.by_default(_FILES))
    elif where is Where.EVERYWHERE:
        for by in views.by_default(_FILES):
            title = f"{by} leaves pages that are loaded from files on, as they are by default: {_since(views, WEBVIEW_FILES)}."
            yield context.exposed(
                f"files:{by}",
                title,
                Severity.LOW,
                at=places([by]),
                confidence=views.confidence(by, _FILES),
            )


def _since(views: _Views, default: PlatformDefault) -> str:
    return f"targetSdk is {views.levels.target}, below {default.target}"


def _file_urls(views: _Views) -> Iterator[Finding]:
    context = views.context
    for name in _FILE_URLS:
        for use, value in views.stated[name]:
            if value == 0:
                continue
            sure = Confidence.CERTAIN if value == 1 else Confidence.POSSIBLE
            severity = Severity.MEDIUM
            title = f"{use.by} lets pages from files read other files ({name})."
            if views.no_files(_outer(use.by)):
                severity, sure = Severity.LOW, min(sure, Confidence.LIKELY, key=_least_sure)
                title = f"{use.by} lets pages from the app's own assets read more than a site's ({name}); no other files are loaded."
            yield context.exposed(
                f"{name}:{use.by}", title, severity, at=places([use]), confidence=sure
            )
    left = [by for name in _FILE_URLS for by in views.by_default(name)]
    if WEBVIEW_FILE_URLS.before_on(views.levels) is Where.EVERYWHERE:
        for by in dict.fromkeys(left):
            if not views.no_files(_outer(by)):
                title = f"{by} leaves pages from files free to read other files, as they are by default: {_since(views, WEBVIEW_FILE_URLS)}."
                sure = views.confidence(by, _FILE_URLS[0])
                yield context.exposed(
                    f"file-urls:{by}", title, Severity.MEDIUM, at=places([by]), confidence=sure
                )


def _least_sure(confidence: Confidence) -> int:
    return (Confidence.POSSIBLE, Confidence.LIKELY, Confidence.CERTAIN).index(confidence)


def _mixed(views: _Views) -> Iterator[Finding]:
    context = views.context
    for use, value in views.stated[_MIXED]:
        if value == _ALWAYS_ALLOW:
            title = f"{use.by} lets pages that came by TLS load parts without."
            yield context.exposed(f"mixed:{use.by}", title, Severity.MEDIUM, at=places([use]))
    left = [] if context.offline else list(views.by_default(_MIXED))
    where = WEBVIEW_MIXED.before_on(views.levels)
    if where is Where.UNKNOWN:
        yield from _unknown(views, "mixed", _MIXED, left)
    elif where is Where.EVERYWHERE:
        for by in left:
            title = f"{by} lets pages that came by TLS load parts without, as they may by default: {_since(views, WEBVIEW_MIXED)}."
            sure = views.confidence(by, _MIXED)
            yield context.exposed(
                f"mixed:{by}", title, Severity.MEDIUM, at=places([by]), confidence=sure
            )
    elif where is Where.OLDER and views.by_class and not context.offline:
        # There the setting isn't known, so that nothing that the app states of it helps.
        every = [methods[0] for methods in views.by_class.values()]
        title = f"{WEBVIEW_MIXED.older} let pages that came by TLS load parts without, and the app runs on them."
        yield context.exposed(_OLDER, title, Severity.LOW, at=places(every))


def _debugging(context: RuleContext) -> Iterator[Finding]:
    for use, value in dict.fromkeys(
        last_constants(context, _VIEW, "setWebContentsDebuggingEnabled")
    ):
        if value != 0:
            title = f"{use.by} lets a computer on the cable debug the pages."
            yield context.exposed(
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
    todo="In a view with a bridge, load only your own pages by https. Switch file access off by "
    "setAllowFileAccess(false): below targetSdk 30 it's on by default.",
    blind="It doesn't know which pages are loaded, nor what the functions behind a bridge do. It may miss a class that "
    "extends WebView and calls its own methods. A setting counts for the views of the class that calls it; if another "
    "class sets it, the default is only possible.",
    parts=(Part.DEX,),
    check=_check,
)
