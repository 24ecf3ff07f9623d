"""Tests of the table of platform defaults: each row turns a verdict at its version, and says where it was read."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

import pytest
from tests.unit.scan.ios_builders import ats, info, ipa, read
from tests.unit.scan.simulated import (
    MAIN,
    PACKAGE,
    Call,
    manifest,
    running,
    simulated,
    verdicts,
)

from watchword.scan import defaults
from watchword.scan.app import (
    App,
    Certificate,
    Component,
    Container,
    DomainConfig,
    Entry,
    IntentFilter,
    NetworkConfig,
    PinSet,
    Signing,
)
from watchword.scan.defaults import (
    ANDROID_DEFAULTS,
    IOS_DEFAULTS,
    Levels,
    PlatformDefault,
    Where,
    android_levels,
    levels_of,
)
from watchword.scan.interface import Severity, Verdict
from watchword.scan.registry import RULES

BY_ID = {rule.id: rule for rule in RULES}
ALL = (*ANDROID_DEFAULTS, *IOS_DEFAULTS)
VERSIONED = tuple(each for each in ALL if each.target or each.device)
SETTINGS, VIEW = "android.webkit.WebSettings", "android.webkit.WebView"
LATEST = 36

Build = Callable[[int, int], App]


def _stated(least: int, target: int, *components: Component, **more: object) -> App:
    stated = replace(manifest(*components), min_sdk=least, target_sdk=target)
    return simulated(manifest=replace(stated, **more))  # type: ignore[arg-type]


def _calling(*calls: Call) -> Build:
    def build(least: int, target: int) -> App:
        return replace(running(*calls), manifest=_stated(least, target).manifest)

    return build


def _config(*, base: bool | None, pins: tuple[str, ...] = ()) -> Build:
    host = (("api.example.test", False),)
    pinned = PinSet(pins, None) if pins else None
    config = NetworkConfig(
        "res/xml/net.xml",
        DomainConfig((), base, user_anchors=False, pin_set=None),
        (DomainConfig(host, cleartext=None, user_anchors=False, pin_set=pinned),),
    )
    return lambda least, target: replace(
        _stated(least, target, network_config="res/xml/net.xml"), network=config
    )


def _component(kind: str, *filters: IntentFilter, exported: bool = False) -> Build:
    one = Component(
        kind, f"{PACKAGE}.Inner", exported, stated=False, permission=None, filters=filters
    )
    return lambda least, target: _stated(least, target, one)


def _signed(*schemes: str) -> Build:
    certificate = Certificate("ab" * 32, "CN=Shop", "RSA", 2048, "sha256", None)
    signing = Signing(schemes, (certificate,))
    return lambda least, target: replace(_stated(least, target), signing=signing)


def _resources(least: int, target: int) -> App:
    return replace(_signed("v2")(least, target), entries=(Entry("resources.arsc", 100),))


def _ios(**settings: object) -> Build:
    def build(least: int, linked: int) -> App:
        plist = info(
            MinimumOSVersion=f"{least}.0",
            DTSDKName=f"iphoneos{linked}.1",
            NSAppTransportSecurity=settings,
        )
        return read(ipa(plist))

    return build


LINK = IntentFilter(
    ("android.intent.action.VIEW",),
    ("android.intent.category.BROWSABLE",),
    ("https://id.example.test/oauth2redirect",),
    verified=True,
)
GO = IntentFilter((f"{PACKAGE}.GO",), (), ())
SPKI = {"SPKI-SHA256-BASE64": "A" * 43 + "="}
PINNED = {"NSPinnedDomains": {"api.example": {"NSPinnedLeafIdentities": [SPKI]}}}
WIDE = {"NSAllowsArbitraryLoads": True, "NSAllowsLocalNetworking": True}

CASES: Mapping[str, tuple[str, Build, str]] = {
    "WEBVIEW_FILES": ("webview", _calling(Call(VIEW, "loadUrl")), f"files:{MAIN}.run"),
    "WEBVIEW_FILE_URLS": ("webview", _calling(Call(VIEW, "loadUrl")), f"file-urls:{MAIN}.run"),
    "WEBVIEW_MIXED": ("webview", _calling(Call(VIEW, "loadUrl")), "mixed"),
    "WEBVIEW_BRIDGE": ("webview", _calling(Call(VIEW, "addJavascriptInterface")), "every public"),
    "CLEARTEXT": ("cleartext-traffic", _stated, "by default"),
    "CLEARTEXT_FLAG": (
        "cleartext-traffic",
        lambda least, target: _stated(least, target, cleartext=False),
        "older",
    ),
    "NETWORK_CONFIG": ("pinning", _config(base=False, pins=("AA=", "BB=")), "older"),
    "USER_AUTHORITIES": ("pinning", _stated, "user:"),
    "EXPORTED_BY_FILTER": ("install-refused", _component("service", GO), "exported"),
    "PROVIDERS": ("exported-components", _component("provider"), f"{PACKAGE}.Inner"),
    "BACKUP_TRANSFER": (
        "backup-allowed",
        lambda least, target: _stated(least, target, allow_backup=False),
        "transfer",
    ),
    "BACKUP_RULES": (
        "backup-allowed",
        lambda least, target: _stated(least, target, data_extraction_rules="res/xml/new.xml"),
        "older",
    ),
    "APP_LINKS": ("deep-links", _component("activity", LINK), "older"),
    "PENDING_INTENTS": (
        "pending-intents",
        _calling(Call("android.app.PendingIntent", "getActivity", (None, 0, None, 0))),
        "default:",
    ),
    "TASKS": ("task-hijacking", _stated, "StrandHogg"),
    "SIGNATURE_V2": ("signing-scheme", _signed("v1", "v2"), "janus"),
    "JANUS": ("signing-scheme", _signed("v1"), "Janus"),
    "V1_ALONE": ("install-refused", _signed("v1"), "v1-only"),
    "RESOURCES": ("install-refused", _resources, "resources"),
    "ATS": ("ats-exceptions", _ios(), "isn't applied|don't know App"),
    "ATS_NARROWER": ("ats-exceptions", _ios(**WIDE), "every-host"),
    "PINNED_DOMAINS": ("ios-pinned-domains", _ios(**PINNED), "before-14"),
}
"""By row: a rule that rests on it, an app of these versions, and what of its findings tells the one default from the other."""


FIGURES = {
    "WEBVIEW_FILES": (30, 0),
    "WEBVIEW_FILE_URLS": (16, 0),
    "WEBVIEW_MIXED": (21, 21),
    "WEBVIEW_BRIDGE": (17, 17),
    "CLEARTEXT": (28, 28),
    "CLEARTEXT_FLAG": (0, 23),
    "NETWORK_CONFIG": (0, 24),
    "USER_AUTHORITIES": (24, 24),
    "EXPORTED_BY_FILTER": (31, 31),
    "PROVIDERS": (17, 17),
    "BACKUP_TRANSFER": (31, 31),
    "BACKUP_RULES": (0, 31),
    "APP_LINKS": (0, 23),
    "PENDING_INTENTS": (31, 31),
    "TASKS": (28, 0),
    "SIGNATURE_V2": (0, 24),
    "JANUS": (0, 27),
    "V1_ALONE": (30, 30),
    "RESOURCES": (30, 30),
    "ATS": (9, 9),
    "ATS_NARROWER": (0, 10),
    "PINNED_DOMAINS": (0, 14),
}
"""By row what its source says: from which target and from which phones on. Written by hand, so that a slip in the table shows."""


def _row(name: str) -> PlatformDefault:
    row = getattr(defaults, name)
    assert isinstance(row, PlatformDefault)
    return row


def _says(name: str, least: int, target: int) -> bool:
    """Tell whether the rule says what tells the defaults apart."""
    rule, build, marks = CASES[name]
    told = [f"{each.subject} {each.title}" for each in BY_ID[rule].run(build(least, target))]
    return any(mark in text for text in told for mark in marks.split("|"))


def test_every_row_with_a_version_has_a_case() -> None:
    """A row that turns no verdict is a claim that nobody uses."""
    assert {id(_row(name)) for name in CASES} == {id(each) for each in VERSIONED}


def test_the_figures_are_those_of_the_sources() -> None:
    """A version that slips turns every verdict that rests on it."""
    assert {name: (_row(name).target, _row(name).device) for name in CASES} == FIGURES


@pytest.mark.parametrize("name", [name for name in CASES if _row(name).target])
def test_the_target_turns_the_verdict_at_its_version(name: str) -> None:
    """One version of targetSdk below the row's, and the row's own, on phones that all know the later default."""
    row = _row(name)
    newest = max(row.device, row.target)
    before, after = _says(name, newest, row.target - 1), _says(name, newest, row.target)
    assert before is not after


@pytest.mark.parametrize("name", [name for name in CASES if _row(name).device])
def test_the_oldest_phone_turns_the_verdict_at_its_version(name: str) -> None:
    """The same target, on phones of the row's version and of one before it."""
    row = _row(name)
    if name in {"BACKUP_TRANSFER", "V1_ALONE", "RESOURCES", "EXPORTED_BY_FILTER"}:
        # What gets worse on newer phones is so wherever one of them is admitted, and there is no newest one.
        assert _says(name, row.device - 1, LATEST) is _says(name, row.device, LATEST) is True
        return
    latest = LATEST if row in ANDROID_DEFAULTS else 18
    assert _says(name, row.device - 1, latest) is True
    assert _says(name, row.device, latest) is False


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.setting)
def test_a_row_says_where_and_when_it_was_read(row: PlatformDefault) -> None:
    """An address, a day, and rules that there are; where no version changes it, both defaults are alike."""
    assert all(each.startswith("https://") for each in (row.source, *row.more))
    assert date(2026, 1, 1) < row.read < date(2030, 1, 1)
    assert set(row.rules) <= set(BY_ID)
    assert (row.before == row.after) is (not row.target and not row.device)
    assert bool(row.device) is bool(row.system)
    assert row.system == "" or str(row.device) in row.system


