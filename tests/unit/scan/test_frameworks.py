"""Code that isn't in the DEX: recognised by what is in the package, named in every report, and clean or proven for nobody."""

import io
import json
import plistlib
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib import resources
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.android.builders import Given, Tag, axml
from tests.unit.scan.app_builders import PINS, apk
from tests.unit.scan.archive.builders import built
from tests.unit.scan.archive.builders import opened as archive_opened
from tests.unit.scan.dex.assembler import ClassCode, MethodCode, call, const_string
from tests.unit.scan.elf_builders import Library
from tests.unit.scan.ios_builders import Image, info, ipa, zipped
from tests.unit.scan.real_apps.known import APPS
from tests.unit.scan.simulated import simulated
from tests.unit.scan.texts.hermes_builders import bytecode

from watchword.adapters.app_package import PackageError, open_app
from watchword.adapters.app_package.package import Parts, recognised
from watchword.apps.reports.text import json_text
from watchword.apps.scan.ci import junit, sarif
from watchword.apps.scan.document import document, reports_of
from watchword.apps.scan.report import Scanned, coverage, lines, page
from watchword.observations import State
from watchword.scan.android import attributes as of
from watchword.scan.app import (
    App,
    Container,
    Coverage,
    Depth,
    Entry,
    Framework,
    FrameworkCode,
    Gap,
    Part,
)
from watchword.scan.archive.interface import Limits, Pace
from watchword.scan.frameworks import NO_CODE, STRINGS, recognise
from watchword.scan.interface import Confidence, Finding, Rule, Severity, Verdict
from watchword.scan.notes import Notes
from watchword.scan.outcome import Report, standings_of
from watchword.scan.registry import RULES
from watchword.scan.service import scan

AT = datetime(2026, 11, 29, tzinfo=UTC)
RUNTIME = Library(names=("JNI_OnLoad",)).data()
"""A library of a framework, which serves no class of the app's."""

