"""See whether the app signs its requests."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, places

_STANDARD: Final = ("Signature-Input", "signature-input")
"""The header of RFC 9421; Watchword's clients send it too."""

_HEADER: Final = re.compile(r"(?:x-)?(?:[a-z]+-)*(?:signature|hmac)(?:-[a-z0-9]+)*")
_LONGEST: Final = 60

_SIGNS: Final = (("java.security.Signature", "sign"), ("javax.crypto.Mac", "doFinal"))
_SENDS: Final = (
    ("okhttp3.Request$Builder", ("addHeader", "header")),
    ("java.net.HttpURLConnection", ("setRequestProperty", "addRequestProperty")),
    ("javax.net.ssl.HttpsURLConnection", ("setRequestProperty", "addRequestProperty")),
    ("java.net.URLConnection", ("setRequestProperty", "addRequestProperty")),
)


def _check(context: RuleContext) -> Iterator[Finding]:
    found = False
    standard = context.users(*_STANDARD)
    if standard:
        found = True
        title = "The app signs its requests by RFC 9421."
        yield context.protected("rfc9421", title, at=places(standard))
    signing = {use.by.cls for cls, name in _SIGNS for use in context.calls(cls, name)}
    headers = context.users(*_headers(context))
    sending = {use.by for cls, names in _SENDS for use in context.calls(cls, *names)}
    own = [by for by in headers if by in sending or by.cls in signing]
    for by in own:
        if by in standard or by not in sending:
            continue
        found = True
        title = f"{by} sends a header that is called a signature."
        sure = Confidence.LIKELY if by.cls in signing else Confidence.POSSIBLE
        yield context.protected(str(by), title, at=places([by]), confidence=sure)
    if not found and context.offline:
        title = (
            "The app's own code signs no requests, nor does it ask for the permission to send any."
        )
        yield context.absent("requests", title, Severity.INFO)
    elif not found:
        title = "The app's own code signs no requests, as far as headers tell: what was captured is sent again."
        yield context.absent("requests", title, Severity.MEDIUM)


def _headers(context: RuleContext) -> Iterator[str]:
    """Yield the strings that could name a header with a signature."""
    for text in context.code.strings:
        if len(text) <= _LONGEST:
            lower = text.lower()
            if ("signature" in lower or "hmac" in lower) and _HEADER.fullmatch(lower):
                yield text


RULE = AndroidRule(
    id="request-signing",
    title="Signed requests",
    techniques=("MT-C05", "MT-C04", "MT-B20"),
    protections={"PR-B03": "scan:static.request_signing"},
    todo="Sign each request by a key of the installation, with a nonce, and have the gate refuse unsigned requests.",
    blind="It recognises signatures by their headers. Only the server shows whether it asks for them.",
    parts=(Part.DEX,),
    check=_check,
)
