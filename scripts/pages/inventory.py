"""Write docs/inventory.cdx.json, CycloneDX 1.6: what others wrote, and what cryptography is used: ``python -m scripts.pages inventory``.

The packages are those of requirements/runtime.txt, where the digests of the files stand that may be installed for each.  Nothing in
it changes unless one of its two sources does: it has no time and no serial number.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from scripts.cited_tests import ROOT

LOCK: Final = ROOT / "requirements" / "runtime.txt"
SOURCE: Final = ROOT / "scripts" / "inventory" / "cryptography.toml"
VENDORED: Final = ROOT / "src" / "watchword" / "apps" / "web" / "static" / "vendored.toml"
TARGET: Final = ROOT / "docs" / "inventory.cdx.json"
_LOCKED: Final = re.compile(
    r"(?m)^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?: ; (?P<where>[^\\]+))?"
    r"(?P<digests>(?:\s*\\\n +--hash=sha256:[0-9a-f]{64})*)"
)
_WATCHWORD: Final[Mapping[str, Any]] = {
    "bom-ref": "watchword",
    "type": "application",
    "name": "watchword",
}


class Locked(NamedTuple):
    """Hold a package as a lock has it.

    :param where: the systems or releases of Python that it is for (PEP 508); empty for all.
    :param digests: SHA-256 of each file that may be installed for it, in hex.
    """

    name: str
    version: str
    where: str
    digests: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Return its package URL, which is its name in a document too."""
        return f"pkg:pypi/{self.name.lower()}@{self.version}"


def cryptography() -> dict[str, list[dict[str, Any]]]:
    """Return the algorithms and keys, in the order of the file."""
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))


def locked(lock: str) -> Iterator[Locked]:
    """Yield the packages of a lock, in its order."""
    for found in _LOCKED.finditer(lock):
        digests = tuple(re.findall(r"[0-9a-f]{64}", found["digests"]))
        yield Locked(found["name"], found["version"], (found["where"] or "").strip(), digests)


def document(
    component: Mapping[str, Any] = _WATCHWORD, libraries: Iterable[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Return the whole document.

    :param component: what it is about; its reference is ``watchword``.
    :param libraries: components in place of those of the lock.
    """
    found = cryptography()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": dict(component)},
        "components": [
            *(map(library, locked(LOCK.read_text("utf-8"))) if libraries is None else libraries),
            *map(_carried, tomllib.loads(VENDORED.read_text("utf-8")).values()),
            *(_algorithm(each) for each in found["algorithms"]),
            *(_key(each) for each in found["keys"]),
        ],
        # Engines that a user runs in front aren't in it: they are installed by himself.
        "compositions": [{"aggregate": "complete", "assemblies": ["watchword"]}],
    }


def text() -> str:
    """Return the document as it is written."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def library(each: Locked) -> dict[str, Any]:
    """Return the component of a package."""
    component = {
        "bom-ref": each.purl,
        "type": "library",
        "name": each.name,
        "version": each.version,
        "purl": each.purl,
    }
    if not each.where:
        return component
    return {**component, "properties": [{"name": "watchword:where", "value": each.where}]}


def _carried(each: Mapping[str, str]) -> dict[str, Any]:
    """Return the component of a file of others that lies in the package itself."""
    purl = f"pkg:npm/{each['name']}@{each['version']}"
    return {
        "bom-ref": purl,
        "type": "library",
        "name": each["name"],
        "version": each["version"],
        "purl": purl,
        "licenses": [{"license": {"id": each["licence"]}}],
        "hashes": [{"alg": "SHA-256", "content": each["sha256"]}],
    }


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
