"""Write docs/inventory.cdx.json, CycloneDX 1.6: what others wrote, and what cryptography is used: ``python -m scripts.pages inventory``.

The packages are those of requirements/runtime.txt, where the digests of the files stand that may be installed for each.  Nothing in
it changes unless one of its two sources does: it has no time and no serial number.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from scripts.cited_tests import ROOT

LOCK: Final = ROOT / "requirements" / "runtime.txt"
SOURCE: Final = ROOT / "scripts" / "inventory" / "cryptography.toml"
TARGET: Final = ROOT / "docs" / "inventory.cdx.json"
_LOCKED: Final = re.compile(
    r"(?m)^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?: ; (?P<where>[^\\]+))?"
)


def cryptography() -> dict[str, list[dict[str, Any]]]:
    """Return the algorithms and keys, in the order of the file."""
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))


def document() -> dict[str, Any]:
    """Return the whole document."""
    found = cryptography()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"bom-ref": "watchword", "type": "application", "name": "watchword"}
        },
        "components": [
            *_packages(LOCK.read_text(encoding="utf-8")),
            *(_algorithm(each) for each in found["algorithms"]),
            *(_key(each) for each in found["keys"]),
        ],
        # Engines that a user runs in front aren't in it: they are installed by himself.
        "compositions": [{"aggregate": "complete", "assemblies": ["watchword"]}],
    }


def text() -> str:
    """Return the document as it is written."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _packages(lock: str) -> Iterator[dict[str, Any]]:
    """Yield a component for each locked package."""
    for found in _LOCKED.finditer(lock):
        name = f"pkg:pypi/{found['name'].lower()}@{found['version']}"
        component = {
            "bom-ref": name,
            "type": "library",
            "name": found["name"],
            "version": found["version"],
            "purl": name,
        }
        if found["where"]:
            # Packages for some systems or releases of Python alone (PEP 508).
            where = {"name": "watchword:where", "value": found["where"].strip()}
            yield {**component, "properties": [where]}
        else:
            yield component


def _algorithm(each: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "primitive": each["primitive"],
        "cryptoFunctions": each["functions"],
        "classicalSecurityLevel": each["level"],
    }
    if "curve" in each:
        properties["curve"] = each["curve"]
    crypto = {"assetType": "algorithm", "algorithmProperties": properties}
    return _asset(each, "algorithm", crypto)


def _key(each: Mapping[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "type": each["type"],
        "algorithmRef": f"algorithm/{each['algorithm']}",
    }
    if each["bits"]:
        properties["size"] = each["bits"]
    crypto = {
        "assetType": "related-crypto-material",
        "relatedCryptoMaterialProperties": properties,
    }
    said = [
        {"name": f"watchword:{name}", "value": each[name]}
        for name in ("lies", "for", "never", "life")
    ]
    return {**_asset(each, "key", crypto), "properties": said}


def _asset(each: Mapping[str, Any], kind: str, crypto: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bom-ref": f"{kind}/{each['id']}",
        "type": "cryptographic-asset",
        "name": each["name"],
        "cryptoProperties": dict(crypto),
        "evidence": {"occurrences": [{"location": each["file"]}]},
    }