CSHARP = b"MZ\x90\0" + (
    "DangerousAcceptAnyServerCertificateValidator\0DESCryptoServiceProvider\0"
    "/system/xbin/su\0Password=hunter2-of-the-clinic"
).encode("utf-16-le")
JS = b'const api = "https://api.example.com/v1"; fetch(api);\n'
NOISE = b"".join(sha256(bytes([number % 256, number // 256])).digest() for number in range(1_250))
LOADS = MethodCode(
    "load",
    "()V",
    [*call(0x70, "Ldalvik/system/InMemoryDexClassLoader;", "<init>", "(I)V", 0, 1), 0x0E],
)
CODE_KEYS = {
    "PR-A01", "PR-A03", "PR-A04", "PR-A08", "PR-A09", "PR-A10", "PR-B03", "PR-C01", "PR-C02", "PR-C03",
}  # fmt: skip
"""Protections that only code, or what binds it, can prove."""

ANDROID: Mapping[str, tuple[Framework, str, Mapping[str, bytes]]] = {
    "xamarin": (
        Framework.DOTNET,
        ".NET",
        {"assemblies/Bank.dll": CSHARP, "lib/arm64-v8a/libmonodroid.so": RUNTIME},
    ),
    "an assembly alone": (Framework.DOTNET, ".NET", {"assets/Bank.dll": CSHARP}),
    "assembly store": (Framework.DOTNET, ".NET", {"assemblies/assemblies.blob": b"XABA" + CSHARP}),
    "assembly store as a library": (
        Framework.DOTNET,
        ".NET",
        {"lib/arm64-v8a/libassemblies.arm64-v8a.blob.so": RUNTIME},
    ),
    "assembly store of .NET 10": (
        Framework.DOTNET,
        ".NET",
        {"lib/arm64-v8a/libassembly-store.so": RUNTIME},
    ),
    "assemblies as libraries": (
        Framework.DOTNET,
        ".NET",
        {"lib/arm64-v8a/lib_Bank.dll.so": b"XALZ" + CSHARP},
    ),
    "a store by its bytes": (Framework.DOTNET, ".NET", {"assets/data.bin": b"XABA" + CSHARP}),
    "aot": (Framework.DOTNET, ".NET", {"lib/arm64-v8a/libaot-Bank.dll.so": RUNTIME}),
    "native aot": (
        Framework.DOTNET,
        ".NET",
        {"lib/arm64-v8a/libbank.so": Library(names=("DotNetRuntimeDebugHeader",)).data()},
    ),
    "cordova": (
        Framework.WEB,
        "Cordova",
        {"assets/www/cordova.js": JS, "assets/www/js/app.js": JS, "assets/www/index.html": b"<p>"},
    ),
    "capacitor": (
        Framework.WEB,
        "Capacitor",
        {"assets/capacitor.config.json": b"{}", "assets/public/main.js": JS},
    ),
    "capacitor from a server": (
        Framework.WEB,
        "Capacitor",
        {"assets/capacitor.config.json": b'{"server":{"url":"https://x.example"}}'},
    ),
    "react native": (Framework.REACT_NATIVE, "React Native", {"assets/index.android.bundle": JS}),
    "react native from a server": (
        Framework.REACT_NATIVE,
        "React Native",
        {"lib/arm64-v8a/libreactnativejni.so": RUNTIME},
    ),
    "hermes": (
        Framework.HERMES,
        "Hermes bytecode of version 84",
        {"assets/index.android.bundle": bytecode(["a"])},
    ),
    "hermes of a version that nobody knows": (
        Framework.HERMES,
        "Hermes bytecode of version 99",
        {"assets/index.android.bundle": bytecode(["a"], version=99)},
    ),
    "hermes under another name": (
        Framework.HERMES,
        "Hermes bytecode of version 96",
        {"assets/core.dat": bytecode(["a"], version=96)},
    ),
    "flutter": (
        Framework.FLUTTER,
        "Flutter",
        {"lib/arm64-v8a/libflutter.so": RUNTIME, "lib/arm64-v8a/libapp.so": RUNTIME},
    ),
    "flutter renamed": (
        Framework.FLUTTER,
        "Flutter",
        {"lib/arm64-v8a/libx.so": Library(names=("_kDartVmSnapshotData",)).data()},
    ),
    "flutter for debugging": (
        Framework.FLUTTER,
        "Flutter",
        {"assets/flutter_assets/kernel_blob.bin": b"\x90\xab\xcd\xef"},
    ),
    "unity": (
        Framework.UNITY_IL2CPP,
        "Unity (IL2CPP)",
        {
            "lib/arm64-v8a/libil2cpp.so": RUNTIME,
            "lib/arm64-v8a/libunity.so": RUNTIME,
            "assets/bin/Data/Managed/Metadata/global-metadata.dat": b"\xaf\x1b\xb1\xfa" + CSHARP,
        },
    ),
    "unity, its metadata renamed": (
        Framework.UNITY_IL2CPP,
        "Unity (IL2CPP)",
        {"assets/blob": b"\xaf\x1b\xb1\xfa" + CSHARP},
    ),
    "unity of mono": (
        Framework.UNITY_MONO,
        "Unity (Mono)",
        {
            "assets/bin/Data/Managed/Assembly-CSharp.dll": CSHARP,
            "lib/arm64-v8a/libunity.so": RUNTIME,
        },
    ),
    "unity whose code isn't there": (
        Framework.UNITY_IL2CPP,
        "Unity",
        {"lib/arm64-v8a/libunity.so": RUNTIME},
    ),
    "wasm": (Framework.WASM, "WebAssembly", {"assets/logic.wasm": b"\0asm\1\0\0\0"}),
    "wasm under another name": (
        Framework.WASM,
        "WebAssembly",
        {"assets/logic.bin": b"\0asm\1\0\0\0"},
    ),
    "nativescript": (
        Framework.NATIVESCRIPT,
        "NativeScript",
        {"lib/arm64-v8a/libNativeScript.so": RUNTIME, "assets/app/bundle.js": JS},
    ),
    "titanium": (
        Framework.TITANIUM,
        "Titanium",
        {"lib/arm64-v8a/libkroll-v8.so": RUNTIME, "assets/Resources/app.js": NOISE},
    ),
    "qt": (Framework.QT, "Qt", {"lib/arm64-v8a/libQt6Core_arm64-v8a.so": RUNTIME}),
    "godot": (
        Framework.GODOT,
        "Godot",
        {"lib/arm64-v8a/libgodot_android.so": RUNTIME, "assets/main.gdc": b"GDSC"},
    ),
    "unreal": (Framework.UNREAL, "Unreal Engine", {"lib/arm64-v8a/libUnreal.so": RUNTIME}),
    "lua": (Framework.SCRIPT, "scripts of an engine", {"assets/src/main.luac": b"\x1bLua"}),
    "python": (Framework.SCRIPT, "scripts of an engine", {"lib/x86/libpython3.11.so": RUNTIME}),
    "kotlin": (
        Framework.KOTLIN_NATIVE,
        "Kotlin Multiplatform",
        {"lib/arm64-v8a/libshared.so": Library(names=("Kotlin_mm_safePoint",)).data()},
    ),
    "packed": (
        Framework.PACKED,
        "libjiagu_a64.so, which Jiagu adds",
        {"lib/arm64-v8a/libjiagu_a64.so": RUNTIME},
    ),
    "packed in assets": (
        Framework.PACKED,
        "assets/secData0.jar, which Bangcle adds",
        {"assets/secData0.jar": NOISE},
    ),
    "native": (
        Framework.NATIVE,
        "native code in lib/arm64-v8a/libcore.so",
        {"lib/arm64-v8a/libcore.so": Library(names=("Java_com_example_clinic_Core_run",)).data()},
    ),
    "native with sockets": (
        Framework.NATIVE_NETWORK,
        "native code that may open connections",
        {
            "lib/arm64-v8a/libcore.so": Library(
                names=("Java_com_example_clinic_Core_run", "connect")
            ).data()
        },
    ),
}
OWN_NATIVE = (Framework.NATIVE, Framework.NATIVE_NETWORK)


def opened(data: bytes, folder: Path, name: str = "app.apk") -> App:
    """Return a package as it's read from disk."""
    file = folder / name
    file.write_bytes(data)
    return open_app(file, Limits(), lambda: 60.0)


def reported(data: bytes, folder: Path, name: str = "app.apk") -> Report:
    """Return what a scan says of it."""
    return scan(opened(data, folder, name), RULES)


def kinds(found: Coverage) -> set[Framework]:
    """Return the frameworks that were recognised."""
    return {each.framework for each in found.frameworks}


def proven(report: Report) -> set[str]:
    """Return the protections that count."""
    return {each.protection for each in report.standings if each.state is State.PROVEN}


@pytest.mark.parametrize("case", ANDROID)
def test_each_framework_is_recognised_and_proves_nothing(case: str, tmp_path: Path) -> None:
    """By structure alone; with it nothing is absent, clean or proven that depends on code, and each rule names it."""
    framework, named, files = ANDROID[case]
    report = reported(apk(pins=PINS, more=files), tmp_path)
    assert kinds(report.coverage) == {framework}
    (found,) = report.coverage.hidden
    assert named in str(found)
    for rule in RULES:
        mine = [each for each in report.findings if each.rule == rule.id]
        if not mine or found not in report.coverage.unread(getattr(rule, "reads", {})):
            continue
        assert not {Verdict.ABSENT} & {each.verdict for each in mine}, rule.id
        assert any(
            each.verdict is Verdict.NOT_SEEN and str(found) in each.title for each in mine
        ), rule.id
    if framework not in OWN_NATIVE:
        assert not CODE_KEYS & (proven(report) - {"PR-C01"})
        assert not {"absent"} & {
            str(each.state) for each in report.standings if each.protection in CODE_KEYS
        }
    assert "PR-B04" not in proven(report) or found.depth is Depth.STRINGS
    # Runs of characters are no strings as the code has them.
    assert framework is not Framework.FLUTTER or found.depth is Depth.UNREAD
    assert "nothing was missed" not in coverage(report)
    assert report.partial


def test_pages_of_its_own(tmp_path: Path) -> None:
    """Scripts that the code shows are code; those that it doesn't, or a page without any, are not."""
    page, files = ["file:///android_asset/help/index.html"], {"assets/help/a.js": JS}
    (found,) = opened(apk(strings=page, more=files), tmp_path).coverage.frameworks
    assert (found.framework, found.depth) == (Framework.WEB, Depth.STRINGS)
    assert opened(apk(more=files), tmp_path).coverage.frameworks == ()
    files = {"assets/help/index.html": b"<p>"}
    assert opened(apk(strings=page, more=files), tmp_path).coverage.frameworks == ()


@pytest.mark.parametrize(
    ("shown", "file", "content"),
    [
        ("file:///android_asset/a.html", "assets/a.html", b"<SCRIPT>fetch('x')</SCRIPT>"),
        ("file:///android_res/raw/a.js", "res/raw/a.js", JS),
        ("https://appassets.androidplatform.net/assets/a.html", "assets/a.js", JS),
    ],
)
def test_pages_shown_another_way(shown: str, file: str, content: bytes, tmp_path: Path) -> None:
    """A script within a page is code too, and so is one that a resource or the library for pages of the package holds."""
    report = reported(apk(pins=PINS, strings=[shown], more={file: content}), tmp_path)
    assert kinds(report.coverage) == {Framework.WEB}
    assert not {"PR-C02", "PR-A13"} & proven(report)


@pytest.mark.parametrize("file", ["assets/data.bin", "res/raw/tool"])
def test_programs_among_assets_are_a_gap(file: str, tmp_path: Path) -> None:
    """Whatever they are called: nobody reads what they hold."""
    report = reported(apk(more={file: RUNTIME}), tmp_path)
    assert [(gap.part, gap.where) for gap in report.coverage.gaps] == [(Part.NATIVE, file)]
    assert "PR-B04" not in proven(report)


def test_what_native_code_names_is_not_seen(tmp_path: Path) -> None:
    """An address without TLS in the app's own native code proves nothing of cleartext; one in a library of others is nobody's."""
    for served, mine in (("com_example_clinic_Net", True), ("com_google_android_Net", False)):
        library = Library(names=(f"Java_{served}_run",)).data() + b"\0http://api.bank.io/v1\0"
        report = reported(apk(more={"lib/arm64-v8a/libx.so": library}), tmp_path)
        rules = {each.rule for each in report.not_seen}
        assert ("cleartext-urls" in rules) is mine
        assert ("PR-C01" in proven(report)) is not mine
    named = (
        Library(names=("Java_com_example_clinic_Net_run",)).data()
        + b"\0https://api.openai.com/v1\0"
    )
    texts = ["https://api.bank.io/v1"]
    report = reported(apk(strings=texts, more={"lib/arm64-v8a/libx.so": named}), tmp_path)
    (found,) = (each for each in report.findings if each.rule == "third-party-hosts")
    assert found.verdict is Verdict.NOT_SEEN


def test_a_scan_without_time_recognises_nothing_and_proves_nothing(tmp_path: Path) -> None:
    """What nobody looked for isn't seen."""
    app = opened(apk(pins=PINS), tmp_path)
    archive, notes = archive_opened(apk(pins=PINS))
    found = recognised(archive, Container.APK, notes, Parts(), Pace(lambda: 0.0))
    assert [each.name for each in found] == ["code that nobody looked for"]
    app = replace(app, coverage=replace(app.coverage, frameworks=found))
    assert not CODE_KEYS & proven(scan(app, RULES))


def test_without_a_framework_everything_was_seen(tmp_path: Path) -> None:
    """The same app without any of them: what was proven stays so, and nothing was missed."""
    report = reported(apk(pins=PINS), tmp_path)
    assert report.coverage.frameworks == ()
    assert {"PR-C01", "PR-C02", "PR-C03"} <= proven(report)
    assert any(each.verdict is Verdict.ABSENT for each in report.findings)


@pytest.mark.parametrize(
    "case", ["xamarin", "cordova", "unity", "flutter", "hermes", "wasm", "packed"]
)
def test_every_view_names_it_at_its_top(case: str, tmp_path: Path) -> None:
    """Terminal, page, JSON, SARIF and JUnit; "nothing was missed" stands in none."""
    _, named, files = ANDROID[case]
    scanned = Scanned.bare(reported(apk(pins=PINS, more=files), tmp_path))
    words = named.split(" (")[0]
    printed = click.unstyle("\n".join(lines(scanned)))
    top = " ".join(" ".join(printed.splitlines()[:8]).split())
    assert "Not seen: code" in top
    assert words in top
    html = page([scanned], AT)
    assert words in html[html.index("<header>") : html.index("</header>")]
    log = sarif([scanned])
    (run,) = log["runs"]
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert any(words in each["message"]["text"] for each in notes)
    assert words in run["properties"]["coverage"]
    cases = junit([scanned], AT)
    assert words in cases
    written = json_text(document([scanned]))
    (one,) = json.loads(written)["scans"]
    (framework,) = one["coverage"]["frameworks"]
    assert words in framework["name"] or words in framework["by"]
    for text in (printed, html, json.dumps(log), cases, written):
        assert "nothing was missed" not in " ".join(text.split())
    (again,) = reports_of(written.encode())
    assert again.coverage.frameworks == scanned.report.coverage.frameworks
    assert again.partial


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"Frameworks/App.framework/App": b"\0kept\0"}, {Framework.FLUTTER}),
        ({"main.jsbundle": JS}, {Framework.REACT_NATIVE}),
        ({"main.jsbundle": bytecode(["a"])}, {Framework.HERMES}),
        ({"main.jsbundle": bytecode(["a"], version=101)}, {Framework.HERMES}),
        ({"Shop.dll": CSHARP, "Shop.aotdata.arm64": b"a"}, {Framework.DOTNET}),
        ({"www/cordova.js": JS}, {Framework.WEB}),
        ({"public/index.html": b"<p>"}, {Framework.WEB}),
        (
            {"Data/Managed/Metadata/global-metadata.dat": b"\xaf\x1b\xb1\xfa"},
            {Framework.UNITY_IL2CPP},
        ),
        (
            {
                "Frameworks/Shared.framework/Shared": Image(
                    kind=6, imports=("_OBJC_CLASS_$_KotlinBase",)
                ).data()
            },
            {Framework.KOTLIN_NATIVE},
        ),
        ({"logic.wasm": b"\0asm"}, {Framework.WASM}),
        ({"Frameworks/QtCore.framework/QtCore": Image(kind=6).data()}, {Framework.QT}),
        ({}, set()),
    ],
    ids=lambda value: next(iter(value), "none") if isinstance(value, dict) else "",
)
def test_frameworks_of_ios(
    files: dict[str, bytes], expected: set[Framework], tmp_path: Path
) -> None:
    """In the folder of the app; a pin in Info.plist binds none that brings its own sockets."""
    pinned = info(
        NSAppTransportSecurity={
            "NSPinnedDomains": {
                "api.example.com": {
                    "NSPinnedLeafIdentities": [{"SPKI-SHA256-BASE64": pin} for pin in PINS]
                }
            }
        }
    )
    inside = {f"Payload/Shop.app/{name}": data for name, data in files.items()}
    report = reported(zipped(ipa(pinned, files=inside)), tmp_path, "app.ipa")
    assert kinds(report.coverage) == expected | {Framework.NATIVE}
    assert ("PR-C03" in proven(report)) is not bool(expected)
    assert "nothing was missed" not in coverage(report)


