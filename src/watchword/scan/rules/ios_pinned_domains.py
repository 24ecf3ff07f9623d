"""See whether an iOS app pins its servers' keys in Info.plist, or works with certificates in its code."""

import binascii
from collections.abc import Iterator, Sequence
from typing import Final

from watchword.encoding.phrases import counted
from watchword.scan.app import Part
from watchword.scan.defaults import PINNED_DOMAINS, Where, ios_levels
from watchword.scan.frameworks import OFFLINE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.ios.plists import is_set, items_of, mapping_of
from watchword.scan.rule_kinds import (
    MOST_NAMES,
    PlatformRule,
    RuleContext,
    ios_of,
    plist_place,
    too_many,
)

_LISTS: Final = ("NSPinnedLeafIdentities", "NSPinnedCAIdentities")
_LIBRARIES: Final = {
    "_OBJC_CLASS_$_TrustKit": "TrustKit",
    "_OBJC_CLASS_$_TSKPinningValidator": "TrustKit",
    "_OBJC_CLASS_$_AFSecurityPolicy": "AFNetworking",
}
_TRUST: Final = (
    "_SecTrustCopyKey",
    "_SecTrustCopyPublicKey",
    "_SecTrustGetCertificateAtIndex",
    "_SecTrustCopyCertificateChain",
    "_SecTrustSetAnchorCertificates",
)
_CERTIFICATES: Final = (".cer", ".der", ".crt")


def _check(context: RuleContext) -> Iterator[Finding]:
    found = [*_by_system(context), *_by_trustkit(context)]
    yield from found
    if any(one.verdict == "protected" for one in found):
        return
    signs = list(_signs(context))
    if signs:
        title = "No pins in Info.plist, but its code works with certificates and may pin: "
        yield context.not_seen("pinning", title + ", ".join(dict.fromkeys(signs)) + ".")
    else:
        title = "No pins: any authority that a phone trusts vouches for the API."
        yield context.absent("pinning", title, Severity.MEDIUM)


def _by_system(context: RuleContext) -> Iterator[Finding]:
    ios = ios_of(context)
    settings = mapping_of(ios.info.get("NSAppTransportSecurity"))
    domains = mapping_of(settings.get("NSPinnedDomains"))
    older = PINNED_DOMAINS.before_on(ios_levels(ios)) is not Where.NOWHERE
    # Pins that some phones don't know prove nothing by themselves.
    sure = Confidence.POSSIBLE if older else Confidence.CERTAIN
    for name in sorted(domains)[:MOST_NAMES]:
        settings = mapping_of(domains[name])
        pins = [
            mapping_of(one).get("SPKI-SHA256-BASE64")
            for key in _LISTS
            for one in items_of(settings.get(key))
        ]
        below = is_set(settings.get("NSIncludesSubdomains"))
        yield from _of_domain(context, name, pins, below=below, how="in Info.plist", sure=sure)
    yield from too_many(context, domains)
    if domains and older:
        title = f"{PINNED_DOMAINS.older} don't know pins in Info.plist, and the app runs on them."
        yield context.exposed("before-14", title, Severity.LOW, at=(plist_place(context),))


def _by_trustkit(context: RuleContext) -> Iterator[Finding]:
    settings = mapping_of(ios_of(context).info.get("TSKConfiguration"))
    domains = mapping_of(settings.get("TSKPinnedDomains"))
    for name in sorted(domains)[:MOST_NAMES]:
        one = mapping_of(domains[name])
        if "TSKEnforcePinning" in one and not is_set(one["TSKEnforcePinning"]):
            title = f"{name}: TrustKit only reports what doesn't match its pins."
            yield context.info(f"report:{name}", title, Severity.LOW, at=(plist_place(context),))
            continue
        below = is_set(one.get("TSKIncludeSubdomains"))
        pins = items_of(one.get("TSKPublicKeyHashes"))
        yield from _of_domain(
            context, name, pins, below=below, how="for TrustKit", sure=Confidence.CERTAIN
        )


def _of_domain(
    context: RuleContext,
    name: str,
    pins: Sequence[object],
    *,
    below: bool,
    how: str,
    sure: Confidence,
) -> Iterator[Finding]:
    """Yield what a domain's pins do; TrustKit wants a backup, and Apple doesn't."""
    at = (plist_place(context),)
    where = f"*.{name}" if below else name
    good = {pin for pin in pins if isinstance(pin, str) and _is_pin(pin)}
    if len(good) < len(set(map(str, pins))) or not pins:
        title = f"{where} has an entry among the pins that is no SHA-256 of a key."
        yield context.info(f"broken:{name}", title, Severity.LOW, at=at)
    if not good:
        return
    title = f"{where}: {counted(len(good), 'pin', 'pins')} {how}."
    yield context.protected(name, title, at=at, confidence=sure)
    if len(good) == 1:
        title = f"{where} has no backup pin: a change of the server's key locks every user out."
        yield context.info(f"backup:{name}", title, Severity.LOW, at=at)


def _is_pin(text: str) -> bool:
    try:
        return len(binascii.a2b_base64(text, strict_mode=True)) == 32
    except ValueError:
        return False


def _signs(context: RuleContext) -> Iterator[str]:
    """Yield what code that pins by itself would have."""
    for native in context.app.natives:
        yield from (name for symbol, name in _LIBRARIES.items() if symbol in native.symbols)
        yield from (symbol[1:] for symbol in _TRUST if symbol in native.symbols)
    yield from (
        str(Location(file=one.name))
        for one in context.app.entries
        if one.name.lower().endswith(_CERTIFICATES)
    )


RULE = PlatformRule(
    id="ios-pinned-domains",
    title="Pinned server keys of an iOS app",
    techniques=("MT-C01", "MT-C03", "MT-C06", "MT-C07"),
    protections={"PR-C03": "scan:static.pinning"},
    todo="Pin the API's keys under NSPinnedDomains with at least one backup, or by a list that can be replaced without a release.",
    blind="It doesn't compare pins with a server. It recognises code that pins by the functions that it needs, not by "
    "what it does with them. Info.plist doesn't bind sockets below URLSession.",
    parts=(Part.PLIST, Part.NATIVE),
    reads=OFFLINE,
    check=_check,
)
