"""Rules over apps of iOS, on IPAs that are built with one thing set."""

import base64
import plistlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.scan.ios_builders import EXECUTABLE, FOLDER, PLIST, Image, ats, info, ipa, read

from watchword.scan.app import App, Part
from watchword.scan.interface import Confidence, Rule, Severity, Verdict
from watchword.scan.rule_kinds import MOST_NAMES
from watchword.scan.rules.ats_exceptions import RULE as ATS
from watchword.scan.rules.ios_debuggable import RULE as DEBUGGABLE
from watchword.scan.rules.ios_encrypted import RULE as ENCRYPTED
from watchword.scan.rules.ios_pinned_domains import RULE as PINS
from watchword.scan.rules.privacy_manifest import RULE as PRIVACY
from watchword.scan.rules.url_schemes import RULE as SCHEMES
from watchword.vocabulary import Platform

RULES: tuple[Rule, ...] = (ATS, DEBUGGABLE, ENCRYPTED, PINS, PRIVACY, SCHEMES)
EXPOSED, PROTECTED, ABSENT = Verdict.EXPOSED, Verdict.PROTECTED, Verdict.ABSENT
NOT_SEEN, TOLD = Verdict.NOT_SEEN, Verdict.INFO
SPKI = [base64.b64encode(bytes([number]) * 32).decode() for number in range(2)]


def _seen(rule: Rule, app: App) -> set[tuple[Verdict, str]]:
    return {(one.verdict, one.subject) for one in rule.run(app)}


def _of(rule: Rule, plist: Mapping[str, object]) -> set[tuple[Verdict, str]]:
    return _seen(rule, read(ipa(plist)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_other_platforms_and_unread_apps(rule: Rule) -> None:
    """Of Android a rule says nothing; of an app that doesn't say what it is, that it wasn't seen."""
    app = read(ipa())
    assert list(rule.run(replace(app, platform=Platform.ANDROID))) == []
    broken = read(ipa() | {PLIST: b"damaged"})
    assert {one.verdict for one in rule.run(broken)} == {NOT_SEEN}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {(PROTECTED, "ats")}),
        ({"NSAllowsArbitraryLoads": True}, {(EXPOSED, "every-host")}),
        ({"NSAllowsArbitraryLoads": "YES"}, {(EXPOSED, "every-host")}),
        ({"NSAllowsArbitraryLoads": False}, {(PROTECTED, "ats")}),
        (
            {"NSAllowsArbitraryLoads": True, "NSAllowsLocalNetworking": True},
            {(TOLD, "local"), (PROTECTED, "ats")},
        ),
        (
            {"NSAllowsArbitraryLoads": True, "NSAllowsArbitraryLoadsInWebContent": True},
            {(EXPOSED, "NSAllowsArbitraryLoadsInWebContent")},
        ),
        ({"NSAllowsArbitraryLoadsForMedia": True}, {(EXPOSED, "NSAllowsArbitraryLoadsForMedia")}),
    ],
    ids=["none", "all", "word", "off", "local", "web", "media"],
)
def test_ats_for_every_host(
    settings: dict[str, object], expected: set[tuple[Verdict, str]]
) -> None:
    """The wide key opens every host, unless a narrower one stands beside it."""
    assert _of(ATS, ats(**settings)) == expected


@pytest.mark.parametrize(
    ("domain", "settings", "expected"),
    [
        ("a.example", {"NSExceptionAllowsInsecureHTTPLoads": True}, {(EXPOSED, "a.example")}),
        (
            "a.example",
            {"NSThirdPartyExceptionAllowsInsecureHTTPLoads": 1},
            {(EXPOSED, "a.example")},
        ),
        ("a.example", {"NSExceptionAllowsInsecureHTTPLoads": False}, {(PROTECTED, "ats")}),
        ("localhost", {"NSExceptionAllowsInsecureHTTPLoads": True}, {(PROTECTED, "ats")}),
        ("printer.local", {"NSExceptionAllowsInsecureHTTPLoads": True}, {(PROTECTED, "ats")}),
        (
            "a.example",
            {"NSExceptionMinimumTLSVersion": "TLSv1.0"},
            {(TOLD, "tls:a.example"), (PROTECTED, "ats")},
        ),
        ("a.example", {"NSExceptionMinimumTLSVersion": "TLSv1.3"}, {(PROTECTED, "ats")}),
        (
            "a.example",
            {"NSExceptionRequiresForwardSecrecy": False},
            {(TOLD, "secrecy:a.example"), (PROTECTED, "ats")},
        ),
        ("a.example", {"NSExceptionRequiresForwardSecrecy": True}, {(PROTECTED, "ats")}),
    ],
)
def test_ats_for_a_domain(
    domain: str, settings: dict[str, object], expected: set[tuple[Verdict, str]]
) -> None:
    """An exception opens its domain; weak TLS is told, since it's encrypted all the same."""
    assert _of(ATS, ats(NSExceptionDomains={domain: settings})) == expected


