"""See by which links the app is opened, and whether another app could take those that carry a sign-in's answer."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Component, Part
from watchword.scan.defaults import APP_LINKS, Where, levels_of
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, short

_BROWSABLE: Final = "android.intent.category.BROWSABLE"
_MANIFEST: Final = "AndroidManifest.xml"
_WEB: Final = frozenset({"http", "https"})
_OF_THE_SYSTEM: Final = frozenset({"content", "file", "geo", "mailto", "sms", "smsto", "tel"})

_ANSWERS: Final = re.compile(
    r"oauth|openid|appauth|auth0|(?<![a-z])auth(?:enticat|ori[sz]|(?![a-z]))|callback|redirect|log-?in|sign-?in|(?<![a-z])sso|customtab|msauth",
    re.IGNORECASE,
)
"""What the place is called that takes the answer of a sign-in."""


def _check(context: RuleContext) -> Iterator[Finding]:
    others: dict[tuple[str, str, bool], list[str]] = {}
    any_link = False
    for component in context.manifest.components:
        for each in component.filters:
            for link in each.data if _BROWSABLE in each.categories else ():
                scheme = link.partition(":")[0].lower()
                if not scheme or scheme in _OF_THE_SYSTEM:
                    continue
                any_link = True
                answer = _ANSWERS.search(link) or _ANSWERS.search(short(component.name))
                if answer and (scheme not in _WEB or (scheme == "https" and each.verified)):
                    yield from _answer(context, component, link, web=scheme in _WEB)
                else:
                    key = (component.name, scheme, each.verified)
                    others.setdefault(key, []).append(link)
    for (name, scheme, verified), links in others.items():
        yield _other(context, name, scheme, links, verified=verified)
    if not any_link:
        if context.whole:
            yield context.info("links", "No link opens the app.")
        else:
            yield context.not_seen("links", "No link was found in what was seen, which isn't all.")


def _answer(
    context: RuleContext, component: Component, link: str, *, web: bool
) -> Iterator[Finding]:
    at = (Location(file=_MANIFEST, cls=component.name),)
    where = short(component.name)
    if web:
        title = f"{where} takes the answer of a sign-in by a verified link: {link}."
        if APP_LINKS.before_on(levels_of(context.app)) is Where.NOWHERE:
            yield context.protected(link, title, at=at)
            return
        yield context.protected(link, title, at=at, confidence=Confidence.POSSIBLE)
        title = f"{APP_LINKS.older} verify no link, so that every app may claim it there; the app runs on them."
        yield context.exposed("older", title, Severity.LOW, at=at)
        return
    title = f"{where} takes the answer of a sign-in by a scheme that every app may claim: {link}."
    yield context.exposed(link, title, Severity.MEDIUM, at=at, confidence=Confidence.LIKELY)


def _other(
    context: RuleContext, name: str, scheme: str, links: list[str], *, verified: bool
) -> Finding:
    at = (Location(file=_MANIFEST, cls=name),)
    unique = sorted(set(links))
    if scheme not in _WEB:
        kind, severity = "a scheme that every app may claim", Severity.LOW
    else:
        kind = "verified links" if verified else "links that aren't verified"
        severity = Severity.INFO
    more = f" and {len(unique) - 1} more" if len(unique) > 1 else ""
    title = f"{short(name)} is opened by {kind}: {unique[0]}{more}."
    subject = f"{name}:{scheme}{':verified' if verified else ''}"
    return context.info(subject, title, severity, at=at)


RULE = AndroidRule(
    id="deep-links",
    title="Links that open the app",
    techniques=("MT-A18",),
    protections={"PR-B12": "scan:static.redirect_scheme"},
    todo="Take the answer of a sign-in only by https links with android:autoVerify, and use PKCE.",
    blind="It recognises a sign-in's answer only by its name, and doesn't ask the site whether it vouches for the app.",
    parts=(Part.MANIFEST,),
    reads=NO_CODE,
    check=_check,
)