def test_a_bundle_of_modules_and_a_set_are_looked_through(tmp_path: Path) -> None:
    """In whatever module or split it lies."""
    files = {"assemblies/Bank.dll": CSHARP, "lib/x86_64/libflutter.so": RUNTIME}
    split = built({"AndroidManifest.xml": axml_of_split(), "assemblies/Bank.dll": CSHARP})
    found = opened(built({"base.apk": apk(), "split_x.apk": split}), tmp_path, "app.apks")
    assert kinds(found.coverage) == {Framework.DOTNET}
    bundled = {
        f"feature/{'root/' if 'lib' not in name else ''}{name}": data
        for name, data in files.items()
    }
    bundled["base/manifest/AndroidManifest.xml"] = b"\x0a\x02\x08\x01"
    found = opened(built(bundled), tmp_path, "app.aab")
    assert kinds(found.coverage) == {Framework.DOTNET, Framework.FLUTTER}


def axml_of_split() -> bytes:
    """Return the manifest of a package that is one of a set."""
    return axml(Tag("manifest", {"package": "com.example.clinic", "split": "x"}))


def test_two_frameworks_at_once_are_both_named(tmp_path: Path) -> None:
    """Neither makes the other seen."""
    files = {**ANDROID["xamarin"][2], **ANDROID["cordova"][2]}
    report = reported(apk(pins=PINS, more=files), tmp_path)
    assert kinds(report.coverage) == {Framework.DOTNET, Framework.WEB}
    (found,) = (each for each in report.findings if each.rule == "trust-manager")
    assert ".NET" in found.title
    assert "Cordova" in found.title
    assert not CODE_KEYS & proven(report)


