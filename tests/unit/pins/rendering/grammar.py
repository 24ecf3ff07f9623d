"""Hold files to the grammar that Android and Apple document, element by element.

Android: developer.android.com, "Network security configuration", section "Configuration file format".
Apple: "NSPinnedDomains" and its members; TrustKit: TrustKit.h and its parser of configurations.
"""

import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

MANY = 10**6
BOOLEAN = re.compile("true|false")
DIGEST = re.compile("[A-Za-z0-9+/]{43}=")
DAY = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")


class GrammarError(Exception):
    """Say what stands where nothing of that kind may."""


@dataclass(frozen=True)
class Rule:
    """Hold what an element may have.

    :param attributes: by name, what its value must be; ``needed`` of them must be there.
    :param children: by name, the fewest and the most.
    :param text: what its text must be; None for no text.
    """

    attributes: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    children: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    text: re.Pattern[str] | None = None


ANDROID: Mapping[str, Rule] = {
    "network-security-config": Rule(
        children={"base-config": (0, 1), "domain-config": (0, MANY), "debug-overrides": (0, 1)}
    ),
    "base-config": Rule({"cleartextTrafficPermitted": BOOLEAN}, children={"trust-anchors": (0, 1)}),
    "domain-config": Rule(
        {"cleartextTrafficPermitted": BOOLEAN},
        children={
            "domain": (1, MANY),
            "trust-anchors": (0, 1),
            "pin-set": (0, 1),
            "domain-config": (0, MANY),
        },
    ),
    "domain": Rule({"includeSubdomains": BOOLEAN}, text=HOST),
    "debug-overrides": Rule(children={"trust-anchors": (0, 1)}),
    "trust-anchors": Rule(children={"certificates": (0, MANY)}),
    "certificates": Rule(
        {"src": re.compile("system|user|@raw/[a-z0-9_]+"), "overridePins": BOOLEAN},
        frozenset({"src"}),
    ),
    "pin-set": Rule({"expiration": DAY}, children={"pin": (0, MANY)}),
    "pin": Rule({"digest": re.compile("SHA-256")}, frozenset({"digest"}), text=DIGEST),
}


def hold_to_android(text: str) -> ET.Element:
    """Return the root of a network security config.

    :raises GrammarError: when it isn't one.
    """
    root = ET.fromstring(text)
    if root.tag != "network-security-config":
        raise GrammarError(root.tag)
    _hold(root)
    domains = [each.text for each in root.iter("domain")]
    if len(set(domains)) != len(domains):
        raise GrammarError("a domain twice, of which the platform throws")
    return root


def _hold(element: ET.Element) -> None:
    rule = ANDROID[element.tag]
    names = [child.tag for child in element]
    for name in set(names) - rule.children.keys():
        raise GrammarError(f"{name} in {element.tag}")
    for name, (fewest, most) in rule.children.items():
        if not fewest <= names.count(name) <= most:
            raise GrammarError(f"{names.count(name)} of {name} in {element.tag}")
    if not rule.needed <= element.attrib.keys() <= rule.attributes.keys():
        raise GrammarError(f"attributes of {element.tag}: {sorted(element.attrib)}")
    for name, value in element.attrib.items():
        if not rule.attributes[name].fullmatch(value):
            raise GrammarError(f"{name}={value}")
    said = element.text or ""
    if (rule.text is None and said.strip()) or (rule.text and not rule.text.fullmatch(said)):
        raise GrammarError(f"text of {element.tag}: {said}")
    for child in element:
        _hold(child)


def hold_to_ios(text: str) -> Mapping[str, Any]:
    """Return the pinned domains of an Info.plist.

    :raises GrammarError: when a domain isn't as Apple describes them.
    """
    root = plistlib.loads(text.encode())
    _exactly(root, {"NSAppTransportSecurity"})
    _exactly(root["NSAppTransportSecurity"], {"NSPinnedDomains"})
    domains: Mapping[str, Any] = root["NSAppTransportSecurity"]["NSPinnedDomains"]
    lists = {"NSPinnedCAIdentities", "NSPinnedLeafIdentities"}
    for name, domain in domains.items():
        if not HOST.fullmatch(name) or not isinstance(domain.get("NSIncludesSubdomains"), bool):
            raise GrammarError(name)
        if not domain.keys() & lists or domain.keys() - lists - {"NSIncludesSubdomains"}:
            raise GrammarError(f"members of {name}")
        for identity in (each for kind in domain.keys() & lists for each in domain[kind]):
            _exactly(identity, {"SPKI-SHA256-BASE64"})
            if not DIGEST.fullmatch(identity["SPKI-SHA256-BASE64"]):
                raise GrammarError(f"a digest of {name}")
    return domains


TRUSTKIT: Mapping[str, type] = {
    "TSKEnforcePinning": bool,
    "TSKIncludeSubdomains": bool,
    "TSKPublicKeyHashes": list,
    "TSKDisableDefaultReportUri": bool,
    "TSKExpirationDate": str,
    "TSKReportUris": list,
    "TSKExcludeSubdomainFromParentPolicy": bool,
}


def hold_to_trustkit(text: str) -> Mapping[str, Any]:
    """Return the pinned domains of a configuration of TrustKit.

    :raises GrammarError: when TrustKit would end the app.
    """
    root = plistlib.loads(text.encode())
    _exactly(root, {"TSKConfiguration"})
    domains: Mapping[str, Any] = root["TSKConfiguration"]["TSKPinnedDomains"]
    for name, domain in domains.items():
        for key, value in domain.items():
            if key not in TRUSTKIT or not isinstance(value, TRUSTKIT[key]):
                raise GrammarError(f"{key} of {name}")
        hashes = domain["TSKPublicKeyHashes"]
        if len(set(hashes)) < 2 or not all(DIGEST.fullmatch(each) for each in hashes):
            raise GrammarError(f"pins of {name}")
        if "TSKExpirationDate" in domain and not DAY.fullmatch(domain["TSKExpirationDate"]):
            raise GrammarError(f"date of {name}")
        if not all(each.startswith("https://") for each in domain.get("TSKReportUris", ())):
            raise GrammarError(f"reports of {name}")
    return domains


def _exactly(value: object, names: set[str]) -> None:
    if not isinstance(value, dict) or value.keys() != names:
        raise GrammarError(f"expected exactly {names}")
