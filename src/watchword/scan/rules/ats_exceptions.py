"""See for which hosts App Transport Security lets an iOS app speak without TLS, or with weak TLS."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from watchword.scan.app import Part
from watchword.scan.defaults import ATS, ATS_NARROWER, Where, ios_levels
from watchword.scan.frameworks import PLATFORM_NETWORK
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.ios.plists import is_set, mapping_of
from watchword.scan.rule_kinds import (
    MOST_NAMES,
    PlatformRule,
    RuleContext,
    ios_of,
    plist_place,
    too_many,
)

_INSECURE: Final = (
    "NSExceptionAllowsInsecureHTTPLoads",
    "NSThirdPartyExceptionAllowsInsecureHTTPLoads",
    "NSTemporaryExceptionAllowsInsecureHTTPLoads",
)
_SECRECY: Final = (
    "NSExceptionRequiresForwardSecrecy",
    "NSThirdPartyExceptionRequiresForwardSecrecy",
    "NSTemporaryExceptionRequiresForwardSecrecy",
)
_LOWEST: Final = (
    "NSExceptionMinimumTLSVersion",
    "NSThirdPartyExceptionMinimumTLSVersion",
    "NSTemporaryExceptionMinimumTLSVersion",
)
_WEAK: Final = frozenset({"tlsv1.0", "tlsv1.1", "tlsv1", "sslv3"})
_OVERRIDES: Final = (
    "NSAllowsArbitraryLoadsInWebContent",
    "NSAllowsArbitraryLoadsForMedia",
    "NSAllowsLocalNetworking",
)
_PARTIAL: Final = {
    "NSAllowsArbitraryLoadsInWebContent": "pages in web views",
    "NSAllowsArbitraryLoadsForMedia": "media",
}
_LOCAL: Final = re.compile(r"localhost|127\.[\d.]+|[\w-]+|.*\.local", re.IGNORECASE)


def _check(context: RuleContext) -> Iterator[Finding]:
    settings = mapping_of(ios_of(context).info.get("NSAppTransportSecurity"))
    domains = mapping_of(settings.get("NSExceptionDomains"))
    unbound = list(_unbound(context))
    yield from unbound
    open_for = [
        *(each for each in unbound if each.severity is Severity.MEDIUM),
        *_everywhere(context, settings),
        *(
            one
            for name in sorted(domains)[:MOST_NAMES]
            for one in _of_domain(context, name, domains[name])
        ),
    ]
    yield from (each for each in open_for if each not in unbound)
    for name in sorted(domains)[:MOST_NAMES]:
        yield from _weak_tls(context, name, domains[name])
    more = list(too_many(context, domains))
    yield from more
    if is_set(settings.get("NSAllowsLocalNetworking")):
        title = "Cleartext is permitted to hosts of the local network."
        yield context.info(
            "local", title, at=(plist_place(context),), confidence=Confidence.CERTAIN
        )
    if not open_for and not more:
        title = (
            "App Transport Security refuses cleartext to every host outside of the local network."
        )
        # On phones that don't know it, it refuses nothing, and so it proves nothing.
        sure = Confidence.POSSIBLE if unbound else Confidence.CERTAIN
        yield context.clean("ats", title, confidence=sure)


def _unbound(context: RuleContext) -> Iterator[Finding]:
    """Yield a finding if App Transport Security isn't applied: to the build, or on phones that it runs on."""
    levels = ios_levels(ios_of(context))
    where = ATS.before_on(levels)
    at = (plist_place(context),)
    if where is Where.EVERYWHERE:
        title = (
            f"The app is built against iOS {levels.target}: App Transport Security isn't applied."
        )
        yield context.exposed("sdk", title, Severity.MEDIUM, at=at)
    elif where is Where.OLDER:
        title = f"{ATS.older} don't know App Transport Security, and the app runs on them."
        yield context.exposed("older", title, Severity.LOW, at=at)
    elif where is Where.UNKNOWN:
        what = "DTSDKName" if levels.target is None else "MinimumOSVersion"
        title = f"Whether App Transport Security is applied isn't known: {what} names no version of iOS."
        yield context.not_seen("sdk", title)


def _everywhere(context: RuleContext, settings: Mapping[str, object]) -> Iterator[Finding]:
    at = (plist_place(context),)
    if is_set(settings.get("NSAllowsArbitraryLoads")):
        # From iOS 10 on, the narrower keys take the place of the wide one as soon as they stand there.
        narrower = [key for key in _OVERRIDES if key in settings]
        if not narrower:
            title = "Cleartext is permitted to every host that has no entry of its own (NSAllowsArbitraryLoads)."
            yield context.exposed("every-host", title, Severity.MEDIUM, at=at)
        elif ATS_NARROWER.before_on(ios_levels(ios_of(context))) is not Where.NOWHERE:
            title = f"On iOS 9 cleartext is permitted to every host; {narrower[0]} narrows it from iOS 10 on."
            yield context.exposed("every-host", title, Severity.MEDIUM, at=at)
    for key, what in _PARTIAL.items():
        if is_set(settings.get(key)):
            title = f"Cleartext is permitted for {what} from every host ({key})."
            yield context.exposed(key, title, Severity.LOW, at=at)


def _of_domain(context: RuleContext, name: str, value: object) -> Iterator[Finding]:
    settings = mapping_of(value)
    key = next((key for key in _INSECURE if is_set(settings.get(key))), None)
    if key is None:
        return
    if _LOCAL.fullmatch(name):
        return  # It names the phone itself or a host without a domain; nobody on the way to a server.
    where = f"*.{name}" if is_set(settings.get("NSIncludesSubdomains")) else name
    title = f"Cleartext is permitted to {where} ({key})."
    yield context.exposed(name, title, Severity.MEDIUM, at=(plist_place(context),))


def _weak_tls(context: RuleContext, name: str, value: object) -> Iterator[Finding]:
    """Yield what is weaker than the system's own choice; it's encrypted all the same."""
    settings = mapping_of(value)
    at = (plist_place(context),)
    for key in _LOWEST:
        lowest = settings.get(key)
        if isinstance(lowest, str) and lowest.lower() in _WEAK:
            title = f"{name} may be spoken to with {lowest[:7]}; the system asks for TLS 1.2."
            yield context.info(
                f"tls:{name}", title, Severity.LOW, at=at, confidence=Confidence.CERTAIN
            )
    for key in _SECRECY:
        if key in settings and not is_set(settings[key]):
            title = f"{name} may be spoken to without forward secrecy."
            yield context.info(
                f"secrecy:{name}", title, Severity.LOW, at=at, confidence=Confidence.CERTAIN
            )


RULE = PlatformRule(
    id="ats-exceptions",
    title="Exceptions from App Transport Security",
    techniques=("MT-C03", "MT-C04", "MT-C07"),
    protections={"PR-C01": "scan:static.cleartext"},
    todo="Remove NSAllowsArbitraryLoads and the exceptions for domains from NSAppTransportSecurity, and serve by TLS "
    "1.2 or later.",
    blind="It reads a setting, and doesn't see whether the app uses http at all. The setting doesn't bind sockets and "
    "libraries below URLSession. DTSDKName says which SDK the app was linked with.",
    parts=(Part.PLIST,),
    reads=PLATFORM_NETWORK,
    check=_check,
)
