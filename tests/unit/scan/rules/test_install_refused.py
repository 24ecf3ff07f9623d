"""Tests of the rule on packages that phones refuse to install."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.scan.android.builders import Tag, axml, table
from tests.unit.scan.archive.builders import built
from tests.unit.scan.simulated import PACKAGE, manifest, simulated, verdicts

from watchword.adapters.app_package import open_app
from watchword.scan.android import attributes as of
from watchword.scan.app import App, Certificate, Component, Container, Entry, IntentFilter, Signing
from watchword.scan.archive.interface import Limits
from watchword.scan.interface import Verdict
from watchword.scan.rules.install_refused import RULE

CERT = Certificate("ab" * 32, "CN=Shop", "EC", 256, "sha256", None)
GO = IntentFilter((f"{PACKAGE}.GO",), (), ())
FINE = {"installs": Verdict.INFO}


def _app(
    *schemes: str,
    least: int = 24,
    target: int = 34,
    components: tuple[Component, ...] = (),
    changed: tuple[str, ...] = (),
    entries: tuple[Entry, ...] = (),
    container: Container = Container.APK,
) -> App:
    stated = replace(manifest(*components), min_sdk=least, target_sdk=target)
    signing = Signing(schemes, (CERT,), changed)
    return simulated(manifest=stated, signing=signing, entries=entries, container=container)


@pytest.mark.parametrize(
    ("schemes", "least", "target", "expected"),
    [
        (("v1",), 21, 29, FINE),
        (("v1",), 21, 30, {"v1-only": Verdict.INFO}),
        (("v1", "v2"), 21, 30, FINE),
        (("v2",), 24, 30, FINE),
        (("v2", "v3"), 23, 30, {"no-v1": Verdict.INFO}),
        ((), 21, 30, FINE),
    ],
)
def test_signatures(
    schemes: tuple[str, ...], least: int, target: int, expected: dict[str, Verdict]
) -> None:
    """Newer phones refuse v1 alone for what targets them, older ones what isn't signed by v1; no signature at all is told elsewhere."""
    assert verdicts(RULE, _app(*schemes, least=least, target=target)) == expected


@pytest.mark.parametrize(
    ("stored_at", "target", "refused"),
    [(None, 30, True), (None, 29, False), (102, 30, True), (102, 29, False), (104, 30, False)],
)
def test_resource_table(stored_at: int | None, target: int, refused: bool) -> None:
    """It has to lie as it is mapped: not compressed, at a multiple of four bytes."""
    app = _app("v2", target=target, entries=(Entry("resources.arsc", 100, stored_at),))
    assert verdicts(RULE, app) == ({"resources": Verdict.INFO} if refused else FINE)


@pytest.mark.parametrize(
    ("kind", "stated", "target", "refused"),
    [
        ("service", False, 31, True),
        ("service", False, 30, False),
        ("service", True, 31, False),
        ("provider", False, 31, False),
    ],
)
def test_export_that_is_left_to_the_filter(
    kind: str, stated: bool, target: int, refused: bool
) -> None:
    """From Android 12 on a filter wants a statement, but not of a provider."""
    name = f"{PACKAGE}.Inner"
    one = Component(kind, name, exported=True, stated=stated, permission=None, filters=(GO,))
    found = verdicts(RULE, _app("v2", target=target, components=(one,)))
    assert found == ({name: Verdict.INFO} if refused else FINE)


def test_changed_after_it_was_signed_and_bundles() -> None:
    """A package with another digest isn't installed; of a bundle the store makes packages."""
    assert verdicts(RULE, _app("v2", changed=("v2",))) == {"changed": Verdict.INFO}
    assert verdicts(RULE, _app("v1", container=Container.AAB)) == {"bundle": Verdict.INFO}


@pytest.mark.parametrize(
    ("method", "padding", "refused"),
    [
        (zipfile.ZIP_DEFLATED, 0, "is compressed"),
        (zipfile.ZIP_STORED, 0, ""),
        (zipfile.ZIP_STORED, 1, "multiple of four"),
    ],
)
def test_resource_table_of_a_built_package(
    tmp_path: Path, method: int, padding: int, refused: str
) -> None:
    """How the table lies is read of the archive: packed, aligned, or neither."""
    sdk = Tag("uses-sdk", {of.MIN_SDK_VERSION: 28, of.TARGET_SDK_VERSION: 35})
    manifest_file = axml(Tag("manifest", {"package": PACKAGE}, [sdk, Tag("application")]))
    filler = -(30 + len("fill") + 30 + len("resources.arsc")) % 4 + padding
    entries = {
        "fill": bytes(filler),
        "resources.arsc": table([]),
        "AndroidManifest.xml": manifest_file,
    }
    path = tmp_path / "app.apk"
    path.write_bytes(built(entries, method=method))
    found = list(RULE.run(open_app(path, Limits(), lambda: 60.0)))
    titles = [each.title for each in found if each.subject == "resources"]
    assert len(titles) == bool(refused)
    assert all(refused in each for each in titles)
