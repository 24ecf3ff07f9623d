"""Packages are told by what is in them, bad input gets a clear fault, and what wasn't read is a gap."""

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.machine import patience
from tests.unit.scan.archive.builders import built, opened

from watchword.adapters.app_package import PackageError, open_app
from watchword.adapters.app_package.mapped_file import mapped
from watchword.adapters.app_package.package import PartReader, _call, _Opening, read_dexes
from watchword.scan.app import App, Container, Part
from watchword.scan.archive.interface import Limits, Pace, UnreadableEntryError
from watchword.scan.notes import Notes
from watchword.vocabulary import Platform

MANIFEST = "AndroidManifest.xml"
APK = built({MANIFEST: b"\x03\0\x08\0", "classes.dex": b"dex\n035\0"})
SPLIT = built({MANIFEST: b"\x05\x05split\0", "lib/x86/liba.so": b"\x7fELF"})


def _open(path: Path, left: float = 60.0) -> App:
    """Open a package with the usual limits."""
    return open_app(path, Limits(), lambda: left)


def _written(folder: Path, name: str, data: bytes) -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "container", "platform"),
    [
        pytest.param(APK, Container.APK, Platform.ANDROID, id="apk"),
        pytest.param(
            built({"base/manifest/AndroidManifest.xml": b"proto"}),
            Container.AAB,
            Platform.ANDROID,
            id="aab",
        ),
        pytest.param(
            built({"base.apk": APK, "config.x86.apk": SPLIT}, method=zipfile.ZIP_STORED),
            Container.SPLITS,
            Platform.ANDROID,
            id="splits",
        ),
        pytest.param(
            built({"Payload/A.app/Info.plist": b"plist"}), Container.IPA, Platform.IOS, id="ipa"
        ),
    ],
)
@pytest.mark.parametrize("ending", ["apk", "ipa", "txt"])
def test_a_package_is_told_by_its_content(
    tmp_path: Path, data: bytes, container: Container, platform: Platform, ending: str
) -> None:
    """Shows that the form doesn't hang on the file's name, and that digest and size are the file's."""
    app = _open(_written(tmp_path, f"app.{ending}", data))
    assert (app.container, app.platform, app.name) == (container, platform, f"app.{ending}")
    assert app.digest == hashlib.sha256(data).hexdigest()
    assert app.size == len(data)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        pytest.param(b"", "an empty file", id="empty"),
        pytest.param(b"Hello, world\n" * 9, "a text file", id="text"),
        pytest.param(b"\x7fELF" + bytes(90), "ELF", id="elf"),
        pytest.param(b"dex\n035\0" + bytes(90), "a bare DEX file", id="dex"),
        pytest.param(bytes(1000), "bytes that aren't a zip archive", id="zeros"),
        pytest.param(built({}), "an empty zip archive", id="empty-zip"),
        pytest.param(built({"a": b"b"}), "a zip archive of 1 entries", id="other-zip"),
        pytest.param(built({"a": b"b"})[:31], "the front of a zip archive", id="torn-zip"),
        pytest.param(built({"classes.jar": b"", MANIFEST[:-1]: b""}), "AAR", id="aar"),
        pytest.param(built({"META-INF/MANIFEST.MF": b"", "A.class": b""}), "JAR", id="jar"),
    ],
)
def test_a_file_that_is_no_package_says_what_it_is(tmp_path: Path, data: bytes, got: str) -> None:
    """Shows that the error names the file, what was got and what was expected."""
    path = _written(tmp_path, "app.apk", data)
    with pytest.raises(PackageError) as caught:
        _open(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)
    assert got in str(caught.value)
    assert "expected" in str(caught.value)


