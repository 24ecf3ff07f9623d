"""An app whose C# takes any certificate, encrypts by DES and ECB, looks for root and holds a secret: what a scan says of it."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.scan.app_builders import PINS, apk
from tests.unit.scan.dotnet.builders import (
    ANSWERS_YES,
    Cls,
    Instruction,
    Made,
    assembly,
    library,
    packed,
    store,
)

from watchword.adapters.app_package import open_app
from watchword.observations import State
from watchword.scan.archive.interface import Limits
from watchword.scan.interface import Verdict
from watchword.scan.outcome import Report
from watchword.scan.registry import RULES
from watchword.scan.service import scan

SEND: list[Instruction] = [
    ("ldftn", "Clinic.Net", "<Send>b__0"),
    ("new", "System.Func`5", ".ctor"),
    (
        "callvirt",
        "System.Net.Http.HttpClientHandler",
        "set_ServerCertificateCustomValidationCallback",
    ),
    ("call", "System.Security.Cryptography.DES", "Create"),
    ("number", 2),
    ("callvirt", "System.Security.Cryptography.SymmetricAlgorithm", "set_Mode"),
    ("ldstr", "/system/xbin/su"),
    ("call", "System.IO.File", "Exists"),
    ("ldstr", "kX9vQ2mZ7tR4wP1sL8dF3gH6jB5nC0yA"),
    ("callvirt", "Clinic.Api", "set_ClientSecret"),
    ("raw", b"\x2a"),
]
CLINIC = assembly(
    "Clinic", [Cls("Clinic.Net", [Made("Send", SEND), Made("<Send>b__0", ANSWERS_YES)])]
)
PLAIN = assembly("Clinic", [Cls("Clinic.Net", [Made("Send", [("raw", b"\x2a")])])])
FORMS = {
    "loose": {"assemblies/Clinic.dll": CLINIC},
    "store": {"assemblies/assemblies.blob": store([packed(CLINIC)])},
    "library": {
        "lib/arm64-v8a/libassemblies.arm64-v8a.blob.so": library(store([CLINIC], version=3))
    },
}


def _scanned(files: Mapping[str, bytes], folder: Path) -> Report:
    file = folder / "clinic.apk"
    file.write_bytes(apk(pins=PINS, more=files))
    return scan(open_app(file, Limits(), lambda: 60.0), RULES)


@pytest.mark.parametrize("form", FORMS)
def test_what_its_code_does_is_exposed(form: str, tmp_path: Path) -> None:
    """In each form of package: any certificate, broken ciphers and the secret, with their methods; nothing is clean, and nothing proven."""
    report = _scanned(FORMS[form], tmp_path)
    exposed = {
        (each.rule, place.cls)
        for each in report.findings
        if each.verdict is Verdict.EXPOSED
        for place in each.locations
    }
    assert {
        ("trust-manager", "Clinic.Net"),
        ("weak-crypto", "Clinic.Net"),
        ("secret-in-app", "Clinic.Net"),
    } <= exposed
    root = {each.verdict for each in report.findings if each.rule == "root-checks"}
    assert root == {Verdict.NOT_SEEN}
    assert not {"PR-C02", "PR-A03"} & {
        each.protection for each in report.standings if each.state is State.PROVEN
    }


def test_nothing_found_in_its_code_is_not_clean(tmp_path: Path) -> None:
    """What two rules know of code of .NET is little: where they find nothing, it isn't said to be absent."""
    report = _scanned({"assemblies/Clinic.dll": PLAIN}, tmp_path)
    for rule in ("trust-manager", "weak-crypto", "root-checks", "pinning"):
        verdicts = {each.verdict for each in report.findings if each.rule == rule}
        assert not verdicts & {Verdict.ABSENT}, rule
    assert {each.verdict for each in report.findings if each.rule == "trust-manager"} == {
        Verdict.NOT_SEEN
    }
    assert "PR-C02" not in {
        each.protection for each in report.standings if each.state is State.PROVEN
    }
