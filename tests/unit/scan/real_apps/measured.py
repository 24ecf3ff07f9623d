"""Say of each measured fact what our readers see, in the form of the index."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.unit.scan.archive.builders import opened
from tests.unit.scan.real_apps.known import APPS, Fact, app_of

from watchword.scan.app import App, DomainConfig, Manifest, NetworkConfig
from watchword.scan.archive.interface import inner_name

_LIBRARY = re.compile(r"(?:base/)?lib/([^/]+)/[^/]+\.so")
_SCHEMES = {"v1": "V1", "v2": "V2", "v3": "V3", "v3.1": "V31"}


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _manifest(app: App) -> Manifest:
    assert app.manifest is not None
    return app.manifest


def _names(app: App) -> list[str]:
    return [inner_name(entry.name) for entry in app.entries]


def _abis(app: App) -> list[str]:
    return [match[1] for match in map(_LIBRARY.fullmatch, _names(app)) if match]


def _package(app: App) -> str:
    return app.ios.bundle_id if app.ios is not None else _manifest(app).package


def _exported(app: App) -> dict[str, list[str]]:
    """Return what states that it is exported, in the order of the manifest; aliases weren't measured."""
    kinds: dict[str, list[str]] = {
        kind: [] for kind in ("activity", "service", "receiver", "provider")
    }
    for each in _manifest(app).components:
        if each.stated and each.exported and each.kind in kinds:
            kinds[each.kind].append(each.name)
    return kinds


def _schemes(app: App) -> tuple[str, ...]:
    return () if app.signing is None else app.signing.schemes


def _newer(app: App) -> list[str]:
    """Return the schemes as the system's verifier tells them to Android 7: v1 only where there is none that is newer."""
    schemes = _schemes(app)
    return [each for each in schemes if each != "v1" or len(schemes) == 1]


def _signed(app: App) -> str:
    """Say whether there is a signature, in the words of the system's verifier: we tell what is stated and verify nothing."""
    return "Verifies" if _schemes(app) else "DOES NOT VERIFY"


def _network(app: App) -> NetworkConfig:
    assert app.network is not None
    return app.network


def _configs(app: App) -> Sequence[DomainConfig]:
    network = _network(app)
    return (*(() if network.base is None else (network.base,)), *network.domains)


def _ats(app: App) -> object:
    assert app.ios is not None
    return app.ios.info.get("NSAppTransportSecurity")


def _minimum(app: App) -> str | None:
    assert app.ios is not None
    return app.ios.minimum_os


SEEN: dict[str, Callable[[App], Any]] = {
    "size": lambda app: app.size,
    "sha256": lambda app: app.digest,
    "package": _package,
    "min_sdk": lambda app: str(_manifest(app).min_sdk),
    "target_sdk": lambda app: _manifest(app).target_sdk,
    "debuggable": lambda app: _flag(_manifest(app).debuggable),
    "allow_backup": lambda app: _flag(_manifest(app).allow_backup),
    "usesCleartextTraffic": lambda app: _flag(_manifest(app).cleartext),
    "networkSecurityConfig": lambda app: _manifest(app).network_config,
    "exported_explicit_true": _exported,
    "permissions_n": lambda app: len(_manifest(app).permissions),
    "signature_schemes": lambda app: [_SCHEMES[each] for each in _schemes(app)],
    "apksigner": _signed,
    "apksigner_schemes": _newer,
    "aapt2_badging_ok": lambda app: app.manifest is not None,
    "dex": lambda app: sum(name.endswith(".dex") for name in _names(app)),
    "native_libs": lambda app: len(_abis(app)),
    "abis": lambda app: sorted(set(_abis(app))),
    "entries": lambda app: len(app.entries),
    "nsc_in_manifest": lambda app: app.network is not None,
    "nsc_file": lambda app: _network(app).file,
    "nsc_pins": lambda app: sum(len(each.pin_set.pins) for each in _configs(app) if each.pin_set),
    "nsc_cleartext": lambda app: [
        _flag(each.cleartext) for each in _configs(app) if each.cleartext is not None
    ],
    "nsc_user_ca": lambda app: any(each.user_anchors for each in _configs(app)),
    "min_os": _minimum,
    "ats": _ats,
}
"""What our readers see, by key of the index; a key that isn't here fails the test."""


