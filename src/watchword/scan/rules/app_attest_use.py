"""Tell by what an app lets its backend check that it's genuine: App Attest, Play Integrity, key attestation, Watchword."""

from collections.abc import Iterator, Mapping
from typing import Final

from watchword.scan.app import Depth, Framework, Part
from watchword.scan.frameworks import NATIVE_STRINGS
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import PlatformRule, RuleContext, places
from watchword.vocabulary import Platform

_ENTITLEMENT: Final = "com.apple.developer.devicecheck.appattest-environment"
_SYMBOLS: Final[Mapping[str, tuple[str, str]]] = {
    "_OBJC_CLASS_$_DCAppAttestService": ("app-attest", "App Attest"),
    "_OBJC_CLASS_$_DCDevice": ("device-check", "DeviceCheck"),
}
_INTEGRITY: Final = "com.google.android.play.core.integrity."
_INTEGRITY_SERVICE: Final = "com.google.android.play.core.integrityservice.BIND_INTEGRITY_SERVICE"
_CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    "play-integrity": (
        f"{_INTEGRITY}IntegrityManagerFactory",
        f"{_INTEGRITY}IntegrityManager",
        f"{_INTEGRITY}StandardIntegrityManager",
    ),
    "safetynet": (
        "com.google.android.gms.safetynet.SafetyNet",
        "com.google.android.gms.safetynet.SafetyNetClient",
    ),
}
_THEMSELVES: Final = {
    "play-integrity": "com.google.android.play.core.",
    "safetynet": "com.google.android.gms.",
}
_TITLES: Final = {
    "play-integrity": "The code uses Play Integrity.",
    "safetynet": "The code uses SafetyNet, which Google has ended: its answers vouch for nothing.",
}
_BUILDER: Final = "android.security.keystore.KeyGenParameterSpec$Builder"
_HEADERS: Final = frozenset({"watchword-token", "watchword-nonce"})
"""The headers of Watchword's protocol: a client can't do without the first."""

_LENGTHS: Final = frozenset(map(len, _HEADERS))


def _check(context: RuleContext) -> Iterator[Finding]:
    seers = _of_ios(context) if context.app.platform is Platform.IOS else _of_android(context)
    found = [*seers, *_watchword(context)]
    yield from found
    if found:
        return
    unread = context.app.platform is Platform.ANDROID and context.app.code is None
    unsigned = context.app.ios is not None and context.app.ios.entitlements is None
    title = "Nothing in the app lets its backend check that it's genuine."
    if unread or unsigned:
        yield context.not_seen("attestation", "Code or signature couldn't be read.")
    else:
        yield context.absent("attestation", title, Severity.INFO)


def _of_ios(context: RuleContext) -> Iterator[Finding]:
    ios = context.app.ios
    environment = (ios.entitlements or {}).get(_ENTITLEMENT) if ios is not None else None
    if isinstance(environment, str):
        title = (
            f"The signature entitles the app to App Attest, in its {environment[:20]} environment."
        )
        yield context.info("app-attest-entitlement", title, confidence=Confidence.CERTAIN)
    for symbol, (subject, name) in _SYMBOLS.items():
        at = [Location(file=one.file) for one in context.app.natives if symbol in one.symbols]
        if at:
            yield context.info(subject, f"The code uses {name}.", at=at)


def _of_android(context: RuleContext) -> Iterator[Finding]:
    if context.app.code is None:
        return
    code = context.code
    for subject, classes in _CLASSES.items():
        # A library that is in the app and that nobody outside of it calls attests nothing.
        itself = _THEMSELVES[subject]
        calls = [use for cls in classes for use in code.calls(cls)]
        uses = [use for use in calls if not use.by.cls.startswith(itself)]
        if uses:
            yield context.info(subject, _TITLES[subject], at=places(uses))
        elif subject == "play-integrity" and code.users(_INTEGRITY_SERVICE):
            # Its classes are renamed, the name of the service that they ask can't be.
            at = places(code.users(_INTEGRITY_SERVICE))
            yield context.info(subject, _TITLES[subject], at=at)
    challenged = code.calls(_BUILDER, "setAttestationChallenge")
    if challenged:
        title = "The code has keys of its own attested by the phone's hardware."
        yield context.info("key-attestation", title, at=places(challenged))


def _watchword(context: RuleContext) -> Iterator[Finding]:
    at: list[Location] = []
    if context.app.code is not None:
        headers = [text for text in context.app.code.strings if _is_header(text)]
        at.extend(places([by for text in headers for by in context.app.code.users(text)]))
        at.extend([Location()] if headers and not at else [])
    at.extend(
        Location(file=native.file)
        for native in context.app.natives
        if any(map(_is_header, native.strings))
    )
    for text in context.app.texts:
        lowered = "\n".join(text.lines).lower()
        found = [place for header in _HEADERS if (place := lowered.find(header)) >= 0]
        if found:
            at.append(Location(file=text.file, line=lowered.count("\n", 0, min(found)) + 1))
    if at:
        yield context.info("watchword", "The app speaks Watchword's protocol.", at=at)


def _is_header(text: str) -> bool:
    # Their lengths spare half a million strings of a large app the rest.
    return len(text) in _LENGTHS and text.lower() in _HEADERS


RULE = PlatformRule(
    id="app-attest-use",
    title="Attestation in use",
    techniques=("MT-B03",),
    protections={},
    todo="Have the backend check on every request, not only when the app starts, that it comes from the genuine app.",
    blind="It sees that an interface is named or called. The drill shows whether the backend asks for the answer and "
    "checks it.",
    parts=(Part.DEX, Part.NATIVE, Part.ENTITLEMENTS, Part.BUNDLE),
    # Interfaces for JavaScript are classes in DEX or in native code: the script itself only asks them.
    reads={
        **NATIVE_STRINGS,
        **dict.fromkeys((Framework.REACT_NATIVE, Framework.HERMES, Framework.WEB), Depth.STRINGS),
    },
    check=_check,
    platforms=(Platform.ANDROID, Platform.IOS),
)
