"""Show that a whole scan sends nothing: no socket, no name that is looked up, no other process, whatever form is asked for."""

import io
import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.machine import patience
from tests.ports import free_port
from tests.unit.apps.service_process import configuration, watchword
from tests.unit.scan.app_builders import PINS, apk
from tests.unit.scan.ios_builders import info, ipa, zipped

# Python tells what it is about to do; the kernel's filter sees native code too, such as that of readers of manifests and libraries.
GUARD = """
import ctypes, os, platform, struct, sys
CALLS = {"x86_64": (0xC000003E, 41, 42, 59, 322), "aarch64": (0xC00000B7, 198, 203, 221, 281)}
MODULES = {"ftplib", "http", "imaplib", "poplib", "pty", "smtplib", "socket", "subprocess", "telnetlib", "urllib", "webbrowser"}
STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
def hook(event, arguments):
    if event.partition(".")[0] in MODULES or event in STARTS:
        os.write(2, f"LEFT {event} {arguments!r:.200}".encode())
        os._exit(99)
def sealed():
    if sys.platform != "linux" or platform.machine() not in CALLS:
        return False
    architecture, *numbers = CALLS[platform.machine()]
    load = lambda at: struct.pack("HBBI", 0x20, 0, 0, at)
    code = [load(4), struct.pack("HBBI", 0x15, 0, len(numbers) + 1, architecture), load(0)]
    code += [
        struct.pack("HBBI", 0x15, len(numbers) - index, 0, number) for index, number in enumerate(numbers)
    ]
    code += [struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000), struct.pack("HBBI", 0x06, 0, 0, 0x80000000)]
    filters = ctypes.create_string_buffer(b"".join(code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, program, 0, 0) == 0
SEALED = sealed()
sys.addaudithook(hook)
"""
RUN = "from watchword.apps.cli import main\nmain.run()\n"
OPENAPI = """\
openapi: 3.0.3
info: {title: Clinic, version: '1'}
servers: [{url: 'https://api.example.com'}]
paths:
  /v1/patients/{id}:
    get: {responses: {'200': {description: ok}}}
"""
FILES = ("sarif", "junit", "html", "cyclonedx")
CONTAINERS = {
    "clinic.apk": "apk",
    "clinic.aab": "aab",
    "clinic.apks": "splits",
    "clinic.xapk": "splits",
    "clinic.ipa": "ipa",
}


def _package(name: str) -> bytes:
    """Return a package of the form that its name says, with addresses in it that would answer."""
    base = apk(strings=("https://www.example.com/update", "http://10.0.0.1/"), pins=PINS)
    if name.endswith(".apk"):
        return base
    if name.endswith(".apks"):
        return zipped({"base.apk": base, "split_config.de.apk": apk()})
    if name.endswith(".xapk"):
        return zipped({"com.example.clinic.apk": base, "manifest.json": b"{}"})
    if name.endswith(".ipa"):
        return zipped(ipa(info(CFBundleIdentifier="com.example.clinic")))
    with ZipFile(io.BytesIO(base)) as archive:
        code = archive.read("classes.dex")
    # Its manifest isn't a bundle's, which is told as not seen; its code is.
    manifest = {"base/manifest/AndroidManifest.xml": b""}
    return zipped({"BundleConfig.pb": b"", "base/dex/classes.dex": code, **manifest})


def _guarded(*arguments: object, code: str = RUN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-c", GUARD + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_scan_with_all_its_reports_sends_nothing(tmp_path: Path, name: str) -> None:
    """Of each form of package, beside the API's description."""
    app, api = tmp_path / name, tmp_path / "api.yaml"
    app.write_bytes(_package(name))
    api.write_text(OPENAPI, encoding="utf-8")
    files = [part for form in FILES for part in (f"--{form}", tmp_path / f"out.{form}")]
    done = _guarded("scan", app, "--json", "--api", api, *files)
    assert done.returncode == 0, done.stderr
    (scanned,) = json.loads(done.stdout)["scans"]
    assert scanned["package"]["container"] == CONTAINERS[name]
    assert scanned["findings"]
    assert scanned["api"]
    assert all((tmp_path / f"out.{form}").stat().st_size for form in FILES)
    assert _guarded("scan", app, "--reveal").returncode == 0


def test_a_scan_that_is_signed_sends_nothing(tmp_path: Path) -> None:
    """What it records stays on the machine."""
    observed = {"plan:\n  assets:": "plan:\n  observers: {ci: {key: ci.jwk}}\n  assets:"}
    config = configuration(tmp_path, free_port(), **observed)
    key, app = tmp_path / "ci.pem", tmp_path / "clinic.ipa"
    assert watchword(config, "observe", "keygen", "-o", str(key)).returncode == 0
    app.write_bytes(_package("clinic.ipa"))
    done = _guarded("-c", config, "scan", app, "--sign", key, "--app", "clinic-ios")
    assert done.returncode == 0, done.stderr
    assert "scan:static." in watchword(config, "observe", "list", "--json").stdout


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket()",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; os.execv('/bin/true', ['true'])",
    ],
)
def test_the_guard_sees_what_python_starts(code: str) -> None:
    """It isn't blind."""
    done = _guarded(code=code)
    assert done.returncode == 99
    assert "LEFT" in done.stderr


@pytest.mark.parametrize("call", ["socket(2, 1, 0)", "execv(b'/bin/true', None)"])
def test_the_guard_sees_what_native_code_starts(call: str) -> None:
    """Where the kernel can be asked to; nothing but the filter sees such a call."""
    code = "print('sealed' if SEALED else 'open', flush=True)\n"
    done = _guarded(code=f"{code}SEALED and ctypes.CDLL(None).{call}")
    assert (done.stdout, done.returncode) in {("sealed\n", -31), ("open\n", 0)}