@pytest.mark.parametrize(
    ("least", "target", "expected"),
    [
        (None, None, Levels(1, 1)),
        (21, None, Levels(21, 21)),
        (None, 30, Levels(1, 30)),
        (0, -5, Levels(1, 1)),
        (30, 21, Levels(30, 21)),
        (10_000, None, Levels(None, None)),
        (21, 10_000, Levels(21, None)),
        (21, 2**31 - 1, Levels(21, None)),
        (999, 999, Levels(None, None)),
    ],
)
def test_versions_that_are_missing_unknown_or_absurd(
    least: int | None, target: int | None, expected: Levels
) -> None:
    """What isn't stated is 1 or the oldest; a code name and what nobody released have no default that is known."""
    assert android_levels(least, target) == expected


@pytest.mark.parametrize(
    ("schemes", "container", "least"),
    [
        (("v2",), Container.APK, 24),
        (("v2", "v3"), Container.SPLITS, 24),
        (("v1", "v2"), Container.APK, 19),
        (("v1",), Container.AAB, 19),
        (("v2",), Container.AAB, 19),
        ((), Container.APK, 19),
    ],
)
def test_a_signature_that_older_phones_refuse(
    schemes: tuple[str, ...], container: Container, least: int
) -> None:
    """What isn't signed by v1 no phone before Android 7 installs; a bundle is signed anew by the store."""
    app = replace(_signed(*schemes)(19, 34), container=container)
    assert levels_of(app) == Levels(least, 34)
    assert levels_of(replace(app, manifest=None)) == Levels(None, None)


