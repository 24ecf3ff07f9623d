"""Show that two scans of one file print the same, but for the time that they took."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.machine import patience
from tests.unit.scan.app_builders import PINS, apk

REAL = Path(__file__).parents[4] / "shared" / "apps"


def _printed(file: Path, seed: str) -> str:
    """Return a scan's JSON as it was written, without its seconds.

    :param seed: of the process's hashes, on which the order of sets depends.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from watchword.apps.cli import main; main.run()"),
            *("scan", str(file), "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=True,
        env={"PYTHONHASHSEED": seed},
    )
    (scanned,) = json.loads(done.stdout)["scans"]
    assert scanned["findings"]
    taken = f'"seconds": {json.dumps(scanned["seconds"])}'
    assert done.stdout.count(taken) == 1
    return done.stdout.replace(taken, "")


def test_two_scans_of_a_file_print_the_same(tmp_path: Path) -> None:
    """Whatever order sets have in a process."""
    file = tmp_path / "clinic.apk"
    hosts = [f"https://{name}.example.net/v1/{name}" for name in "abcdefgh"]
    file.write_bytes(apk(strings=(*hosts, "http://shop.io/v1", "su", "/system/bin/su"), pins=PINS))
    first = _printed(file, "0")
    assert all(_printed(file, seed) == first for seed in ("0", "1", "4242"))


@pytest.mark.skipif(not REAL.is_dir(), reason="the real apps aren't beside the clone")
@pytest.mark.parametrize(
    "name", ["dvba.apk", "UnCrackable-Level3.apk", "MoviePic.aab", "UnDebuggable.ipa"]
)
def test_two_scans_of_a_real_app_print_the_same(name: str) -> None:
    """With thousands of classes, resources and libraries."""
    assert _printed(REAL / name, "1") == _printed(REAL / name, "4242")
