"""Show that what the quickstart of the Android SDK tells an app to write compiles, and serves on a simulated phone."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from scripts.sdk import ROOT, android
from tests.machine import patience
from tests.ports import free_port
from tests.system.lab.attested_devices import attester_process
from tests.system.sdk.hosts import Seen, Upstream, served
from tests.unit.apps.service_process import running

PAGE: Final = ROOT / "docs" / "sdk-android.md"
OURS: Final = {"watchword-token", "signature", "signature-input"}

_CONFIG: Final = """\
version: 1
environment: lab
service: {{issuer: "{service}", listen: "{service_port}", state: state}}
trust: {{anchors: [lab]}}
apps:
  clinic-android: {{platform: android, package: com.example.clinic, signing_digests: ["{digest}"]}}
apis:
  clinic:
    audience: {api}
    apps: [clinic-android]
    listen: {api_port}
    upstream: {upstream}
    routes: [{{path: /**, proof: session}}]
"""
_MAIN: Final = """\
package com.example.clinic

import dev.watchword.phone.FakePhone
import dev.watchword.phone.LabVendor
import java.io.File

fun main(arguments: Array<String>) {
    val (attester, place) = arguments
    val phone = FakePhone(File(place), LabVendor(attester, "genuine-android", "quickstart"))
    val app = ClinicApp()
    // The system does this to an app before it calls onCreate.
    val base = android.content.ContextWrapper::class.java.getDeclaredField("base")
    base.isAccessible = true
    base.set(app, phone.context)
    app.onCreate()
    println(patients(app.client))
    Runtime.getRuntime().halt(0)
}
"""


def blocks() -> list[str]:
    """Return the files that the page shows: those that name their package."""
    found = re.findall(r"^```kotlin\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [each for each in found if each.startswith("package ")]


def test_the_quickstart_compiles_and_serves(tmp_path: Path) -> None:
    """With its two addresses set to those of a deployment, the app is answered, and the API sees nothing of Watchword's proofs."""
    service, api = free_port(), free_port()
    addresses = {
        "https://attest.clinic.example": f"http://127.0.0.1:{service}",
        "https://api.clinic.example": f"http://127.0.0.1:{api}",
    }
    sources = tmp_path / "app"
    sources.mkdir()
    (sources / "Main.kt").write_text(_MAIN, encoding="utf-8")
    for number, block in enumerate(blocks()):
        text = re.sub("|".join(map(re.escape, addresses)), lambda at: addresses[at[0]], block)
        (sources / f"Block{number}.kt").write_text(text, encoding="utf-8")
    seen = Seen()
    with served(Upstream, name="api", seen=seen, elsewhere="http://127.0.0.1:9") as upstream:
        file = tmp_path / "watchword.yaml"
        text = _CONFIG.format(
            service=f"http://127.0.0.1:{service}",
            service_port=f"127.0.0.1:{service}",
            digest="ab" * 32,
            api=f"http://127.0.0.1:{api}",
            api_port=f"127.0.0.1:{api}",
            upstream=upstream,
        )
        file.write_text(text, encoding="utf-8")
        with running(file), attester_process(file) as (attester, _):
            path = android.Build().program(sources, "endtoend", "okhttp-5")
            phone = tmp_path / "phone"
            phone.mkdir()
            done = subprocess.run(
                [
                    *("java", "-ea", "-cp", os.pathsep.join(map(str, path))),
                    *("com.example.clinic.MainKt", attester, str(phone)),
                ],
                capture_output=True,
                text=True,
                check=False,
                cwd=tmp_path,
                timeout=patience(60),
            )
    assert done.returncode == 0, done.stderr
    (row,) = [each for each in seen.rows() if each["host"] == "api"]
    assert row["target"] == "/patients", done.stdout
    assert not OURS & row["headers"].keys()
    assert len(blocks()) >= 5