@pytest.mark.parametrize("files", [{}, {"lib/arm64-v8a/libc.so": RUNTIME}])
def test_a_manifest_without_dex(files: dict[str, bytes], tmp_path: Path) -> None:
    """It declares code that isn't there: no rule over code says anything, and why stands in the report."""
    report = reported(apk(pins=PINS, more={"classes.dex": None, **files}), tmp_path)
    why = "the manifest declares 1 components, but the package holds no DEX"
    assert Gap(Part.DEX, "AndroidManifest.xml", why) in report.coverage.gaps
    assert not CODE_KEYS & (proven(report) - {"PR-C01"})
    assert why in coverage(report)


def test_dex_without_a_manifest_is_no_app(tmp_path: Path) -> None:
    """It's refused, by what it is."""
    with pytest.raises(PackageError, match=r"neither AndroidManifest\.xml"):
        opened(apk(more={"AndroidManifest.xml": None}), tmp_path)


def test_dex_that_the_manifest_denies(tmp_path: Path) -> None:
    """The system loads none of it; which of the two is meant nobody knows."""
    report = reported(apk(application={of.HAS_CODE: False}), tmp_path)
    assert "the manifest says that the app has no code" in coverage(report)
    assert not {"PR-C02", "PR-A11"} & (proven(report) - {"PR-A11"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"application": {of.NAME: "com.stub.StubApp"}}, "com.stub.StubApp"),
        ({"application": {of.APP_COMPONENT_FACTORY: ".Factory"}}, "com.example.clinic.Factory"),
        ({"declared": ["com.example.clinic.Sync"]}, "1 of 2 components"),
    ],
    ids=["application", "factory", "components"],
)
def test_what_the_manifest_starts_and_no_dex_holds_is_packed(
    given: dict[str, object], told: str, tmp_path: Path
) -> None:
    """The code is unpacked on the phone."""
    report = reported(apk(pins=PINS, **given), tmp_path)  # type: ignore[arg-type]
    (found,) = report.coverage.frameworks
    assert found.framework is Framework.PACKED
    assert told in found.by
    assert not CODE_KEYS & proven(report)


