"""Build apps with the rendered files, and have the scan say what it sees of them."""

import plistlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast
from xml.etree import ElementTree as ET

import pytest
from tests.unit.pins.builders import entry, pin_set, pins
from tests.unit.pins.rendering.sets import WHOLE, authorities
from tests.unit.scan.android.builders import Given, Tag, axml
from tests.unit.scan.app_builders import apk
from tests.unit.scan.fixtures import tools
from tests.unit.scan.ios_builders import info, ipa, read, zipped

from watchword.adapters.app_package import open_app
from watchword.pins.formats import render
from watchword.pins.interface import PinSet
from watchword.scan.app import App
from watchword.scan.archive.interface import Limits
from watchword.scan.interface import Finding, Verdict
from watchword.scan.rules import ios_pinned_domains, pinning

MANIFEST = """\
<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="com.example.clinic">
  <uses-sdk android:minSdkVersion="24" android:targetSdkVersion="35" />
  <uses-permission android:name="android.permission.INTERNET" />
  <application android:networkSecurityConfig="@xml/network_security_config" />
</manifest>
"""
ONE = pin_set(1, entry(held=pins(backup=None)))


def tree(element: ET.Element) -> Tag:
    """Return an element as the builder of apps takes it."""
    text = (element.text or "").strip()
    attributes = cast("Mapping[int | str, Given]", element.attrib)
    return Tag(element.tag, attributes, [tree(each) for each in element], text)


def built(path: Path, text: str) -> Path:
    """Write an app with a network security config, without any of Android's tools."""
    path.write_bytes(apk(config=axml(tree(ET.fromstring(text)))))
    return path


def compiled(folder: Path, text: str) -> Path:
    """Write an app with a network security config as Android's own tools do."""
    tools.write_tree(
        folder, {"AndroidManifest.xml": MANIFEST, "res/xml/network_security_config.xml": text}
    )
    return tools.linked(folder)


def opened(path: Path) -> App:
    """Return an app as the scan has it."""
    return open_app(path, Limits(), lambda: 60.0)


def seen_in(app: App) -> Mapping[str, Finding]:
    """Return by subject what the rule on pinning says of an Android app."""
    return {each.subject: each for each in pinning.RULE.run(app)}


def seen_in_plist(text: str) -> Mapping[str, Finding]:
    """Return by subject what the rule on pinned domains says of an app with this in its Info.plist."""
    app = read(ipa(info(**plistlib.loads(text.encode()))))
    return {each.subject: each for each in ios_pinned_domains.RULE.run(app)}


@pytest.mark.parametrize("way", ["own", "aapt2"])
def test_scan_sees_androids_pins(tmp_path: Path, way: str) -> None:
    """Each enforced host is protected until the set's end, those below it too, and none lacks a backup."""
    text = render("android", WHOLE).text
    if way == "aapt2":
        assert not tools.missing(), "scripts/setup installs them"
    path = compiled(tmp_path, text) if way == "aapt2" else built(tmp_path / "own.apk", text)
    found = seen_in(opened(path))
    titles = {subject: each.title for subject, each in found.items()}
    assert {each.verdict for each in found.values()} == {Verdict.PROTECTED}
    assert titles == {
        "api.example.com": "api.example.com: 3 pins in the config, until 2027-02-15; after that nothing is pinned.",
        "cdn.example.net": "cdn.example.net and all below: 2 pins in the config, until 2027-02-15; after that nothing is pinned.",
        "a---b--kva.example": "a---b--kva.example: 2 pins in the config, without an end.",
        "both.example.org": "both.example.org and all below: 3 pins in the config, until 2027-02-15; after that nothing is pinned.",
    }


def test_scan_sees_a_missing_backup_on_android(tmp_path: Path) -> None:
    """A set with one key that was forced through is told by the scan too."""
    found = seen_in(opened(built(tmp_path / "own.apk", render("android", ONE).text)))
    assert found["backup:api.example.com"].verdict is Verdict.INFO


@pytest.mark.parametrize("name", ["ios", "trustkit"])
def test_scan_sees_pinned_domains(name: str) -> None:
    """Each host that is enforced is protected, with a backup; what only reports isn't counted as protected."""
    wanted: PinSet = pin_set(
        1, entry(), entry("cdn.example.net", held=authorities("R1", "R2"), include_subdomains=True)
    )
    found = seen_in_plist(render(name, wanted).text)
    assert {subject: each.verdict for subject, each in found.items()} == {
        "api.example.com": Verdict.PROTECTED,
        "cdn.example.net": Verdict.PROTECTED,
    }
    assert found["cdn.example.net"].title.startswith("*.cdn.example.net: 2 pins")


def test_scan_sees_that_trustkit_only_reports() -> None:
    """A host in report mode isn't protected."""
    found = seen_in_plist(render("trustkit", WHOLE).text)
    assert found["report:img.cdn.example.net"].verdict is Verdict.INFO
    assert "img.cdn.example.net" not in found


def test_scan_sees_a_missing_backup_on_ios() -> None:
    """A set with one key is told."""
    assert seen_in_plist(render("ios", ONE).text)["backup:api.example.com"].verdict is Verdict.INFO


def test_whole_package_of_ios_is_read(tmp_path: Path) -> None:
    """Also through the archive, the whole way."""
    path = tmp_path / "app.ipa"
    plist = plistlib.loads(render("ios", WHOLE).text.encode())
    path.write_bytes(zipped(ipa(info(**plist))))
    found = {each.subject: each.verdict for each in ios_pinned_domains.RULE.run(opened(path))}
    assert found["api.example.com"] is Verdict.PROTECTED