def test_ats_of_old_systems_and_builds() -> None:
    """On iOS 9 the narrower keys don't count; builds against older systems aren't bound at all."""
    wide = {"NSAllowsArbitraryLoads": True, "NSAllowsLocalNetworking": True}
    old = ats(**wide) | {"MinimumOSVersion": "9.3"}
    assert (EXPOSED, "every-host") in _of(ATS, old)
    assert _of(ATS, info(DTSDKName="iphoneos8.4")) == {(EXPOSED, "sdk")}
    on_ios_8 = read(ipa(info(MinimumOSVersion="8.0")))
    assert _seen(ATS, on_ios_8) == {(EXPOSED, "older"), (PROTECTED, "ats")}
    (ats_is_on,) = (each for each in ATS.run(on_ios_8) if each.verdict is PROTECTED)
    assert ats_is_on.confidence is Confidence.POSSIBLE


def test_too_many_exceptions_are_never_clean() -> None:
    """Exceptions beyond those that are looked at leave the verdict open."""
    domains: dict[str, object] = {f"{number:04}.example": {} for number in range(MOST_NAMES + 1)}
    assert _of(ATS, ats(NSExceptionDomains=domains)) == {(NOT_SEEN, "more")}


def _pinned(*pins: str, **more: object) -> dict[str, object]:
    leaves = [{"SPKI-SHA256-BASE64": pin} for pin in pins]
    return ats(NSPinnedDomains={"api.example": {"NSPinnedLeafIdentities": leaves, **more}})


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        (SPKI, {(PROTECTED, "api.example")}),
        (SPKI[:1], {(PROTECTED, "api.example"), (TOLD, "backup:api.example")}),
        (SPKI[:1] * 2, {(PROTECTED, "api.example"), (TOLD, "backup:api.example")}),
        (["AAAA"], {(TOLD, "broken:api.example"), (ABSENT, "pinning")}),
        ([], {(TOLD, "broken:api.example"), (ABSENT, "pinning")}),
    ],
    ids=["two", "one", "twice", "short", "none"],
)
def test_pins_in_info_plist(pins: list[str], expected: set[tuple[Verdict, str]]) -> None:
    """Two pins protect; one has no backup, also if it stands there twice; what is no SHA-256 pins nothing."""
    assert _of(PINS, _pinned(*pins)) == expected


def test_pins_of_authorities_count_too() -> None:
    """A pin of an authority is the backup of a leaf's."""
    authority = [{"SPKI-SHA256-BASE64": SPKI[1]}]
    assert _of(PINS, _pinned(SPKI[0], NSPinnedCAIdentities=authority)) == {
        (PROTECTED, "api.example")
    }


def test_pins_before_ios_14() -> None:
    """Older systems ignore pins in Info.plist: the app that runs on them is open there, and nothing is proven."""
    old = read(ipa(_pinned(*SPKI) | {"MinimumOSVersion": "13.0"}))
    assert _seen(PINS, old) == {(EXPOSED, "before-14"), (PROTECTED, "api.example")}
    (pins,) = (each for each in PINS.run(old) if each.verdict is PROTECTED)
    assert pins.confidence is Confidence.POSSIBLE