def test_what_isnt_a_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    """Shows that a folder, a link, a pipe, a socket, a device and nothing are faults of their own, and none hangs."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(_written(tmp_path, "app.apk", APK))
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        for path in ("pipe", "link", "folder", "s", "nothing", "nul\0l"):
            with pytest.raises(PackageError):
                _open(tmp_path / path)
    with pytest.raises(PackageError):
        _open(Path("/dev/zero"))


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """Shows that the size is looked at before anything is mapped."""
    with pytest.raises(PackageError):
        open_app(_written(tmp_path, "a.apk", APK), Limits(file_size=10), lambda: 60.0)


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    """Shows that a digest of one build never stands over findings of another."""
    path = _written(tmp_path, "a.apk", APK)
    with pytest.raises(PackageError), mapped(path, 10_000):
        os.utime(path, ns=(1, 1))


def test_a_torn_package_is_a_partial_result(tmp_path: Path) -> None:
    """Shows that a truncated APK is read as far as it goes, and nothing counts as absent."""
    data = built({"classes.dex": b"dex\n035\0", MANIFEST: b"m" * 100}, method=zipfile.ZIP_STORED)
    app = _open(_written(tmp_path, "a.apk", data[: data.index(b"mmm")]))
    assert app.container is Container.APK
    assert not app.coverage.whole(Part.DEX)


def test_bombs_are_gaps(tmp_path: Path) -> None:
    """Shows that an entry that nobody would survive is refused by a gap of its part, and the rest is read."""
    data = built({MANIFEST: b"m", "classes.dex": bytes(4 * 1024 * 1024), "assets/a.txt": b"text"})
    app = _open(_written(tmp_path, "a.apk", data))
    assert "classes.dex" in {gap.where for gap in app.coverage.gaps_of(Part.DEX)}
    assert len(app.entries) == 3


def test_a_refused_entry_is_told_once_by_the_reader_that_wanted_it(tmp_path: Path) -> None:
    """Shows that a bomb with code in assets is a gap of the code alone, though its name says asset."""
    bomb = b"dex\n" + bytes(4 * 1024 * 1024)
    app = _open(_written(tmp_path, "a.apk", built({MANIFEST: b"m", "assets/x.bin": bomb})))
    assert [gap.part for gap in app.coverage.gaps if gap.where == "assets/x.bin"] == [Part.DEX]


def test_a_refused_entry_that_no_reader_noted_is_a_gap_nevertheless(tmp_path: Path) -> None:
    """Shows that a reader that passes over its error can't make a clean part."""
    data = built({MANIFEST: b"m", "lib/x86/a.so": bytes(4 * 1024 * 1024)})
    with mapped(_written(tmp_path, "a.apk", data), 1_000_000) as file:
        opening = _Opening(file, Limits(), Pace(lambda: 60.0))
        archive = opening._outer()
        with pytest.raises(UnreadableEntryError):
            archive.read("lib/x86/a.so")
        opening._note_refused(archive)
    gaps = opening._notes.coverage().gaps
    assert [(gap.part, gap.where) for gap in gaps] == [(Part.NATIVE, "lib/x86/a.so")]


def test_without_time_nothing_passes_for_seen(tmp_path: Path) -> None:
    """Shows that an app whose reading ran out of time has gaps, not clean parts."""
    calls = iter(range(10_000))
    limit = 6
    app = None
    while app is None:
        calls = iter(range(10_000))
        try:
            app = open_app(
                _written(tmp_path, "a.apk", APK),
                Limits(),
                lambda calls=calls, limit=limit: float(limit - next(calls)),  # type: ignore[misc]
            )
        except PackageError:
            limit += 1
    for part in (Part.MANIFEST, Part.DEX, Part.NATIVE, Part.BUNDLE):
        assert any(gap.part is part for gap in app.coverage.gaps)


