"""Say which technique of the catalogue an imported threat clearly is.

By the numbers of CWE and CAPEC first, then by words that stand together.  What isn't clear stays unmapped: a wrong
technique is worse than none.  The numbers are those of MITRE's lists; the words are ours.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from watchword.plan.interface import Component, Trait

_NUMBER: Final = re.compile(r"\b(CWE|CAPEC)[-_ ]?([0-9]{1,5})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ThreatRule:
    """Hold how a technique is recognised, and what it makes of an asset.

    :param trait: what an asset gets that such a threat was drawn at; None for what only gathers
        intelligence.
    :param numbers: such as ``CWE-918``.
    :param words: sets of word beginnings; each of a set has to stand in the threat's name.
    """

    technique: str
    component: Component
    trait: Trait | None
    numbers: frozenset[str] = frozenset()
    words: tuple[frozenset[str], ...] = ()


def _rule(
    technique: str, component: Component, trait: Trait | None, numbers: str, *words: str
) -> ThreatRule:
    return ThreatRule(
        technique,
        component,
        trait,
        frozenset(numbers.split()),
        tuple(frozenset(each.split()) for each in words),
    )


_APP, _CHANNEL, _BACKEND = Component.APP, Component.CHANNEL, Component.BACKEND

RULES: Final = (
    _rule("MT-B05", _BACKEND, Trait.ACCOUNT, "CAPEC-600", "credential stuffing"),
    _rule(
        "MT-B06",
        _BACKEND,
        Trait.ACCOUNT,
        "CWE-307 CAPEC-49 CAPEC-112",
        "brute force",
        "guess password",
        "crack password",
    ),
    _rule(
        "MT-B16",
        _BACKEND,
        Trait.INTERNAL_NETWORK,
        "CWE-918 CAPEC-664",
        "server side request forg",
        "ssrf",
    ),
    _rule(
        "MT-B08",
        _BACKEND,
        Trait.RECORDS,
        "CWE-639",
        "idor",
        "bola",
        "object level authori",
        "enumerat object",
        "enumerat id",
    ),
    _rule(
        "MT-B09",
        _BACKEND,
        Trait.RECORDS,
        "CWE-285 CWE-862 CWE-863",
        "api access control",
        "function level authori",
        "privileged function",
    ),
    _rule("MT-B10", _BACKEND, Trait.RECORDS, "CWE-915", "mass assignment", "hidden propert"),
    _rule(
        "MT-B11",
        _BACKEND,
        Trait.AVAILABILITY,
        "CWE-400 CWE-770 CAPEC-125 CAPEC-130",
        "denial of service",
        "exhaust",
        "flood",
    ),
    _rule("MT-B04", _BACKEND, Trait.RECORDS, "", "scrap"),
    _rule("MT-B12", _BACKEND, Trait.PAYMENT, "", "carding", "card crack"),
    _rule("MT-B15", _BACKEND, Trait.STORED_VALUE, "", "coupon crack", "voucher crack"),
    _rule(
        "MT-B03",
        _BACKEND,
        Trait.RECORDS,
        "",
        "spoof mobile client",
        "spoof mobile app",
        "impersonat mobile",
        "impersonat genuine",
    ),
    _rule(
        "MT-B20",
        _BACKEND,
        Trait.ACCOUNT,
        "CWE-613 CAPEC-60",
        "obtain access token",
        "steal token",
        "stolen token",
        "session hijack",
    ),
    _rule(
        "MT-C03",
        _CHANNEL,
        Trait.LIVE_DATA,
        "CWE-295 CWE-319 CAPEC-94 CAPEC-157 CAPEC-158",
        "sniff traffic",
        "man in middle",
        "insecure communication channel",
    ),
    _rule("MT-C05", _CHANNEL, Trait.ACCOUNT, "CWE-294", "replay request", "replay token"),
    _rule(
        "MT-A10",
        _APP,
        Trait.LIVE_DATA,
        "CWE-312 CWE-922",
        "sensitive data mobile device",
        "local storage",
        "data stored device",
    ),
    _rule("MT-A11", _APP, Trait.APP_LOGIC, "", "repackag", "tamper binar"),
    _rule("MT-A14", _APP, Trait.ACCOUNT, "CWE-1021 CAPEC-506", "tapjack", "screen overlay"),
    _rule("MT-A18", _APP, Trait.ACCOUNT, "CWE-939", "deep link"),
    _rule("MT-A19", _APP, Trait.LIVE_DATA, "CWE-926 CAPEC-499", "exported component"),
    _rule("MT-A20", _APP, Trait.LIVE_DATA, "CWE-749", "webview"),
    _rule("MT-A02", _APP, None, "CWE-321 CWE-798 CAPEC-191", "hard coded key", "hardcoded"),
    _rule("MT-A01", _APP, None, "CAPEC-167 CAPEC-188 CAPEC-189", "decompil", "reverse engineer"),
    _rule("MT-A04", _APP, None, "", "jailbr", "jail break", "root device", "rooted"),
    _rule("MT-A07", _APP, None, "", "hook app", "frida"),
)
"""In the order in which words are tried: an exploit before what only gathers for it."""


def rule_for(name: str, texts: Iterable[str]) -> ThreatRule | None:
    """Return the rule that a threat clearly falls under, None if none is clear.

    :param name: its name: words count here alone.
    :param texts: where numbers of CWE and CAPEC may stand.
    """
    numbers = {
        f"{kind.upper()}-{int(number)}"
        for text in (name, *texts)
        for kind, number in _NUMBER.findall(text)
    }
    for rule in RULES:
        if numbers & rule.numbers:
            return rule
    words = re.findall(r"[a-z0-9]+", name.lower())
    for rule in RULES:
        for wanted in rule.words:
            if all(any(word.startswith(start) for word in words) for start in wanted):
                return rule
    return None