@pytest.mark.parametrize(
    ("enforce", "expected"),
    [
        (True, {(PROTECTED, "api.example")}),
        (False, {(TOLD, "report:api.example"), (ABSENT, "pinning")}),
    ],
    ids=["enforced", "reported"],
)
def test_pins_of_trustkit(enforce: bool, expected: set[tuple[Verdict, str]]) -> None:
    """TrustKit's pins protect where they're enforced, and not where they're only reported."""
    domain = {"TSKEnforcePinning": enforce, "TSKPublicKeyHashes": SPKI}
    assert _of(PINS, info(TSKConfiguration={"TSKPinnedDomains": {"api.example": domain}})) == (
        expected
    )


def test_pinning_in_code_is_not_absent() -> None:
    """Code that works with certificates may pin: that it doesn't isn't claimed, nor of code that wasn't read."""
    assert _of(PINS, info()) == {(ABSENT, "pinning")}
    by_hand = Image(entitlements={}, imports=("_SecTrustCopyKey",))
    assert _seen(PINS, read(ipa(image=by_hand))) == {(NOT_SEEN, "pinning")}
    certificate = read(ipa(files={f"{FOLDER}api.cer": b"\x30"}))
    assert _seen(PINS, certificate) == {(NOT_SEEN, "pinning")}
    hidden = Image(entitlements={}, encryption=1, text=b"x" * 9)
    assert _seen(PINS, read(ipa(image=hidden))) == {(NOT_SEEN, "pinning")}


@pytest.mark.parametrize("named", ["Shop", "", "Shop.dylib"])
def test_without_its_executable_nothing_is_absent(named: str) -> None:
    """Its code could pin: an IPA whose executable isn't there says so at the top, and no rule says that pins are missing."""
    files = ipa(info(CFBundleExecutable=named))
    del files[EXECUTABLE]
    app = read(files)
    assert [gap.why for gap in app.coverage.gaps_of(Part.NATIVE)] == [
        "the app's executable isn't in the package"
    ]
    assert {each.verdict for each in PINS.run(app)} == {Verdict.NOT_SEEN}


def _opened(*schemes: str, name: str = "com.example") -> dict[str, object]:
    return info(CFBundleURLTypes=[{"CFBundleURLName": name, "CFBundleURLSchemes": list(schemes)}])


def test_schemes() -> None:
    """A scheme is told; one that is named as a sign-in's answer, or belongs to a sign-in kit, is exposed."""
    assert _of(SCHEMES, _opened("shop")) == {(TOLD, "shop")}
    assert _of(SCHEMES, _opened("shop-oauth")) == {(EXPOSED, "shop-oauth")}
    assert _of(SCHEMES, _opened("shop", name="login callback")) == {(EXPOSED, "shop")}
    google = "com.googleusercontent.apps.123-abc"
    assert _of(SCHEMES, _opened(google)) == {(EXPOSED, google)}
    assert _of(SCHEMES, info()) == {(TOLD, "links")}


def test_a_scheme_that_code_uses_for_an_answer() -> None:
    """An address of the scheme that is named as an answer is found in code and in scripts, with its place."""
    image = Image(entitlements={}, plain=b"\0shop://oauth/callback\0")
    (found,) = SCHEMES.run(read(ipa(_opened("shop"), image)))
    assert found.verdict is EXPOSED
    assert EXECUTABLE in {place.file for place in found.locations}
    script = {f"{FOLDER}main.jsbundle": b'a();\nb="shop://signin";'}
    (found,) = SCHEMES.run(read(ipa(_opened("shop"), files=script)))
    assert (f"{FOLDER}main.jsbundle", 2) in {(one.file, one.line) for one in found.locations}
    other = Image(entitlements={}, plain=b"\0shop://product/1 oauth\0")
    assert _seen(SCHEMES, read(ipa(_opened("shop"), other))) == {(TOLD, "shop")}


