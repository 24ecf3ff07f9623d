"""See by which links an iOS app is opened, and whether another app could take those that carry a sign-in's answer."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.ios.plists import items_of, mapping_of, names_of
from watchword.scan.rule_kinds import (
    MOST_NAMES,
    PlatformRule,
    RuleContext,
    ios_of,
    plist_place,
    too_many,
)

_ANSWERS: Final = re.compile(
    r"oauth|openid|appauth|auth0|(?<![a-z])auth|callback|redirect|log-?in|sign-?in|(?<![a-z])sso|msauth",
    re.IGNORECASE,
)
_SIGN_INS: Final = re.compile(
    r"com\.googleusercontent\.apps\..+|fb\d{6,}|msauth\..+|msal[0-9a-f-]+"
)
"""Schemes that sign-in kits of vendors make of their client's id: they take its answer."""

_DOMAINS: Final = "com.apple.developer.associated-domains"
_LONGEST: Final = 300


def _check(context: RuleContext) -> Iterator[Finding]:
    ios = ios_of(context)
    schemes = sorted(set(_schemes(context)))
    yield from too_many(context, schemes)
    for scheme, name in schemes[:MOST_NAMES]:
        yield _of(context, scheme, name)
    linked = list(_associated(context))
    yield from linked
    if linked and not schemes and context.whole:
        title = (
            "Only links of associated domains open the app; no scheme can be claimed by another."
        )
        yield context.protected("links", title)
    elif not schemes and not linked:
        if ios.entitlements is None or not context.whole:
            title = "No link was found in what was seen, which isn't all."
            yield context.not_seen("links", title)
        else:
            yield context.info("links", "No link opens the app.")


def _schemes(context: RuleContext) -> Iterator[tuple[str, str]]:
    """Yield each scheme of the app with the name of its entry."""
    for one in items_of(ios_of(context).info.get("CFBundleURLTypes")):
        entry = mapping_of(one)
        name = entry.get("CFBundleURLName")
        for scheme in names_of(entry.get("CFBundleURLSchemes")):
            yield scheme[:_LONGEST], name[:_LONGEST] if isinstance(name, str) else ""


def _of(context: RuleContext, scheme: str, name: str) -> Finding:
    at = [plist_place(context)]
    answers = bool(_SIGN_INS.fullmatch(scheme) or _ANSWERS.search(scheme) or _ANSWERS.search(name))
    used = _used(context, scheme)
    if used is not None:
        at.append(used)
    if answers or used is not None:
        title = f"The answer of a sign-in comes by a scheme that every app may claim: {scheme}."
        return context.exposed(scheme, title, Severity.MEDIUM, at=at, confidence=Confidence.LIKELY)
    title = f"The app is opened by a scheme that every app may claim: {scheme}."
    return context.info(scheme, title, Severity.LOW, at=at)


def _used(context: RuleContext, scheme: str) -> Location | None:
    """Return where an address of this scheme stands that is named as a sign-in's answer is."""
    address = f"{scheme.lower()}:/"
    for native in context.app.natives:
        if any(_is_answer(text, address) for text in native.strings):
            return Location(file=native.file)
    for text in context.app.texts:
        for number, line in enumerate(text.lines, 1):
            if _is_answer(line, address):
                return Location(file=text.file, line=number)
    return None


def _is_answer(text: str, address: str) -> bool:
    at = text.lower().find(address)
    if at < 0:
        return False
    rest = re.split(r"[\s\"'<>]", text[at : at + _LONGEST], maxsplit=1)[0]
    return _ANSWERS.search(rest[len(address) :]) is not None


def _associated(context: RuleContext) -> Iterator[Finding]:
    """Yield the domains whose links the system gives to this app alone."""
    domains = set(names_of((ios_of(context).entitlements or {}).get(_DOMAINS)))
    for domain in sorted(domains)[:MOST_NAMES]:
        if domain.startswith("applinks:"):
            title = f"Links of {domain[9:_LONGEST]} open the app, if the site vouches for it."
            yield context.info(domain[:_LONGEST], title)


RULE = PlatformRule(
    id="url-schemes",
    title="Links that open an iOS app",
    techniques=("MT-A18",),
    protections={"PR-B12": "scan:static.redirect_scheme"},
    todo="Take the answer of a sign-in by ASWebAuthenticationSession or a link of an associated domain, and use PKCE.",
    blind="It recognises a sign-in's answer only by its name, and doesn't ask the site whether it vouches for the app. "
    "It can't tell a system session that keeps the answer to itself from one that doesn't.",
    parts=(Part.PLIST, Part.ENTITLEMENTS),
    reads=NO_CODE,
    check=_check,
)