def test_code_is_read_in_the_order_of_the_system_and_hidden_code_is_found() -> None:
    """Shows the order of numbers, feature modules after the base, and DEX files under other names in assets."""
    entries = {
        "assets/data.bin": b"dex\n038\0hidden",
        "assets/plain.bin": b"nothing",
        "classes10.dex": b"ten",
        "classes2.dex": b"two",
        "classes.dex": b"one",
        "res/odd.DEX": b"odd",
    }
    archive, _ = opened(built(entries))
    assert [name for name, _ in read_dexes(archive, Notes())] == [
        "classes.dex",
        "classes2.dex",
        "classes10.dex",
        "assets/data.bin",
        "res/odd.DEX",
    ]
    bundle, _ = opened(
        built(
            {
                "extra/dex/classes.dex": b"e",
                "base/dex/classes2.dex": b"2",
                "base/dex/classes.dex": b"1",
            }
        )
    )
    assert [content for _, content in read_dexes(bundle, Notes())] == [b"1", b"2", b"e"]


def test_an_archive_with_code_in_assets_is_a_gap_of_code() -> None:
    """Shows that what an app may load from a nested archive isn't absent only because nobody opened it."""
    inner = built({"classes.dex": b"dex\n"})
    archive, _ = opened(
        built({"assets/payload": inner, "assets/pictures.zip": built({"a.png": b""})})
    )
    notes = Notes()
    assert read_dexes(archive, notes) == []
    assert [(gap.part, gap.where) for gap in notes.coverage().gaps] == [
        (Part.DEX, "assets/payload")
    ]


def _not_installed(_: object) -> object:
    raise ImportError


@pytest.mark.parametrize(
    "reader",
    [
        pytest.param(PartReader(json.loads, (Part.DEX, Part.NATIVE)), id="gives-up"),
        pytest.param(
            PartReader(_not_installed, (Part.DEX, Part.NATIVE)),
            id="isnt-there",
        ),
    ],
)
def test_a_reader_that_gives_up_is_a_gap_of_all_its_parts(reader: PartReader) -> None:
    """Shows that an error of one reader ends neither the scan nor the truth about what was seen."""
    notes = Notes()
    assert _call(reader, ("{",), notes, Pace(lambda: 1.0)) is None
    assert [gap.part for gap in notes.coverage().gaps] == [Part.DEX, Part.NATIVE]


def _peak(path: Path) -> tuple[int, str]:
    """Return the peak memory of opening a file, in bytes, and what came of it, by a process of its own."""
    code = (
        "import re, sys, time; from pathlib import Path;"
        "from watchword.adapters.app_package import open_app, PackageError;"
        "from watchword.scan.archive.interface import Limits;"
        "end = time.monotonic() + 30\n"
        "try: said = open_app(Path(sys.argv[1]), Limits(), lambda: end - time.monotonic()).container.value\n"
        "except PackageError: said = 'refused'\n"
        # Not getrusage: that counts what the parent held when it forked.
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]\n"
        "print(int(peak) * 1024, said)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=patience(60),
    )
    peak, said = run.stdout.split()
    return int(peak), said


def test_two_hundred_megabytes_cost_little_memory(tmp_path: Path) -> None:
    """Shows that junk of 200 MB, bare, behind a zip entry, and as an entry, stays far below 500 MB."""
    size = 200 * 1000 * 1000
    junk = tmp_path / "junk.apk"
    with junk.open("wb") as file:
        file.write(b"junk")
        file.truncate(size)
    behind = tmp_path / "behind.apk"
    with behind.open("wb") as file:
        file.write(APK[: APK.index(b"PK\x01\x02")] + b"x")
        file.truncate(size)
    header = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 8, 8, 0, 0, 0, 0, 0, 1, 0) + b"a"
    streamed = tmp_path / "streamed.apk"
    with streamed.open("wb") as file:
        file.write(APK[: APK.index(b"PK\x01\x02")] + header * 1000)
        file.truncate(size)
    for path, said in ((junk, "refused"), (behind, "apk"), (streamed, "apk")):
        peak, got = _peak(path)
        assert got == said
        assert peak < 300 * 1000 * 1000
