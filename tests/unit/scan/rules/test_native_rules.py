"""Rules over native code and attestation, on both platforms."""

from importlib import import_module
from pathlib import Path

import pytest
from tests.unit.scan.elf_builders import Library
from tests.unit.scan.ios_builders import FOLDER, Image, ipa, read
from tests.unit.scan.simulated import Call, running, simulated, without

from watchword.plan.catalogue import load_catalogue
from watchword.scan.app import App, Native, Part, TextPart
from watchword.scan.interface import Rule, Severity, Verdict
from watchword.scan.rules.app_attest_use import RULE as ATTEST
from watchword.scan.rules.native_hardening import RULE as HARDENING
from watchword.vocabulary import Platform

ABSENT, NOT_SEEN, TOLD = Verdict.ABSENT, Verdict.NOT_SEEN, Verdict.INFO
SO = "lib/arm64-v8a/libshop.so"


def _seen(rule: Rule, app: App) -> set[tuple[Verdict, str]]:
    return {(one.verdict, one.subject) for one in rule.run(app)}


def _android(**libraries: Library) -> App:
    files = {f"lib/arm64-v8a/{name}.so": each.data() for name, each in libraries.items()}
    return read(files or {"a.txt": b""}, Platform.ANDROID)


@pytest.mark.parametrize(
    ("library", "severity"),
    [
        (Library(), Severity.INFO),
        (Library(now=False), Severity.INFO),
        (Library(names=("JNI_OnLoad",)), Severity.INFO),
        (Library(relro=False), Severity.LOW),
        (Library(stack=7), Severity.LOW),
        (Library(kind=2), Severity.LOW),
        (Library(symtab=True), Severity.LOW),
    ],
    ids=["hardened", "lazy", "canary", "relro", "stack", "pie", "names"],
)
def test_hardening(library: Library, severity: Severity) -> None:
    """What makes a flaw or a reader's work easier is low; what may be for want of need is told."""
    (found,) = HARDENING.run(_android(libshop=library))
    assert (found.verdict, found.subject, found.severity) == (TOLD, "libshop.so", severity)


def test_one_finding_for_a_library_in_all_its_architectures() -> None:
    """A library that is built for two architectures is told once, with both places and what either lacks."""
    files = {
        "lib/arm64-v8a/libshop.so": Library().data(),
        "lib/x86_64/libshop.so": Library(stack=7).data(),
    }
    (found,) = HARDENING.run(read(files, Platform.ANDROID))
    assert found.severity is Severity.LOW
    assert {place.file for place in found.locations} == set(files)
    assert "1 of 2 builds" in found.title


def test_no_native_code_and_damaged_code() -> None:
    """That there is none is told; a library that can't be read isn't told as hardened."""
    assert _seen(HARDENING, _android()) == {(TOLD, "libraries")}
    damaged = read({SO: Library().data()[:100]}, Platform.ANDROID)
    assert _seen(HARDENING, damaged) == {(NOT_SEEN, "libshop.so"), (NOT_SEEN, "libraries")}


def test_app_attest() -> None:
    """The entitlement, and the classes that the code names, are told each on its own."""
    key = "com.apple.developer.devicecheck.appattest-environment"
    entitled = read(ipa(image=Image(entitlements={key: "production"})))
    assert _seen(ATTEST, entitled) == {(TOLD, "app-attest-entitlement")}
    names = ("_OBJC_CLASS_$_DCAppAttestService", "_OBJC_CLASS_$_DCDevice")
    using = read(ipa(image=Image(entitlements={}, imports=names)))
    assert _seen(ATTEST, using) == {(TOLD, "app-attest"), (TOLD, "device-check")}


def test_no_attestation() -> None:
    """Absent is said only where code and signature were seen."""
    assert _seen(ATTEST, read(ipa())) == {(ABSENT, "attestation")}
    assert _seen(ATTEST, read(ipa(image=Image(signed=False)))) == {(NOT_SEEN, "attestation")}
    hidden = read(ipa(image=Image(entitlements={}, encryption=1, text=b"x" * 9)))
    assert _seen(ATTEST, hidden) == {(NOT_SEEN, "attestation")}
    assert _seen(ATTEST, simulated()) == {(ABSENT, "attestation")}
    assert _seen(ATTEST, simulated(code=None)) == {(NOT_SEEN, "attestation")}
    assert _seen(ATTEST, without(simulated(), Part.DEX)) == {(NOT_SEEN, "attestation")}


