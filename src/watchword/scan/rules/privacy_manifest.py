"""Tell what an iOS app's privacy manifest states: tracking, what it collects, and which reasons it gives."""

from collections.abc import Iterator
from typing import Final

from watchword.encoding.phrases import counted
from watchword.scan.app import Part
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location
from watchword.scan.ios.plists import is_set, items_of, names_of
from watchword.scan.rule_kinds import PlatformRule, RuleContext, ios_of

_NAME: Final = "PrivacyInfo.xcprivacy"
_MOST: Final = 20


def _check(context: RuleContext) -> Iterator[Finding]:
    places = [
        Location(file=one.name) for one in context.app.entries if one.name.endswith(f"/{_NAME}")
    ]
    own = [place for place in places if place.file.endswith(f".app/{_NAME}")][:1]
    privacy = ios_of(context).privacy
    if privacy is None:
        if own or not context.whole:
            yield context.not_seen("app", "The app's privacy manifest couldn't be read.")
        else:
            yield context.info(
                "app", "The app has no privacy manifest.", confidence=Confidence.CERTAIN
            )
    else:
        tracks = "it tracks" if is_set(privacy.get("NSPrivacyTracking")) else "no tracking"
        collected = len(items_of(privacy.get("NSPrivacyCollectedDataTypes")))
        reasons = len(items_of(privacy.get("NSPrivacyAccessedAPITypes")))
        title = (
            f"The privacy manifest states: {tracks}, {counted(collected, 'kind', 'kinds')} of data "
            f"collected, reasons for {counted(reasons, 'kind', 'kinds')} of system functions."
        )
        yield context.info("app", title, at=own, confidence=Confidence.CERTAIN)
        for domain in sorted(set(names_of(privacy.get("NSPrivacyTrackingDomains"))))[:_MOST]:
            yield context.info(f"tracking:{domain[:253]}", f"It tracks by {domain[:253]}.", at=own)
    others = [place for place in places if place not in own]
    if others:
        title = f"{counted(len(others), 'library brings', 'libraries bring')} a privacy manifest."
        yield context.info("libraries", title, at=others, confidence=Confidence.CERTAIN)


RULE = PlatformRule(
    id="privacy-manifest",
    title="Privacy manifest",
    techniques=(),
    protections={},
    todo="State in PrivacyInfo.xcprivacy what the app collects and for which reasons it calls the system; the store "
    "asks for it.",
    blind="It shows what is stated, not what the app does.",
    parts=(Part.PLIST, Part.PRIVACY),
    reads=NO_CODE,
    check=_check,
)