def test_a_component_that_no_dex_holds_is_a_gap(tmp_path: Path) -> None:
    """One of several is a gap: a library that was taken out, or code that comes later; nothing of it was seen."""
    there = [f"com.example.clinic.S{number}" for number in range(3)]
    classes = [ClassCode(f"L{each.replace('.', '/')};") for each in there]
    data = apk(pins=PINS, declared=[*there, "com.example.clinic.Gone"], classes=classes)
    report = reported(data, tmp_path)
    (gap,) = report.coverage.gaps
    assert (gap.part, gap.where) == (Part.DEX, "com.example.clinic.Gone")
    assert "1 of 5 components that no DEX holds" in gap.why
    assert not {"PR-C02", "PR-C03"} & proven(report)


def test_what_the_platform_brings_isnt_missed(tmp_path: Path) -> None:
    """``android.app.NativeActivity`` is in no app; that it's started says whose the native code is."""
    data = apk(declared=["android.app.NativeActivity"], more={"lib/arm64-v8a/libgame.so": RUNTIME})
    report = reported(data, tmp_path)
    assert kinds(report.coverage) == {Framework.NATIVE}
    assert not report.coverage.gaps


def stub(*body: object, name: str = "attachBaseContext") -> ClassCode:
    """Return an application class with one method; native without a body."""
    method = MethodCode(name, "()V", [*body, 0x0E] if body else None)
    return ClassCode("Lcom/example/clinic/Shell;", [method], superclass="Landroid/app/Application;")


def test_an_application_that_unpacks(tmp_path: Path) -> None:
    """It loads native code before all else, and a file in the package looks encrypted."""
    body = [
        *const_string(0, "guard"),
        *call(0x71, "Ljava/lang/System;", "loadLibrary", "(Ljava/lang/String;)V", 0),
    ]
    application: dict[int | str, Given] = {of.NAME: ".Shell"}
    data = apk(application=application, classes=[stub(*body)], more={"assets/d.bin": NOISE})
    (found,) = opened(data, tmp_path).coverage.frameworks
    assert found.framework is Framework.PACKED
    assert "assets/d.bin, which looks encrypted" in found.by
    for harmless in (
        NOISE[:9_000],
        b"\x89PNG" + NOISE,
        b"0000ftyp" + NOISE,
        b"plain text " * 4_000,
    ):
        data = apk(application=application, classes=[stub(*body)], more={"assets/d.bin": harmless})
        assert opened(data, tmp_path).coverage.frameworks == ()
    data = apk(application=application, classes=[stub(0x00)], more={"assets/d.bin": NOISE})
    assert opened(data, tmp_path).coverage.frameworks == ()


def test_an_entrance_in_native_code_is_packed(tmp_path: Path) -> None:
    """What the system calls first has no bytecode."""
    data = apk(application={of.NAME: ".Shell"}, classes=[stub()])
    (found,) = opened(data, tmp_path).coverage.frameworks
    assert "Shell.attachBaseContext, whose code is native" in found.by
    data = apk(application={of.NAME: ".Shell"}, classes=[stub(name="other")])
    assert opened(data, tmp_path).coverage.frameworks == ()


def test_what_lies_behind_dex_is_packed(tmp_path: Path) -> None:
    """Its header knows nothing of it, so that nobody reads it but the app itself."""
    dex = dex_of(apk())
    for more, hidden in ((20_000, True), (1_000, False)):
        found = opened(apk(more={"classes.dex": dex + NOISE[:more]}), tmp_path)
        assert (kinds(found.coverage) == {Framework.PACKED}) is hidden


def dex_of(data: bytes) -> bytes:
    """Return a package's code."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read("classes.dex")


def test_code_that_is_loaded_at_run_time(tmp_path: Path) -> None:
    """By the app's own code: what it loads wasn't seen.  A library that does so, renamed or not, is every app's."""
    for cls, loads in (
        ("Lcom/example/clinic/Plugins;", True),
        ("Lcom/google/android/gms/dynamite/Loader;", False),
        ("La/b/c;", False),
    ):
        report = reported(apk(pins=PINS, classes=[ClassCode(cls, [LOADS])]), tmp_path)
        assert kinds(report.coverage) == ({Framework.LOADED} if loads else set())
        assert ("PR-C02" in proven(report)) is not loads