@pytest.mark.parametrize(
    ("app", "subject"),
    [
        (
            running(
                Call("com.google.android.play.core.integrity.IntegrityManagerFactory", "create")
            ),
            "play-integrity",
        ),
        (
            running(
                strings=["com.google.android.play.core.integrityservice.BIND_INTEGRITY_SERVICE"]
            ),
            "play-integrity",
        ),
        (running(Call("com.google.android.gms.safetynet.SafetyNet", "getClient")), "safetynet"),
        (
            running(
                Call(
                    "android.security.keystore.KeyGenParameterSpec$Builder",
                    "setAttestationChallenge",
                )
            ),
            "key-attestation",
        ),
        (running(strings=["Watchword-Token"]), "watchword"),
        (
            simulated(natives=(Native("lib/x/a.so", "elf", "arm64", ("watchword-token",)),)),
            "watchword",
        ),
        (
            simulated(texts=(TextPart("a.js", "asset", ("x", 'h["Watchword-Token"]=t')),)),
            "watchword",
        ),
    ],
    ids=["play", "play-renamed", "safetynet", "keystore", "code", "native", "script"],
)
def test_attestation_of_android(app: App, subject: str) -> None:
    """Each way to attest is told by what the code can't do without."""
    assert _seen(ATTEST, app) == {(TOLD, subject)}


def test_a_library_that_nobody_calls_attests_nothing() -> None:
    """Play services bring SafetyNet along; what only calls itself isn't in use."""
    call = Call("com.google.android.gms.safetynet.SafetyNet", "getClient")
    app = running(call, by="com.google.android.gms.internal.zza")
    assert _seen(ATTEST, app) == {(ABSENT, "attestation")}


def test_a_verdict_names_only_parts_that_there_are() -> None:
    """What a verdict rests on is told without DEX files for iOS, and without a signature's entitlements for Android."""
    ios, android = ATTEST.run(read(ipa())), ATTEST.run(simulated())
    assert "DEX" not in next(iter(ios)).seen
    assert "entitlements" not in next(iter(android)).seen


def test_a_builder_without_a_challenge_attests_nothing() -> None:
    """A key that is made without a challenge isn't attested."""
    plain = running(Call("android.security.keystore.KeyGenParameterSpec$Builder", "setKeySize"))
    assert _seen(ATTEST, plain) == {(ABSENT, "attestation")}


def test_a_mention_names_its_line() -> None:
    """Where a script speaks the protocol, the finding says in which line."""
    script = {f"{FOLDER}main.jsbundle": b'a();\nh["Watchword-Token"]=t;'}
    (found,) = ATTEST.run(read(ipa(files=script)))
    assert [(place.file, place.line) for place in found.locations] == [
        (f"{FOLDER}main.jsbundle", 2)
    ]


APPS = Path(__file__).parents[5] / "shared" / "apps"
"""Real apps that lie beside a clone of this repository; none of them is ours to hand on."""


@pytest.mark.skipif(not APPS.is_dir(), reason="real apps aren't here")
@pytest.mark.parametrize(
    ("name", "libraries", "architectures"),
    [
        ("HelloWorld-JNI.apk", 7, {"arm64", "arm", "mips", "x86", "x86_64"}),
        ("UnCrackable-Level3.apk", 4, {"arm64", "arm", "x86", "x86_64"}),
        ("InsecureBankv2.apk", 0, set()),
    ],
)
def test_real_apps(name: str, libraries: int, architectures: set[str]) -> None:
    """Of real apps the libraries and their architectures are those that were measured."""
    import zipfile  # noqa: PLC0415

    with zipfile.ZipFile(APPS / name) as archive:
        files = {one: archive.read(one) for one in archive.namelist() if not one.endswith(".dex")}
    app = read(files, Platform.ANDROID)
    assert len(app.natives) == libraries
    assert {native.architecture for native in app.natives} == architectures
    assert app.coverage.gaps == ()
    strings = [text for native in app.natives for text in native.strings]
    hooks = [word for word in ("frida", "xposed") if any(word in text for text in strings)]
    assert hooks == (["frida", "xposed"] if name.startswith("UnCrackable-Level3") else [])


@pytest.mark.parametrize(
    "name",
    [
        "app_attest_use",
        "ats_exceptions",
        "ios_debuggable",
        "ios_encrypted",
        "ios_pinned_domains",
        "native_hardening",
        "privacy_manifest",
        "url_schemes",
    ],
)
def test_what_a_rule_names_is_in_the_catalogue(name: str) -> None:
    """Its id is its file's, its techniques are known, and its keys are those that the protection asks for."""
    rule = import_module(f"watchword.scan.rules.{name}").RULE
    assert rule.id == name.replace("_", "-")
    catalogue = load_catalogue()
    assert set(rule.techniques) <= set(catalogue.techniques)
    for protection, key in rule.protections.items():
        assert key in catalogue.protections[protection].evidence
