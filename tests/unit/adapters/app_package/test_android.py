"""Android packages as a whole: which part is read of which entry, and what is a gap."""

import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scan.android.builders import (
    File,
    Ref,
    Tag,
    Type,
    axml,
    bundle_table,
    bundle_xml,
    signers,
    table,
    with_signing_block,
)
from tests.unit.scan.archive.builders import built, opened

from watchword.adapters.app_package.android import AndroidParts, read_android
from watchword.scan.android import attributes as of
from watchword.scan.android.binary import MOST_DEPTH
from watchword.scan.app import Container, Coverage, Part, Resource

MANIFEST, CONFIG = "AndroidManifest.xml", "res/a.xml"
DOCUMENT = Tag(
    "manifest",
    {"package": "com.example.shop"},
    [
        Tag(
            "application",
            {of.NETWORK_SECURITY_CONFIG: Ref(0x7F010000), of.DEBUGGABLE: Ref(0x7F020000)},
        )
    ],
)
NETWORK = Tag(
    "network-security-config",
    children=[Tag("base-config", {"cleartextTrafficPermitted": Ref(0x7F020000)})],
)
TYPES = [
    Type("xml", {"network": File(CONFIG)}),
    Type("bool", {"on": True}),
    Type("string", {"key": "value"}),
]
APK = {MANIFEST: axml(DOCUMENT), CONFIG: axml(NETWORK), "resources.arsc": table(TYPES)}
BUNDLE = {
    f"base/manifest/{MANIFEST}": bundle_xml(DOCUMENT),
    f"base/{CONFIG}": bundle_xml(NETWORK),
    "base/resources.pb": bundle_table(TYPES),
    "feature/resources.pb": bundle_table([Type("string", {"more": "text"})], package=0x80),
}
V2 = 0x7109871A
SECONDS = 30.0


def _read(
    entries: Mapping[str, bytes],
    container: Container = Container.APK,
    *,
    package: bytes | None = None,
) -> tuple[AndroidParts, Coverage]:
    data = package or built(entries, method=zipfile.ZIP_STORED)
    archive, notes = opened(data)
    return read_android(Path("app"), archive, container, notes), notes.coverage()


def _without(name: str) -> dict[str, bytes]:
    return {each: data for each, data in APK.items() if each != name}


def _gaps(coverage: Coverage) -> list[tuple[Part, str]]:
    return [(gap.part, gap.where) for gap in coverage.gaps]


def test_an_apk_is_read() -> None:
    """Shows manifest, network config and strings, references followed from each of them."""
    parts, coverage = _read(APK)
    assert parts.manifest is not None
    assert (parts.manifest.package, parts.manifest.debuggable) == ("com.example.shop", True)
    assert parts.network is not None
    assert parts.network.base is not None
    assert (parts.network.file, parts.network.base.cleartext) == (CONFIG, True)
    assert parts.resources == (Resource("key", "value"),)
    assert parts.signing is not None
    assert parts.signing.schemes == ()
    assert not coverage.gaps
    assert [(seen.part, seen.read, seen.defined) for seen in coverage.seen] == [
        (Part.MANIFEST, 1, 1),
        (Part.NETWORK_CONFIG, 1, 1),
        (Part.RESOURCES, 1, 1),
    ]


def test_a_bundle_is_read() -> None:
    """Shows the same of an App Bundle, with the strings of all its modules."""
    parts, coverage = _read(BUNDLE, Container.AAB)
    assert parts.manifest is not None
    assert (parts.manifest.debuggable, parts.manifest.network_config) == (True, CONFIG)
    assert parts.network is not None
    assert parts.network.file == f"base/{CONFIG}"
    assert parts.resources == (Resource("key", "value"), Resource("more", "text"))
    assert not coverage.gaps


@pytest.mark.parametrize(
    ("entries", "missed"),
    [
        (_without(MANIFEST), [(Part.MANIFEST, MANIFEST), (Part.NETWORK_CONFIG, "")]),
        (APK | {MANIFEST: b"junk"}, [(Part.MANIFEST, MANIFEST), (Part.NETWORK_CONFIG, "")]),
        (_without(CONFIG), [(Part.NETWORK_CONFIG, CONFIG)]),
        (APK | {CONFIG: axml(DOCUMENT)}, [(Part.NETWORK_CONFIG, CONFIG)]),
        (
            APK | {"resources.arsc": b"junk"},
            [
                (Part.RESOURCES, "resources.arsc"),
                (Part.MANIFEST, MANIFEST),
                (Part.NETWORK_CONFIG, "@0x7f010000"),
            ],
        ),
        (
            APK | {"META-INF/A.RSA": b"junk", "META-INF/A.SF": b""},
            [(Part.SIGNING, "META-INF/A.RSA")],
        ),
    ],
    ids=["no manifest", "manifest", "no config", "config", "table", "signature"],
)
def test_what_cant_be_read_is_a_gap(
    entries: Mapping[str, bytes], missed: list[tuple[Part, str]]
) -> None:
    """Shows which parts are told as not seen, once each, when an entry is missing or damaged."""
    _, coverage = _read(entries)
    assert list(dict.fromkeys(_gaps(coverage))) == missed


def test_damage_is_not_taken_for_no_signature() -> None:
    """Shows that a package whose only signature is damaged isn't told to be unsigned."""
    parts, _ = _read(APK | {"META-INF/A.RSA": b"junk", "META-INF/A.SF": b""})
    assert parts.signing is None


def test_a_scheme_counts_though_its_certificate_cant_be_read() -> None:
    """Shows the scheme, the certificate by its digest alone, and a gap."""
    package = with_signing_block(built(APK), [(V2, signers([b"junk"]))])
    parts, coverage = _read({}, package=package)
    assert parts.signing is not None
    assert parts.signing.schemes == ("v2",)
    assert len(parts.signing.certificates) == 1
    assert _gaps(coverage) == [(Part.SIGNING, "")]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([Container.APK, Container.AAB]))
def test_flipped_bytes_raise_nothing_at_all(data: st.DataObject, container: Container) -> None:
    """Shows that no damage of an entry ends the reading of a package."""
    entries = dict(APK if container is Container.APK else BUNDLE)
    for name, content in entries.items():
        changed = bytearray(content)
        places = st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255))
        for at, byte in data.draw(st.lists(places, max_size=4)):
            changed[at] = byte
        entries[name] = bytes(changed)
    parts, coverage = _read(entries, container)
    # What isn't there was told as missed.
    assert parts.manifest is not None or _gaps(coverage)


def _nested(depth: int) -> Tag:
    tag = Tag("domain-config")
    for _ in range(depth):
        tag = Tag("domain-config", children=[tag])
    return Tag("network-security-config", children=[tag])


def test_deep_nesting_and_wide_manifests_are_bounded() -> None:
    """Shows that a config that is nested too deep is a gap, and that a manifest of many components is read in time."""
    wide = Tag(
        "manifest",
        {"package": "p"},
        [
            Tag(
                "application",
                {},
                [
                    Tag("activity", {of.NAME: f".A{n}", of.PERMISSION: Ref(0x7F020000)})
                    for n in range(3000)
                ],
            )
        ],
    )
    began = time.perf_counter()
    _, coverage = _read(APK | {CONFIG: axml(_nested(MOST_DEPTH))})
    assert _gaps(coverage) == [(Part.NETWORK_CONFIG, CONFIG)]
    parts, _ = _read(APK | {MANIFEST: axml(wide)})
    assert parts.manifest is not None
    assert len(parts.manifest.components) == 3000
    assert time.perf_counter() - began < SECONDS
