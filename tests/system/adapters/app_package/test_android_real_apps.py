"""Real apps, where they lie beside the clone: what other tools measured of manifests, configs and signatures comes out here too."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.scan.archive.builders import opened

from watchword.adapters.app_package.android import AndroidParts, read_android
from watchword.adapters.app_package.package import container_of
from watchword.scan.app import Coverage, Manifest, PinSet, Resource

APPS = Path(__file__).resolve().parents[5] / "shared" / "apps"
INDEX: list[dict[str, Any]] = (
    json.loads((APPS / "index.json").read_text()) if (APPS / "index.json").is_file() else []
)
ANDROID = [known for known in INDEX if not known["file"].endswith(".ipa")]
MEASURED = [known for known in ANDROID if known["file"].endswith(".apk")]

pytestmark = pytest.mark.skipif(not INDEX, reason="the apps aren't beside the clone")


def _read(name: str) -> tuple[AndroidParts, Coverage]:
    archive, notes = opened((APPS / name).read_bytes())
    container = container_of(archive)
    assert container is not None
    return read_android(APPS / name, archive, container, notes), notes.coverage()


def _manifest(name: str) -> Manifest:
    manifest = _read(name)[0].manifest
    assert manifest is not None
    return manifest


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


@pytest.mark.parametrize("known", MEASURED, ids=[known["file"] for known in MEASURED])
def test_measured_facts_of_the_manifest_are_reproduced(known: dict[str, Any]) -> None:
    """Shows package, versions, flags, permissions and explicitly exported components as other tools read them."""
    measured = known["measured"]
    found = _manifest(known["file"])
    assert found.package == measured["package"]
    assert str(found.min_sdk) == measured["min_sdk"]
    assert found.target_sdk == measured["target_sdk"]
    assert _flag(found.debuggable) == measured["debuggable"]
    assert _flag(found.allow_backup) == measured["allow_backup"]
    assert _flag(found.cleartext) == measured["usesCleartextTraffic"]
    assert found.network_config == measured["networkSecurityConfig"]
    assert len(found.permissions) == measured["permissions_n"]
    exported: dict[str, list[str]] = {kind: [] for kind in measured["exported_explicit_true"]}
    for each in found.components:
        if each.stated and each.exported:
            exported[each.kind].append(each.name)
    assert exported == measured["exported_explicit_true"]


@pytest.mark.parametrize("known", MEASURED, ids=[known["file"] for known in MEASURED])
def test_measured_facts_of_the_config_are_reproduced(known: dict[str, Any]) -> None:
    """Shows file, pins, cleartext and trust in the user's authorities, and that there is no config where none was measured."""
    measured = known["measured"]
    network = _read(known["file"])[0].network
    assert (network is not None) == measured.get("nsc_in_manifest", False)
    if network is None:
        return
    base = [] if network.base is None else [network.base]
    configs = [*base, *network.domains]
    assert network.file == measured["nsc_file"]
    assert sum(len(each.pin_set.pins) for each in configs if each.pin_set) == measured["nsc_pins"]
    cleartext = [_flag(each.cleartext) for each in configs if each.cleartext is not None]
    assert cleartext == measured["nsc_cleartext"]
    assert any(each.user_anchors for each in configs) == measured["nsc_user_ca"]


@pytest.mark.parametrize("known", MEASURED, ids=[known["file"] for known in MEASURED])
def test_measured_schemes_are_reproduced(known: dict[str, Any]) -> None:
    """Shows the signature schemes as other tools list them."""
    signing = _read(known["file"])[0].signing
    assert signing is not None
    names = {"V1": "v1", "V2": "v2", "V3": "v3", "V31": "v3.1"}
    assert list(signing.schemes) == [names[each] for each in known["measured"]["signature_schemes"]]
    assert bool(signing.certificates) == bool(signing.schemes)


@pytest.mark.parametrize("known", ANDROID, ids=[known["file"] for known in ANDROID])
def test_nothing_of_an_app_is_missed(known: dict[str, Any]) -> None:
    """Shows that of all of them, tampered ones too, manifest, resources, config and signatures are read without a gap."""
    parts, coverage = _read(known["file"])
    assert not coverage.gaps
    assert parts.resources


def test_implied_exports_are_computed() -> None:
    """Shows a component that only its intent filter opens."""
    found = {each.name.rpartition(".")[2]: each for each in _manifest("dvba.apk").components}
    rates = found["CurrencyRates"]
    assert (rates.exported, rates.stated) == (True, False)


def test_the_rotated_key_comes_first() -> None:
    """Shows both certificates of a package whose key was changed by v3.1."""
    signing = _read("apksig-v31.apk")[0].signing
    assert signing is not None
    assert [each.subject for each in signing.certificates] == ["CN=ec-p256_2", "CN=ec-p256"]


def test_a_weak_key_is_told() -> None:
    """Shows the key of 1,024 bits; MD5 is the hash of this package's signature, its certificate is signed by SHA-256."""
    signing = _read("apksig-v1-rsa1024-md5.apk")[0].signing
    assert signing is not None
    (only,) = signing.certificates
    assert (only.key, only.bits, only.signature_hash) == ("RSA", 1024, "sha256")


def test_pins_and_their_end() -> None:
    """Shows the one app with pins in its config, and a named string."""
    parts, _ = _read("fixtures/pinned.apk")
    assert parts.network is not None
    (domain,) = parts.network.domains
    assert domain.domains == (("api.example.test", True),)
    assert isinstance(domain.pin_set, PinSet)
    assert (len(domain.pin_set.pins), domain.pin_set.expiration) == (2, "2030-01-01")
    assert all(isinstance(each, Resource) for each in parts.resources)


def test_a_bundle_has_all_of_it() -> None:
    """Shows manifest, backup rules, strings and signer of an App Bundle."""
    parts, _ = _read("MoviePic.aab")
    assert parts.manifest is not None
    assert (parts.manifest.package, parts.manifest.target_sdk) == ("net.a3do.app.moviepic", 29)
    assert parts.manifest.full_backup_content == "res/xml/backup_descriptor.xml"
    assert parts.signing is not None
    assert (parts.signing.schemes, len(parts.signing.certificates)) == (("v1",), 1)
