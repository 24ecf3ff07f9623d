"""Real apps, where they lie beside the clone: what was measured of their archives by other tools comes out here too."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.scan.archive.builders import opened

from watchword.adapters.app_package import open_app
from watchword.scan.app import App, Container
from watchword.scan.archive.interface import Limits, inner_name

APPS = Path(__file__).resolve().parents[5] / "shared" / "apps"
INDEX: list[dict[str, Any]] = (
    json.loads((APPS / "index.json").read_text()) if (APPS / "index.json").is_file() else []
)

pytestmark = pytest.mark.skipif(not INDEX, reason="the apps aren't beside the clone")


def _open(name: str) -> App:
    """Open one of the apps."""
    return open_app(APPS / name, Limits(), lambda: 60.0)


@pytest.mark.parametrize("known", INDEX, ids=[known["file"] for known in INDEX])
def test_measured_facts_of_the_archive_are_reproduced(known: dict[str, Any]) -> None:
    """Shows size, digest, and the numbers of entries, DEX files, native libraries and ABIs as other tools count them."""
    app = _open(known["file"])
    measured = known["measured"]
    names = [inner_name(entry.name) for entry in app.entries]
    libraries = [re.fullmatch(r"(?:base/)?lib/([^/]+)/[^/]+\.so", name) for name in names]
    abis = {found[1] for found in libraries if found}
    assert (app.size, app.digest) == (known["size"], known["sha256"])
    assert len(names) == measured["entries"]
    assert sum(name.endswith(".dex") for name in names) == measured["dex"]
    assert sum(found is not None for found in libraries) == measured["native_libs"]
    assert sorted(abis) == sorted(measured["abis"])
    endings = {".aab": Container.AAB, ".ipa": Container.IPA, ".apk": Container.APK}
    assert app.container is endings[Path(known["file"]).suffix]


TAMPERED = {
    "apkinspector-eocd1026.apk": "",
    "apkinspector-minimal-def-mod.apk": "AndroidManifest.xml",
}


@pytest.mark.parametrize("known", INDEX, ids=[known["file"] for known in INDEX])
def test_only_tampered_archives_disagree(known: dict[str, Any]) -> None:
    """Shows that the two tampered archives are told, with the entry, and not one of the ordinary ones."""
    found = {disagreement.entry for disagreement in _open(known["file"]).disagreements}
    assert found == ({TAMPERED[known["file"]]} if known["file"] in TAMPERED else set())


def test_every_entry_of_the_tampered_twin_is_read() -> None:
    """Shows that the manifest behind a method that doesn't exist is the bytes that Android loads."""
    archive, _ = opened((APPS / "apkinspector-minimal-def-mod.apk").read_bytes())
    sizes = {name: len(archive.read(name)) for name in archive.names}
    assert sizes == {entry.name: entry.size for entry in archive.entries}
    # The type of its first chunk is tampered with too; Android looks at the size of its header only.
    assert archive.read("AndroidManifest.xml")[2:4] == b"\x08\x00"
    assert not any("checksum" in found.what for found in archive.disagreements)
