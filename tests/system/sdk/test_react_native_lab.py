"""Show that a phone of the lab passes a real service and gate: through the React Native module, and as the page on CI tells Android."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml
from scripts.sdk import ROOT, android
from tests.machine import patience
from tests.ports import free_port
from tests.system.lab.attested_devices import attester_process
from tests.system.sdk.hosts import Seen, Upstream, served
from tests.unit.apps.service_process import running

PAGE: Final = ROOT / "docs" / "sdk-ci.md"
WORKFLOW: Final = ROOT / "examples" / "phone_less_ci" / "android.yml"

_CONFIG: Final = """\
version: 1
environment: lab
service: {{issuer: "http://127.0.0.1:{service}", listen: "127.0.0.1:{service}", state: state}}
trust: {{anchors: [lab]}}
apps:
  clinic-android: {{platform: android, package: com.example.clinic, signing_digests: ["{digest}"]}}
apis:
  clinic:
    audience: {audience}
    apps: [clinic-android]
    listen: 127.0.0.1:{api}
    upstream: {upstream}
    routes: [{{path: /login, proof: device}}, {{path: /**, proof: session}}]
"""
_REACT_NATIVE: Final = """\
import com.facebook.react.bridge.JavaOnlyMap
import com.facebook.react.bridge.ReactApplicationContext
import com.facebook.react.modules.network.OkHttpClientProvider
import dev.watchword.phone.FakePhone
import dev.watchword.reactnative.WatchwordModule
import dev.watchword.reactnative.WatchwordPackage
import okhttp3.Request
import okhttp3.RequestBody.Companion.toRequestBody
import org.json.JSONObject
import java.io.File

fun main(arguments: Array<String>) {
    val (said, url, place) = arguments
    val phone = FakePhone(File(place))
    WatchwordPackage()
    val client = OkHttpClientProvider.createClient(phone.context)
    val module = WatchwordModule(object : ReactApplicationContext(phone.context) {})
    check(module.configure(JavaOnlyMap.from(JSONObject(said).toMap())) == "")
    for ((method, path) in listOf("GET" to "/patients", "POST" to "/login", "POST" to "/patients")) {
        val body = if (method == "POST") "a".repeat(1_000_000).toRequestBody() else null
        client.newCall(Request.Builder().url(url + path).method(method, body).build()).execute().use { println("$method $path ${it.code}") }
    }
    Runtime.getRuntime().halt(0)
}

fun JSONObject.toMap(): Map<String, Any?> = keys().asSequence().associateWith { plain(get(it)) }

fun plain(value: Any): Any = when (value) {
    is JSONObject -> value.toMap()
    is org.json.JSONArray -> (0 until value.length()).map { plain(value.get(it)) }
    is Number -> value.toDouble()
    else -> value
}
"""
_PAGE: Final = """\
package com.example.clinic

import dev.watchword.AppRequest
import dev.watchword.phone.FakePhone
import java.io.File

fun main(arguments: Array<String>) {
    val watchword = labWatchword(FakePhone(File(arguments[0])).context)
    println(watchword.token("https://api.clinic.example").isNotEmpty())
    println(watchword.attempts(AppRequest("GET", "http://127.0.0.1:8080/patients")) != null)
    println(watchword.level)
    Runtime.getRuntime().halt(0)
}
"""


@contextmanager
def deployment(place: Path, audience: str | None = None) -> Iterator[tuple[str, str, str, Seen]]:
    """Run a service with its gate, an API behind it and an attester; yield their addresses, and what the API saw."""
    service, api = free_port(), free_port()
    url, seen = f"http://127.0.0.1:{api}", Seen()
    with served(Upstream, name="api", seen=seen, elsewhere="http://127.0.0.1:9") as upstream:
        file = place / "watchword.yaml"
        text = _CONFIG.format(
            service=service,
            api=api,
            audience=audience or url,
            upstream=upstream,
            digest="ab" * 32,
        )
        file.write_text(text, encoding="utf-8")
        with running(file), attester_process(file) as (attester, _):
            yield f"http://127.0.0.1:{service}", url, attester, seen


def output(place: Path, module: str, main: str, sources: Path, *arguments: str) -> list[str]:
    """Return the lines that a Kotlin program prints."""
    path = android.Build().program(sources, module, "okhttp-5")
    done = subprocess.run(
        ["java", "-ea", "-cp", os.pathsep.join(map(str, path)), main, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        timeout=patience(60),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_react_native_module_passes_the_gate(tmp_path: Path) -> None:
    """Enrolled by the lab's attester, on routes of both kinds, with bodies; the API sees nothing of Watchword's."""
    sources = tmp_path / "program"
    sources.mkdir()
    (sources / "Main.kt").write_text(_REACT_NATIVE, encoding="utf-8")
    with deployment(tmp_path) as (service, api, attester, seen):
        lists: dict[str, list[str]] = {"device": [], "session": [], "bearer": []}
        said = {
            "service": service,
            "app": "clinic-android",
            "apis": [{"audience": api, "origins": [api], "otherwise": "session", **lists}],
            "waitSeconds": 60,
            "lab": {"attester": attester, "kind": "genuine-android", "device": "react-native"},
        }
        phone = tmp_path / "phone"
        phone.mkdir()
        lines = output(
            tmp_path, "react-native", "MainKt", sources, json.dumps(said), api, str(phone)
        )
    assert lines == ["GET /patients 200", "POST /login 200", "POST /patients 200"]
    rows = [each for each in seen.rows() if each["host"] == "api"]
    assert [each["target"] for each in rows] == ["/patients", "/login", "/patients"]
    ours = {"watchword-token", "signature", "signature-input"}
    assert [each for each in rows if ours & each["headers"].keys()] == []


def test_what_the_page_tells_android_compiles_and_enrols(tmp_path: Path) -> None:
    """With its three addresses set to those of a deployment."""
    (block,) = re.findall(
        r"^```kotlin\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    sources = tmp_path / "program"
    sources.mkdir()
    with deployment(tmp_path, "https://api.clinic.example") as (service, api, attester, _):
        addresses = {
            "http://127.0.0.1:8440": service,
            "http://127.0.0.1:8080": api,
            "http://127.0.0.1:8450": attester,
        }
        shown = re.compile("|".join(map(re.escape, addresses)))
        for name, text in (("Lab.kt", block), ("Main.kt", _PAGE)):
            real = shown.sub(lambda at: addresses[at[0]], text)
            (sources / name).write_text(real, encoding="utf-8")
        phone = tmp_path / "phone"
        phone.mkdir()
        lines = output(tmp_path, "endtoend", "com.example.clinic.MainKt", sources, str(phone))
    assert lines == ["true", "true", "hardware"]


def test_the_workflow_is_the_pages_and_runs_commands_that_there_are() -> None:
    """A step starts what the next one uses, and the ports are those of the page."""
    (shown,) = re.findall(
        r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert WORKFLOW.read_text(encoding="utf-8") == shown
    workflow = yaml.safe_load(shown)
    steps = workflow["jobs"]["android"]["steps"]
    run = "\n".join(each.get("run", "") for each in steps)
    commands = re.findall(r"^\s*(?:.*do )?(watchword [a-z]+(?: attester)?)", run, re.MULTILINE)
    assert set(commands) == {"watchword up", "watchword lab attester", "watchword metrics"}
    assert run.index("lab attester --port 8450") < run.index("adb reverse") < run.index("gradlew")
    for port in ("8440", "8080", "8450"):
        assert port in re.findall(r"for port in ([\d ]+);", run)[0].split()
        assert f"http://127.0.0.1:{port}" in PAGE.read_text(encoding="utf-8")