@pytest.mark.parametrize(
    "body",
    [
        const_string(0, "dalvik.system.DexClassLoader"),
        call(0x71, "Ljava/lang/System;", "load", "(Ljava/lang/String;)V", 0),
        const_string(0, "dalvik.system.BaseDexClassLoader"),
    ],
    ids=["by reflection", "native", "by the base of all loaders"],
)
def test_code_that_is_loaded_another_way(body: list[object], tmp_path: Path) -> None:
    """By the name of a class loader, or as a native library from any place."""
    loads = ClassCode("Lcom/example/clinic/P;", [MethodCode("l", "()V", [*body, 0x0E])])
    report = reported(apk(pins=PINS, classes=[loads]), tmp_path)
    assert kinds(report.coverage) == {Framework.LOADED}
    assert not CODE_KEYS & proven(report)


def test_native_libraries_of_others_are_nobodys_code(tmp_path: Path) -> None:
    """One that serves classes of a library, or that nothing loads; one that own code loads is the app's."""
    others = Library(names=("Java_net_sqlcipher_Database_open", "connect")).data()
    files = {"lib/arm64-v8a/libsqlcipher.so": others, "lib/arm64-v8a/libc++_shared.so": RUNTIME}
    assert opened(apk(more=files), tmp_path).coverage.frameworks == ()
    body = call(0x71, "Ljava/lang/System;", "loadLibrary", "(Ljava/lang/String;)V", 0)
    for name, expected in (("c++_shared", {"lib/arm64-v8a/libc++_shared.so"}), ("other", set())):
        named = ClassCode(
            "Lcom/example/clinic/L;",
            [MethodCode("l", "()V", [*const_string(0, name), *body, 0x0E])],
        )
        found = opened(apk(more=files, classes=[named]), tmp_path).coverage.frameworks
        assert {entry for each in found for entry in each.entries} == expected
    unnamed = ClassCode("Lcom/example/clinic/L;", [MethodCode("l", "()V", [*body, 0x0E])])
    (one,) = opened(apk(more=files, classes=[unnamed]), tmp_path).coverage.frameworks
    assert one.entries == ("lib/arm64-v8a/libc++_shared.so",)


def test_native_code_and_connections(tmp_path: Path) -> None:
    """Without any of its own it has no say in rules over TLS; what it can open, or have opened, is unseen there."""
    names = ("Java_com_example_clinic_Core_run",)
    for library, may in (
        (Library(names=names), False),
        (Library(names=(*names, "dlsym")), True),
        (Library(names=(*names, "SSL_connect")), True),
        (Library(names=names, content=b"\0javax/net/ssl/SSLContext\0"), True),
    ):
        data = apk(pins=PINS, more={"lib/arm64-v8a/libcore.so": library.data()})
        report = reported(data, tmp_path)
        assert kinds(report.coverage) == {Framework.NATIVE_NETWORK if may else Framework.NATIVE}
        assert ({"PR-C01", "PR-C02", "PR-C03"} <= proven(report)) is not may
        assert "PR-A04" not in proven(report)


def test_a_base_without_the_rest_of_its_set(tmp_path: Path) -> None:
    """It says that it isn't the whole app; with another package of the set it counts as one."""
    alone = apk(pins=PINS, root={of.REQUIRED_SPLIT_TYPES: "base__abi"})
    report = reported(alone, tmp_path)
    why = "the app is installed with other packages of its set, which aren't here"
    assert Gap(Part.DEX, "AndroidManifest.xml", why) in report.coverage.gaps
    assert not {"PR-C02", "PR-C03", "PR-B04"} & proven(report)
    other = reported(apk(pins=PINS, root={"split": "config.arm64_v8a"}), tmp_path)
    assert Gap(Part.DEX, "AndroidManifest.xml", why) in other.coverage.gaps
    split = built({"AndroidManifest.xml": axml_of_split()})
    found = opened(built({"base.apk": alone, "split_x.apk": split}), tmp_path, "app.apks")
    assert not [gap for gap in found.coverage.gaps if gap.why == why]


def test_an_executable_that_isnt_signed_was_read(tmp_path: Path) -> None:
    """Its entitlements are a gap, and nothing of its code; one that the store encrypted wasn't read."""
    for image, depth in (
        (Image(signed=False), Depth.STRINGS),
        (Image(encryption=1, text=b"a" * 64), Depth.UNREAD),
    ):
        found = opened(zipped(ipa(image=image)), tmp_path, "app.ipa").coverage
        assert any(gap.where.endswith("/Shop") for gap in found.gaps) is True
        assert [each.depth for each in found.frameworks] == [depth]


@pytest.mark.parametrize("within", ["PlugIns/A.appex", "Watch/A.app"])
def test_programs_within_an_app_of_ios(within: str, tmp_path: Path) -> None:
    """What an extension permits isn't proven refused; nor is its code whole where it's called otherwise than code is."""
    folder = f"Payload/Shop.app/{within}"
    plain = {
        f"{folder}/Info.plist": plistlib.dumps({"CFBundleExecutable": "A"}),
        f"{folder}/A": Image(entitlements={}).data(),
    }
    assert reported(zipped(ipa(files=plain)), tmp_path, "app.ipa").coverage.gaps == ()
    ats = {"CFBundleExecutable": "A", "NSAppTransportSecurity": {"NSAllowsArbitraryLoads": True}}
    for changed, lost in (
        ({f"{folder}/Info.plist": plistlib.dumps(ats)}, "PR-C01"),
        ({f"{folder}/A": Image(entitlements={"get-task-allow": True}).data()}, "PR-A06"),
        ({f"{folder}/helper.bin": Image(entitlements={}).data()}, "PR-B04"),
    ):
        report = reported(zipped(ipa(files={**plain, **changed})), tmp_path, "app.ipa")
        (gap,) = report.coverage.gaps
        assert gap.where.startswith(folder)
        assert lost not in proven(report)


