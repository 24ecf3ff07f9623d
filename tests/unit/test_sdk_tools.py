"""Hold the lock of the phones' SDKs to its form, and what it locks to its hashes."""

import hashlib
import io
import re
import tarfile
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from scripts.sdk import SdkError
from scripts.sdk.tools import LOCK, hold, lay, locked

PACKAGE: dict[str, Any] = {
    "version": "1.0.0",
    "folder": "tool",
    "files": {"package/lib/tool.jar": hashlib.sha256(b"tool").hexdigest()},
}


def test_each_package_and_file_has_its_hash() -> None:
    """Exact releases, whole hashes, a folder for each, and a file at least."""
    lock = locked()
    assert lock.keys() == {"npm", "pypi", "debian", "debian-ios"}
    packages = [*lock["npm"].items(), *lock["pypi"].items()]
    for name, package in packages:
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"]), name
        assert package["files"], name
        for member, digest in package["files"].items():
            assert re.fullmatch(r"[0-9a-f]{64}", digest), member
    for name, package in lock["npm"].items():
        kind, _, digest = package["integrity"].partition("-")
        assert kind == "sha512", name
        assert len(b64decode(digest, validate=True)) == 64, name
    for name, package in lock["pypi"].items():
        assert re.fullmatch(r"[0-9a-f]{64}", package["sha256"]), name
    assert len({package["folder"] for _, package in packages}) == len(packages)
    debian = lock["debian"] | lock["debian-ios"]
    assert len(debian) == len(lock["debian"]) + len(lock["debian-ios"])
    for name, file in debian.items():
        assert re.fullmatch(r"/usr/(?:bin|share|include)/[\w./-]+", file), name


def test_no_address_is_in_it() -> None:
    """The clients know theirs, and a mirror serves as well."""
    text = LOCK.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"\b[\w-]+\.(?:org|com|io|net|dev)\b", text)


class Served:
    """Serve a package as npm packs it, and count how often."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked = 0

    def __call__(self, name: str, package: object, place: Path) -> Path:
        """Write the tarball and return its path."""
        self.asked += 1
        archive = place / f"{name}.tgz"
        with tarfile.open(archive, "w:gz") as tarball:
            for member, data in self.files.items():
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                tarball.addfile(entry, io.BytesIO(data))
        return archive


def test_files_are_laid_once(tmp_path: Path) -> None:
    """Only what the lock names, without its path; a second time nothing is fetched; a changed lock fetches anew."""
    served = Served({"package/lib/tool.jar": b"tool", "package/install.js": b"run me"})
    assert lay("tool", PACKAGE, served, tmp_path)
    assert {each.name for each in (tmp_path / "tool").iterdir()} == {"tool.jar", ".laid"}
    assert (tmp_path / "tool" / "tool.jar").read_bytes() == b"tool"
    assert not lay("tool", PACKAGE, served, tmp_path)
    assert served.asked == 1
    assert lay("tool", PACKAGE | {"version": "1.0.1"}, served, tmp_path)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"package/lib/tool.jar": b"other"}, "got SHA-256 .*, expected "),
        ({"package/lib/another.jar": b"tool"}, "got no such file, which is locked"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, files: dict[str, bytes], told: str) -> None:
    """And nothing of the package is laid, nor is what lay there before."""
    lay("tool", PACKAGE, Served({"package/lib/tool.jar": b"tool"}), tmp_path)
    with pytest.raises(SdkError, match=told):
        lay("tool", PACKAGE | {"version": "1.0.1"}, Served(files), tmp_path)
    assert not (tmp_path / "tool").exists()


def test_another_archive_is_refused(tmp_path: Path) -> None:
    """By the hash of the whole, before anything in it is read."""
    archive = tmp_path / "tool.tgz"
    archive.write_bytes(b"tarball")
    digest = b64encode(hashlib.sha512(b"tarball").digest()).decode()
    hold(archive, "tool", PACKAGE | {"integrity": f"sha512-{digest}"})
    archive.write_bytes(b"tarballs")
    with pytest.raises(SdkError, match=r"tool 1\.0\.0: got sha512-.*nothing of it was used"):
        hold(archive, "tool", PACKAGE | {"integrity": f"sha512-{digest}"})