def seen(fact: Fact) -> Any:
    """Return what our readers see of a fact; KeyError for a key that nobody here knows."""
    if fact.key.startswith("string_check "):
        return _places_of(app_of(fact.file), fact.about)
    return SEEN[fact.key](app_of(fact.file))


def _places_of(app: App, text: str) -> list[str] | str:
    """Return where a string lies: in code by our reader of it, elsewhere in the bytes of entries, as it was measured."""
    found = []
    if app.code is not None and any(text in each for each in app.code.strings):
        found.append("dex")
    archive, _ = opened((APPS / app.name).read_bytes())
    others = [name for name in archive.names if not name.endswith((".dex", "/"))]
    if any(text.encode() in archive.read(name) for name in others):
        found.append("other/native")
    return found or "absent"


CERTIFICATES = {
    "AndroGoat.apk": "f1d42f18d738ff2908cc2274a688b6642df0379a0ea2623164e969a9086e0e20",
    "AndroGoat_without_nsc.apk": "b6cccd3d1e4062cb16100e6fa686615df1c526333e1f0d6e5d19dd6e1e19df09",
    "HelloWorld-JNI.apk": "af612d3153793fef92a3ac95af8bc4b5232b202e9b9c856db5878f5e006b4ec8",
    "InsecureBankv2-release.apk": "64e8f1e6428e2d324073dc18b9e9387bac2b467ec335f0fdac6c7aaa607141be",
    "InsecureBankv2.apk": "8092db81ae717486631a1534977def465ee112903e1553d38d41df8abd57a375",
    "UnCrackable-Level1.apk": "cbe68ab87d64341c3fc78119dc1229e8aa86f93fdb2c33aa61252fd491485b1d",
    "UnCrackable-Level3.apk": "9e783c18fc0fbc14863a280fc8c2b83a445287e32a2519e24c9b6f8d8147146f",
    "apkinspector-minimal-orig.apk": "2b64ad02da1ab1917c3b3bc9053a944718dc774c5b53e9eb029f509a10129aea",
    "apksig-debuggable-resource.apk": "a40da80a59d170caa950cf15c18c454d47a39b26989d8b640ecd745ba71bf5dc",
    "apksig-v1-rsa1024-md5.apk": "bc5e64eab1c4b5137c0fbc5ed05850b3a148d1c41775cffa4d96eea90bdd0eb8",
    "apksig-v31.apk": "d78405f761ff6236cc9b570347a570aba0c62a129a3ac30c831c64d09ad95469"
    " 6a8b96e278e58f62cfe3584022cec1d0527fcb85a9e5d2e1694eb0405be5b599",
    "app-prod-debug-abcore.apk": "5e29b0ae637411e251bd8deb235d4fa812e7ab79a6a69f3ea0b7324bdca6a390",
    "com.teleca.jamendo_35.apk": "ebd3cc3f8c36a4503838b0610103c8b919245c3ee2c4600f6646502e3875a4ac",
    "dvba.apk": "0d770dd2df7f63e949e8ca87b7e97ba6827762e289bd281679910609568acdde",
    "fdroid-v1v2.apk": "32a23624c201b949f085996ba5ed53d40f703aca4989476949cae891022e0ed6",
    "fdroid-v2only.apk": "32a23624c201b949f085996ba5ed53d40f703aca4989476949cae891022e0ed6",
    "ghera-constkey-benign.apk": "d4faff83cf9b8734d4bc95874a01935323f3b659b08d29f1230c00e9c00f50c6",
    "ghera-webviewssl-secure.apk": "8fb316c79f217a63852cc34eb6638a848300e732db2a0ef49a976115deed4f16",
    "pivaa.apk": "918b23e3bf7c966db1906bd25d0deaeb42ed8ef76ad609a79c90c7f59ac8dcfd",
}
"""SHA-256 of signers' certificates, the newest first, as ``apksigner verify --print-certs`` of Android 35.0.2 tells them."""