def test_an_executable_that_isnt_there(tmp_path: Path) -> None:
    """Info.plist names it: no pins of its code are absent, and the cause stands in the report."""
    files = {name: data for name, data in ipa().items() if not name.endswith("/Shop")}
    report = reported(zipped(files), tmp_path, "app.ipa")
    (found,) = report.coverage.frameworks
    assert "its executable, which isn't in the package" in str(found)
    (pins,) = (each for each in report.findings if each.rule == "ios-pinned-domains")
    assert pins.verdict is Verdict.NOT_SEEN
    assert "PR-B04" not in proven(report)


CODES = st.builds(
    FrameworkCode,
    st.sampled_from(Framework),
    st.just("A framework"),
    st.just("a"),
    st.just(("a",)),
    st.sampled_from(Depth),
)
FINDINGS = st.builds(
    Finding,
    st.sampled_from([rule.id for rule in RULES]),
    st.sampled_from(Verdict),
    st.sampled_from(Severity),
    st.sampled_from(Confidence),
    st.sampled_from(["a", "b"]),
    st.just("It says so."),
)


def blind(coverage: Coverage) -> list[Rule]:
    """Return the rules that didn't see all code."""
    return [rule for rule in RULES if coverage.unread(getattr(rule, "reads", {}))]


@given(st.lists(CODES, max_size=4).map(tuple), st.lists(FINDINGS, max_size=12))
def test_unread_code_proves_nothing(
    codes: tuple[FrameworkCode, ...], findings: list[Finding]
) -> None:
    """Whatever frameworks come together and whatever rules find: no protection is proven, or absent since it wasn't found."""
    found = Coverage(frameworks=codes)
    unseen = {rule.id for rule in blind(found)}
    for each in standings_of(RULES, findings, found):
        if unseen & set(each.rules):
            assert each.state is not State.PROVEN
        exposed = any(one.rule in each.rules and one.verdict is Verdict.EXPOSED for one in findings)
        absent = any(
            one.rule in set(each.rules) - unseen and one.verdict is Verdict.ABSENT
            for one in findings
        )
        assert each.state is not State.ABSENT or exposed or absent


@given(st.lists(CODES, min_size=1, max_size=4).map(tuple))
def test_no_rule_is_clean_beside_unread_code(codes: tuple[FrameworkCode, ...]) -> None:
    """Each rule over a whole app, with whatever frameworks beside it: the ones that didn't see all say so, and are first to."""
    app = simulated()
    app = replace(app, coverage=replace(app.coverage, frameworks=codes))
    report = scan(app, RULES)
    for rule in blind(app.coverage):
        verdicts = {each.verdict for each in report.findings if each.rule == rule.id}
        assert Verdict.ABSENT not in verdicts, rule.id
        assert not verdicts or Verdict.NOT_SEEN in verdicts, rule.id
        for each in report.standings:
            assert each.state is not State.PROVEN or rule.id not in each.rules
    whole = all(each.depth is Depth.CALLS for each in codes)
    # Whatever rules there are, and if there are none.
    assert scan(app, []).partial is not whole
    assert ("nothing was missed" in coverage(scan(app, []))) is whole
    assert report.coverage.hidden == () if whole else report.partial
    assert ("nothing was missed" in coverage(report)) <= (whole and not report.not_seen)


@dataclass(frozen=True)
class Strange:
    """Stand for an archive whose names and bytes are anything."""

    files: Mapping[str, bytes]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names."""
        return tuple(self.files)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return the entries; what is asked for is longer than what is there."""
        return tuple(Entry(name, 10**6) for name in self.files)

    @property
    def package(self) -> memoryview:
        """Return nothing."""
        return memoryview(b"")

    def read(self, name: str) -> bytes:
        """Return its bytes."""
        return self.files[name]

    def peek(self, name: str, size: int) -> bytes:
        """Return its first bytes."""
        return self.files[name][:size]

    def has(self, name: str) -> bool:
        """Tell whether there is such an entry."""
        return name in self.files


PATHS = st.lists(
    st.sampled_from(["assets", "lib", "x86", "Payload", "A.app", "www", "base", "s.apk!", "a.dll"])
    | st.text(max_size=6),
    max_size=5,
).map("/".join)
HEADS = st.binary(max_size=80) | st.binary(max_size=9).map(lambda rest: bytecode([])[:8] + rest)


