"""Bundles and assets as text: which entries, of which kind, and what is a gap."""

import plistlib
import struct
from collections.abc import Callable, Mapping

import pytest
from tests.unit.scan.ios_builders import FOLDER, Image, archive_of
from tests.unit.scan.texts.hermes_builders import bytecode
from tests.unit.scan.texts.unity_builders import metadata

from watchword.scan.app import Coverage, Part, TextPart
from watchword.scan.notes import Notes
from watchword.scan.texts.reader import Bounds, read_texts

JS = b'var api="https://api.example.test";'


def _read(
    files: Mapping[str, bytes],
    bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen.
    over: Callable[[], bool] = lambda: False,
) -> tuple[dict[str, TextPart], Coverage]:
    notes = Notes()
    found = read_texts(archive_of(files, notes), notes, over, bounds)
    return {one.file: one for one in found}, notes.coverage()


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("assets/index.android.bundle", JS, "react-native"),
        (f"{FOLDER}main.jsbundle", JS, "react-native"),
        ("assets/index.android.bundle", bytecode([JS.decode()]), "hermes"),
        ("lib/arm64-v8a/libapp.so", b"\0" + JS + b"\0", "flutter"),
        (f"{FOLDER}Frameworks/App.framework/App", b"\0" + JS + b"\0", "flutter"),
        ("assets/flutter_assets/kernel_blob.bin", b"\0" + JS + b"\0", "flutter"),
        ("assets/flutter_assets/.env", JS, "asset"),
        ("assets/www/js/app.js", JS, "cordova"),
        (f"{FOLDER}public/index.html", JS, "cordova"),
        ("assets/config.json", JS, "asset"),
        ("res/raw/config.xml", JS, "asset"),
        ("res/aB.json", JS, "asset"),
        ("base/assets/app.properties", JS, "asset"),
        ("config.arm64.apk!/assets/key.pem", JS, "asset"),
        (
            "assets/bin/Data/Managed/Metadata/global-metadata.dat",
            metadata([JS.decode()], behind=b"\0" + JS),
            "unity",
        ),
        (
            f"{FOLDER}main.jsbundle",
            struct.pack("<5I", 0xFB0BD1E5, 1, 0, 0, len(JS)) + JS + b"\0",
            "react-native",
        ),
    ],
)
def test_what_is_read(name: str, data: bytes, kind: str) -> None:
    """Each form of bundle and asset is read as what it is, and its address is found in it."""
    found, coverage = _read({name: data})
    assert found[name].kind == kind
    assert any("https://api.example.test" in line for line in found[name].lines)
    assert coverage.gaps == ()
    assert [(seen.read, seen.defined) for seen in coverage.seen] == [(1, 1)]


@pytest.mark.parametrize(
    "name",
    [
        "META-INF/x.properties",
        "res/layout/main.xml",
        "AndroidManifest.xml",
        "classes.dex",
        "a.png",
        "assets/www/a.png",
    ],
)
def test_what_is_not_read(name: str) -> None:
    """Signatures, compiled resources, code and pictures are others' to read."""
    found, coverage = _read({name: JS})
    assert found == {}
    assert coverage.seen == ()


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [
        ("assets/index.android.bundle", bytecode(["https://a.example"])[:-5], Part.BUNDLE),
        ("assets/index.android.bundle", b"\0\0\0 encrypted", Part.BUNDLE),
        ("assets/bin/Data/Managed/Metadata/global-metadata.dat", b"encrypted", Part.BUNDLE),
        ("assets/settings.plist", b"bplist00 damaged", Part.ASSETS),
        (
            f"{FOLDER}Frameworks/App.framework/App",
            Image(encryption=1, text=b"\0ciphertext").data(),
            Part.BUNDLE,
        ),
    ],
    ids=["hermes", "script", "unity", "plist", "flutter"],
)
def test_what_cannot_be_read_is_a_gap(name: str, data: bytes, part: Part) -> None:
    """Damaged, compressed and encrypted bundles are gaps; what can be seen of them is kept."""
    found, coverage = _read({name: data})
    assert [(gap.part, gap.where) for gap in coverage.gaps] == [(part, name)]
    assert not any("ciphertext" in line for one in found.values() for line in one.lines)


def test_a_property_list_keeps_key_and_value_together() -> None:
    """XML tears a key from its value over two lines; both forms are read as ``key = value``."""
    value = {"API_KEY": "abc", "list": [{"URL": "https://x.example"}], "n": 5}
    for form in (plistlib.FMT_XML, plistlib.FMT_BINARY):
        name = f"{FOLDER}GoogleService-Info.plist"
        found, _ = _read({name: plistlib.dumps(value, fmt=form)})
        assert found[name].lines == ("API_KEY = abc", "URL = https://x.example", "n = 5")


def test_a_second_architecture_adds_what_is_new() -> None:
    """Flutter compiles the same strings into each architecture: of the second only what is new is kept."""
    files = {
        "lib/arm64-v8a/libapp.so": b"\0of-both\0only-arm64\0",
        "lib/x86_64/libapp.so": b"\0of-both\0only-x86\0",
    }
    found, _ = _read(files)
    assert found["lib/arm64-v8a/libapp.so"].lines == ("of-both", "only-arm64")
    assert found["lib/x86_64/libapp.so"].lines == ("only-x86",)


def test_a_large_asset_is_cut() -> None:
    """Of a large asset the first part is read, and the rest is a gap."""
    found, coverage = _read({"assets/a.txt": b"0123456789rest"}, Bounds(asset=10))
    assert found["assets/a.txt"].lines == ("0123456789",)
    assert [gap.where for gap in coverage.gaps] == ["assets/a.txt"]


def test_all_text_is_bounded() -> None:
    """More text than is kept of an app is a gap, not a full memory."""
    files = {"assets/a.txt": b"12345\n67890\nabc", "assets/b.txt": b"more"}
    found, coverage = _read(files, Bounds(characters=10))
    assert found["assets/a.txt"].lines == ("12345", "67890")
    assert {gap.where for gap in coverage.gaps} == {"assets/a.txt", "assets/b.txt"}