def test_associated_domains() -> None:
    """Links of associated domains alone protect; a scheme beside them takes that away."""
    key = "com.apple.developer.associated-domains"
    image = Image(entitlements={key: ["applinks:shop.example", "webcredentials:shop.example"]})
    linked = (TOLD, "applinks:shop.example")
    assert _seen(SCHEMES, read(ipa(image=image))) == {linked, (PROTECTED, "links")}
    assert _seen(SCHEMES, read(ipa(_opened("shop"), image))) == {linked, (TOLD, "shop")}
    assert _seen(SCHEMES, read(ipa(image=Image(signed=False)))) == {(NOT_SEEN, "links")}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image(entitlements={"get-task-allow": True}), EXPOSED),
        (Image(entitlements={"get-task-allow": False}), PROTECTED),
        (Image(entitlements={}), PROTECTED),
        (Image(signed=False), NOT_SEEN),
    ],
    ids=["granted", "denied", "unsaid", "unsigned"],
)
def test_debuggable(image: Image, expected: Verdict) -> None:
    """A debugger is let in only by the entitlement; without a signature nobody knows."""
    assert _seen(DEBUGGABLE, read(ipa(image=image))) == {(expected, "get-task-allow")}


def test_encrypted() -> None:
    """An encrypted executable wasn't seen, and is named; a plain one is told."""
    hidden = Image(entitlements={}, encryption=1, text=b"x" * 9)
    assert _seen(ENCRYPTED, read(ipa(image=hidden))) == {(NOT_SEEN, EXECUTABLE)}
    assert _seen(ENCRYPTED, read(ipa())) == {(TOLD, "code")}
    damaged = read(ipa() | {EXECUTABLE: Image().data()[:50]})
    assert _seen(ENCRYPTED, damaged) == {(NOT_SEEN, "code")}


def test_privacy_manifest() -> None:
    """What the manifest states is told, the domains that it tracks by too; those of libraries are counted."""
    assert _seen(PRIVACY, read(ipa())) == {(TOLD, "app")}
    stated = {"NSPrivacyTracking": True, "NSPrivacyTrackingDomains": ["t.example"]}
    name = f"{FOLDER}PrivacyInfo.xcprivacy"
    library = f"{FOLDER}Frameworks/A.framework/PrivacyInfo.xcprivacy"
    files = {name: plistlib.dumps(stated), library: plistlib.dumps({})}
    expected = {(TOLD, "app"), (TOLD, "tracking:t.example"), (TOLD, "libraries")}
    assert _seen(PRIVACY, read(ipa(files=files))) == expected
    assert _seen(PRIVACY, read(ipa(files={name: b"damaged"}))) == {(NOT_SEEN, "app")}


def test_severity_is_by_what_is_opened() -> None:
    """Cleartext to every host opens a user's data; pages in a web view open less."""
    wide = next(iter(ATS.run(read(ipa(ats(NSAllowsArbitraryLoads=True))))))
    web = next(iter(ATS.run(read(ipa(ats(NSAllowsArbitraryLoadsInWebContent=True))))))
    assert (wide.severity, web.severity) == (Severity.MEDIUM, Severity.LOW)


APPS = Path(__file__).parents[5] / "shared" / "apps"
"""Real apps that lie beside a clone of this repository; none of them is ours to hand on."""


@pytest.mark.skipif(not APPS.is_dir(), reason="real apps aren't here")
@pytest.mark.parametrize(
    ("name", "bundle", "debuggable"),
    [
        ("UnCrackable-Level1.ipa", "sg.vp.UnCrackable1", PROTECTED),
        ("UnDebuggable.ipa", "sg.vp.UnDebuggable", EXPOSED),
    ],
)
def test_real_apps(name: str, bundle: str, debuggable: Verdict) -> None:
    """Of two real apps bundle, system, encryption and transport are those that were measured."""
    import zipfile  # noqa: PLC0415

    with zipfile.ZipFile(APPS / name) as archive:
        app = read({one: archive.read(one) for one in archive.namelist()})
    assert app.ios is not None
    assert (app.ios.bundle_id, app.ios.minimum_os) == (bundle, "8.0")
    assert app.coverage.gaps == ()
    assert _seen(ENCRYPTED, app) == {(TOLD, "code")}
    # Both run on iOS 8, which doesn't know App Transport Security.
    assert _seen(ATS, app) == {(EXPOSED, "older"), (PROTECTED, "ats")}
    assert _seen(DEBUGGABLE, app) == {(debuggable, "get-task-allow")}
    assert _seen(PINS, app) == {(ABSENT, "pinning")}
    strings = {text for native in app.natives for text in native.strings}
    assert not any(word in text for text in strings for word in ("groot", "ptrace"))