@given(st.dictionaries(PATHS, HEADS, max_size=6), st.sampled_from(Container))
def test_any_names_and_bytes_are_looked_through(
    files: dict[str, bytes], container: Container
) -> None:
    """Nothing of them is raised, and the same is found again."""
    found = [
        recognise(Strange(files), container, Notes(), simulated().manifest, simulated().code, ())
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert all(set(each.entries) <= set(files) for each in found[0])


def test_a_rule_says_what_it_asks_or_sees_nothing() -> None:
    """Rules over texts see strings in any language, those over manifests ask no code, those that say nothing see no framework."""
    strings = FrameworkCode(Framework.DOTNET, ".NET", "a", ("a",), Depth.STRINGS)
    calls = replace(strings, depth=Depth.CALLS)
    unread = replace(strings, depth=Depth.UNREAD)
    for each, of_texts, of_calls in ((unread, 1, 1), (strings, 0, 1), (calls, 0, 0)):
        found = Coverage(frameworks=(each,))
        assert len(found.unread(STRINGS)) == of_texts
        assert len(found.unread({Framework.DOTNET: Depth.CALLS})) == of_calls
        assert len(found.unread({Framework.WEB: Depth.STRINGS})) == 1
        assert len(found.unread({})) == 1
        assert found.unread(NO_CODE) == ()
    texts = {
        "secret-in-app",
        "cleartext-urls",
        "hosts-and-urls",
        "third-party-hosts",
        "api-paths",
        "public-key-by-design",
    }
    assert {rule.id for rule in RULES if getattr(rule, "reads", {}) == STRINGS} == texts


@dataclass(frozen=True)
class Silent:
    """Stand for a rule of somebody else's, which says neither what it asks nor how."""

    id: str = "silent"
    title: str = "StalenessAlarm"
    techniques: tuple[str, ...] = ()
    protections: dict[str, str] = field(default_factory=lambda: {"PR-C02": "scan:static.silent"})
    todo: str = "Nothing."
    blind: str = "All."
    verdict: Verdict = Verdict.PROTECTED

    def run(self, app: App) -> tuple[Finding, ...]:
        """Say the same of every app."""
        del app
        return (Finding(self.id, self.verdict, Severity.MEDIUM, Confidence.CERTAIN, "a", "So."),)


@pytest.mark.parametrize("depth", Depth)
@pytest.mark.parametrize("verdict", [Verdict.PROTECTED, Verdict.ABSENT])
def test_a_rule_that_says_nothing_sees_no_framework(depth: Depth, verdict: Verdict) -> None:
    """However deep it was read: the default is closed."""
    code = FrameworkCode(Framework.DOTNET, ".NET", "a", ("a.dll",), depth)
    app = simulated()
    rules = [Silent(verdict=verdict)]
    (whole,) = scan(app, rules).standings
    assert whole.state is (State.PROVEN if verdict is Verdict.PROTECTED else State.ABSENT)
    report = scan(replace(app, coverage=replace(app.coverage, frameworks=(code,))), rules)
    (standing,) = report.standings
    assert standing.state is None
    unread = "ot enough was read of .NET in a.dll"
    assert unread in standing.why
    assert unread in report.not_seen[0].title
    found = {each.verdict for each in report.findings}
    assert found == {Verdict.NOT_SEEN} | ({verdict} - {Verdict.ABSENT})


def test_the_page_says_what_is_seen_of_each() -> None:
    """A row for each framework that can be told."""
    package = resources.files("watchword.scan")
    table = tomllib.loads(package.joinpath("frameworks.toml").read_text("utf-8"))
    names = {each["name"] for each in table["framework"]} - {"Unity", "React Native"}
    rows = (Path(__file__).parents[3] / "docs" / "scan-reading.md").read_text("utf-8")
    for name in (*names, "React Native (JavaScript)", "React Native (Hermes)", "native code"):
        assert name in rows, name
    for kind in Framework:
        assert kind in {each["id"] for each in table["framework"]} | {
            *("hermes", "packed", "loaded", "native", "native-network")
        }


def test_a_framework_is_as_deep_as_its_least_read_entry(tmp_path: Path) -> None:
    """A reader speaks of what it read whole: a gap makes an entry unread, and one unread entry its framework."""
    notes = Notes()
    notes.code("a", Depth.CALLS)
    notes.code("a", Depth.STRINGS)
    assert notes.depth("a") is Depth.CALLS
    notes.gap(Part.BUNDLE, "a", "damaged")
    assert (notes.depth("a"), notes.depth("b")) == (Depth.UNREAD, Depth.UNREAD)
    files = {"assets/www/a.js": JS, "assets/www/b.js": JS}
    (found,) = opened(apk(more=files), tmp_path).coverage.frameworks
    assert found.depth is Depth.STRINGS
    files["assets/www/b.js"] = b"\0binary"
    (found,) = opened(apk(more=files), tmp_path).coverage.frameworks
    assert found.depth is Depth.UNREAD


@pytest.mark.parametrize(
    ("file", "framework", "depth"),
    [
        ("xamarin-witcher.apk", Framework.DOTNET, None),
        ("cordova-cyb.apk", Framework.WEB, Depth.STRINGS),
        ("flutter-expenses.ipa", Framework.FLUTTER, Depth.UNREAD),
        ("rnipa.ipa", Framework.REACT_NATIVE, Depth.STRINGS),
        ("NDK-NoProguard.apk", Framework.NATIVE, Depth.STRINGS),
    ],
)
def test_real_hybrid_apps(file: str, framework: Framework, depth: Depth | None) -> None:
    """Each is named, and no protection that its framework's code could break counts."""
    path = APPS / "hybrid" / file
    if not path.exists():
        pytest.skip("the app isn't here")
    report = scan(open_app(path, Limits(), lambda: 60.0), RULES)
    (found,) = (
        each
        for each in report.coverage.frameworks
        if path.suffix == ".apk" or each.framework is not Framework.NATIVE
    )
    assert found.framework is framework
    assert depth in {None, found.depth}
    assert "nothing was missed" not in coverage(report)
    unseen = {rule.id for rule in blind(report.coverage)}
    assert not [
        one
        for one in report.standings
        if one.state and set(one.rules) <= unseen and one.state is State.PROVEN
    ]
    if framework is not Framework.NATIVE:
        assert not {"PR-C02", "PR-C03", "PR-A04"} & proven(report)
