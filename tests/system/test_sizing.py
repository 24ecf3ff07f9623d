"""Hold what docs/sizing.md says of the disk to a store that simulated phones enrol into."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from scripts.pages.sizing import ANDROID_BYTES, AUDIT_BYTES, IOS_BYTES, figure
from tests.machine import patience
from tests.ports import free_port

BIN = Path(sys.executable).parent
PHONES = 100

ENROL = """\
import random, sys, time
from pathlib import Path
from watchword.adapters.lab_store import load_or_create
from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.client import WatchwordClient
from watchword.lab import PHONES, InstalledAndroidApp, InstalledIosApp, PhoneSetup

kind, service, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
digest = bytes.fromhex("4f1d8c5b0e3a7296d1c4b5a6978810fe2d3c4b5a69788190a1b2c3d4e5f60718")
app = {
    "genuine-iphone": InstalledIosApp("ABCDE12345", "com.example.clinic"),
    "genuine-android": InstalledAndroidApp("com.example.clinic", (digest,), 120),
}[kind]
lab = load_or_create(Path(".watchword"), SystemEntropy())
name = {"genuine-iphone": "clinic-ios", "genuine-android": "clinic-android"}[kind]
for number in range(count):
    phone = PHONES[kind].build(app, PhoneSetup(lab, SystemClock(), name=f"{sys.argv[1:]}{number}"))
    client = WatchwordClient(service, name, phone, ["https://api.clinic.example"], clock=time.time, jitter=random.random)
    client.enrol()
    if len(sys.argv) > 4:
        client.renew()
"""


def sizes(database: Path) -> dict[str, int]:
    """Return the bytes of the pages of each table and index."""
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))


def test_disk_of_an_instance_is_what_the_page_says(tmp_path: Path) -> None:
    """Enrolling adds to the store what the page reckons with, and a renewal nothing that stays."""
    subprocess.run([BIN / "watchword", "init"], cwd=tmp_path, check=True, capture_output=True)
    file = tmp_path / "watchword.yaml"
    text = file.read_text(encoding="utf-8")
    port = str(free_port())
    for old, new in (("8440", port), ("8080", str(free_port()))):
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    database = tmp_path / ".watchword" / "watchword.db"
    service = f"http://127.0.0.1:{port}"

    def enrol(kind: str, *more: str) -> dict[str, int]:
        before = sizes(database)
        subprocess.run(
            [sys.executable, "-c", ENROL, kind, service, str(PHONES), *more],
            cwd=tmp_path,
            check=True,
            timeout=patience(120),
        )
        return {name: size - before.get(name, 0) for name, size in sizes(database).items()}

    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([BIN / "watchword", "up"], stdout=log, stderr=log, cwd=tmp_path) as up,
    ):
        try:
            subprocess.run(
                [
                    "bash",
                    "-c",
                    f"until {BIN}/watchword keys list; do kill -0 {up.pid} || exit 1; sleep 0.2; done",
                ],
                cwd=tmp_path,
                check=True,
                capture_output=True,
                timeout=patience(60),
            )
            android, ios = enrol("genuine-android"), enrol("genuine-iphone")
            renewed = enrol("genuine-iphone", "and renew")
        finally:
            up.terminate()
    assert sum(android.values()) / PHONES == pytest.approx(ANDROID_BYTES, rel=0.15)
    assert sum(ios.values()) / PHONES == pytest.approx(IOS_BYTES, rel=0.15)
    # Of two pages more or less a renewal has none: the entries are those of the enrolments.
    assert renewed["audit"] / PHONES == pytest.approx(AUDIT_BYTES, rel=0.5)
    assert sum(renewed.values()) / PHONES == pytest.approx(IOS_BYTES, rel=0.15)


def test_a_row_that_is_not_measured_is_told() -> None:
    """A row that was renamed fails the page, and doesn't go missing."""
    with pytest.raises(KeyError, match=r"overload\.json has no row 'enrolment'"):
        figure(("overload", "enrolment"))