@pytest.mark.parametrize("row", [each for each in ANDROID_DEFAULTS if each.target])
def test_an_unknown_version_is_never_taken_for_a_new_one(row: PlatformDefault) -> None:
    """Neither default is taken for granted where the target isn't known, nor where the oldest phone isn't."""
    assert row.before_on(Levels(21, None)) is Where.UNKNOWN
    if row.device:
        assert row.before_on(Levels(None, LATEST)) is Where.UNKNOWN
    assert row.before_on(Levels(None, row.target - 1)) is Where.EVERYWHERE


UNKNOWN = {
    "webview": _calling(Call(VIEW, "loadUrl")),
    "cleartext-traffic": _stated,
    "pinning": _stated,
    "exported-components": _component("provider"),
    "backup-allowed": CASES["BACKUP_TRANSFER"][1],
    "pending-intents": CASES["PENDING_INTENTS"][1],
    "task-hijacking": _stated,
    "install-refused": _signed("v1"),
}


@pytest.mark.parametrize("rule", sorted(UNKNOWN))
@pytest.mark.parametrize("version", [10_000, 999])
def test_a_code_name_for_a_target_is_not_seen(rule: str, version: int) -> None:
    """Each rule that rests on a default says so, and proves nothing."""
    found = list(BY_ID[rule].run(UNKNOWN[rule](30, version)))
    assert any(each.verdict is Verdict.NOT_SEEN for each in found)


def test_a_missing_target_is_the_oldest_version() -> None:
    """An app that states no version gets the oldest defaults, as the system gives them."""
    app = simulated(manifest=replace(manifest(), min_sdk=None, target_sdk=None))
    assert verdicts(BY_ID["cleartext-traffic"], app) == {"default": Verdict.EXPOSED}
    app = replace(running(Call(VIEW, "loadUrl")), manifest=app.manifest)
    found = {each.subject: each for each in BY_ID["webview"].run(app)}
    assert found[f"file-urls:{MAIN}.run"].severity is Severity.MEDIUM
    assert found[f"files:{MAIN}.run"].verdict is Verdict.EXPOSED


def test_a_plist_that_names_no_sdk_is_not_seen() -> None:
    """By which SDK an app of iOS was linked decides whether App Transport Security is applied."""
    for left in ("DTSDKName", "MinimumOSVersion"):
        plist = {key: value for key, value in ats().items() if key != left}
        found = {
            each.subject: each.verdict for each in BY_ID["ats-exceptions"].run(read(ipa(plist)))
        }
        assert found["sdk"] is Verdict.NOT_SEEN
