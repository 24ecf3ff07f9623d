"""What rules say of code of .NET."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.scan.dotnet.builders import (
    ANSWERS_YES,
    ANSWERS_YES_IN_DEBUG,
    RETURNS,
    Cls,
    Instruction,
    Made,
    assembly,
)
from tests.unit.scan.ios_builders import archive_of
from tests.unit.scan.simulated import Class, simulated

from watchword.scan.addresses import addresses_of
from watchword.scan.app import App
from watchword.scan.dotnet import read_assemblies
from watchword.scan.interface import Finding, Location, Rule, Verdict
from watchword.scan.libraries import of_framework
from watchword.scan.notes import Notes
from watchword.scan.rules import trust_manager, weak_crypto
from watchword.scan.secrets.detection import detect

ENTRY = "assemblies/Shop.dll"
HANDLER = "System.Net.Http.HttpClientHandler"
SETTER = ("callvirt", HANDLER, "set_ServerCertificateCustomValidationCallback")
FUNC = ("new", "System.Func`5", ".ctor")
TYPED = ("new", "System.Net.Security.RemoteCertificateValidationCallback", ".ctor")
LAMBDA = ("ldftn", "Shop.Net", "<Send>b__0")
CIPHERS = "System.Security.Cryptography"


def _app(*classes: Cls, name: str = "Shop") -> App:
    notes = Notes()
    archive = archive_of({f"assemblies/{name}.dll": assembly(name, classes)}, notes)
    found = read_assemblies(archive, notes)
    return replace(
        simulated(Class("com.example.shop.Main")), assemblies=found.assemblies, texts=found.texts
    )


def _running(*code: Instruction, callback: Sequence[Instruction] = ANSWERS_YES) -> App:
    send = Made("Send", [*code, ("raw", b"\x2a")])
    return _app(Cls("Shop.Net", [send, Made("<Send>b__0", callback)]))


def _exposed(rule: Rule, app: App) -> list[Finding]:
    return [each for each in rule.run(app) if each.verdict is Verdict.EXPOSED]


@pytest.mark.parametrize(
    "code",
    [
        (LAMBDA, FUNC, SETTER),
        (LAMBDA, TYPED, ("call", "System.Net.ServicePointManager", "set_X")),
        (("call", HANDLER, "get_DangerousAcceptAnyServerCertificateValidator"), SETTER),
        (("callvirt", "Android.Webkit.SslErrorHandler", "Proceed"),),
    ],
    ids=["client", "typed", "dangerous", "browser-view"],
)
@pytest.mark.parametrize("yes", [ANSWERS_YES, ANSWERS_YES_IN_DEBUG], ids=["release", "debug"])
def test_any_certificate_is_taken(
    code: tuple[Instruction, ...], yes: Sequence[Instruction]
) -> None:
    """A callback that always says yes is exposed, with the method that sets it."""
    (found,) = _exposed(trust_manager.RULE, _running(*code, callback=yes))
    assert found.locations == (Location(ENTRY, "Shop.Net", "Send"),)


@pytest.mark.parametrize(
    ("code", "callback"),
    [
        ((LAMBDA, FUNC, SETTER), [("raw", b"\x03\x2a")]),
        ((LAMBDA, FUNC, SETTER), [("raw", b"\x16\x2a")]),
        ((LAMBDA, FUNC), ANSWERS_YES),
        ((LAMBDA, ("new", "System.Func`2", ".ctor"), SETTER), ANSWERS_YES),
        ((("callvirt", HANDLER, "set_Proxy"),), ANSWERS_YES),
    ],
    ids=["looks", "says-no", "set-nowhere", "another-callback", "another-member"],
)
def test_a_certificate_is_looked_at(
    code: tuple[Instruction, ...], callback: Sequence[Instruction]
) -> None:
    """A callback that looks, or that is none, isn't."""
    assert _exposed(trust_manager.RULE, _running(*code, callback=callback)) == []


@pytest.mark.parametrize(
    ("interface", "method", "code", "found"),
    [
        ("Javax.Net.Ssl.IHostnameVerifier", "Verify", ANSWERS_YES, True),
        ("Javax.Net.Ssl.IX509TrustManager", "CheckServerTrusted", RETURNS, True),
        (
            "Javax.Net.Ssl.IX509TrustManager",
            "Javax.Net.Ssl.IX509TrustManager.CheckServerTrusted",
            RETURNS,
            True,
        ),
        ("Javax.Net.Ssl.IX509TrustManager", "CheckServerTrusted", [("raw", b"\x14\x7a")], False),
        ("Javax.Net.Ssl.IX509TrustManager", "CheckClientTrusted", RETURNS, False),
        ("System.IDisposable", "CheckServerTrusted", RETURNS, False),
    ],
)
def test_javas_interfaces(
    interface: str, method: str, code: Sequence[Instruction], found: bool
) -> None:
    """Code of .NET may stand for Java's checks, under their names in .NET."""
    app = _app(Cls("Shop.Trust", [Made(method, code)], implements=[interface]))
    assert bool(_exposed(trust_manager.RULE, app)) is found


@pytest.mark.parametrize(
    ("code", "subjects"),
    [
        ([("call", f"{CIPHERS}.DES", "Create")], {"DES:Shop.Net"}),
        ([("new", f"{CIPHERS}.TripleDESCryptoServiceProvider", ".ctor")], {"TripleDES:Shop.Net"}),
        ([("number", 2), ("callvirt", f"{CIPHERS}.SymmetricAlgorithm", "set_Mode")], {"ECB:Shop.Net"}),
        ([("raw", b"\x18"), ("callvirt", f"{CIPHERS}.Aes", "set_Mode")], {"ECB:Shop.Net"}),
        ([("callvirt", f"{CIPHERS}.SymmetricAlgorithm", "EncryptEcb")], {"ECB:Shop.Net"}),
        (
            [("ldstr", "DES/CBC/PKCS5Padding"), ("call", "Javax.Crypto.Cipher", "GetInstance")],
            {"DES/CBC/PKCS5Padding:Shop.Net"},
        ),
        ([("ldstr", "password"), ("call", f"{CIPHERS}.MD5", "Create")], {"MD5:Shop.Net"}),
        ([("call", f"{CIPHERS}.MD5", "HashData")], set()),
        ([("call", f"{CIPHERS}.Aes", "Create")], set()),
        ([("number", 1), ("callvirt", f"{CIPHERS}.SymmetricAlgorithm", "set_Mode")], set()),
        ([("call", f"{CIPHERS}.SHA256", "Create")], set()),
    ],
)  # fmt: skip
def test_weak_cryptography(code: list[Instruction], subjects: set[str]) -> None:
    """Ciphers that are broken, ECB, and weak hashes around passwords are exposed, with the method that uses them."""
    found = _exposed(weak_crypto.RULE, _running(*code))
    assert {each.subject for each in found} == subjects
    assert all(each.locations == (Location(ENTRY, "Shop.Net", "Send"),) for each in found)


def test_secrets_of_assemblies() -> None:
    """One that shows itself, one that only its name shows, and one among constants: each with class and member."""
    token = "ghp_" + "A" * 36
    app = _app(
        Cls(
            "Shop.Net",
            [
                Made(
                    "Send",
                    [
                        ("ldstr", "xoxb-814729365142-725194836251-aB3dE5gH7jK9mN1pQ3rS5tU7"),
                        ("call", "System.Console", "Write"),
                        ("ldstr", "kX9vQ2mZ7tR4wP1sL8dF3gH6jB5nC0yA"),
                        ("callvirt", "Shop.Api", "set_ClientSecret"),
                        ("raw", b"\x2a"),
                    ],
                )
            ],
            {"BackendApiKey": "pQ7rT2vX9zB4dF6hJ8kL1nM3sW5yA0cE", "NoChecksum": token},
        )
    )
    found = {hit.secret: hit for hit in detect(app)}
    assert set(found) == {
        "xoxb-814729365142-725194836251-aB3dE5gH7jK9mN1pQ3rS5tU7",
        "kX9vQ2mZ7tR4wP1sL8dF3gH6jB5nC0yA",
        "pQ7rT2vX9zB4dF6hJ8kL1nM3sW5yA0cE",
    }
    assert {(each.cls, each.member) for hit in found.values() for each in hit.places} >= {
        ("Shop.Net", "Send"),
        ("Shop.Net", "ClientSecret"),
        ("Shop.Net", "BackendApiKey"),
    }
    assert {each.file for hit in found.values() for each in hit.places} == {ENTRY}


@pytest.mark.parametrize(("name", "own"), [("Shop", True), ("System.Net.Http", False)])
def test_hosts_of_assemblies(name: str, own: bool) -> None:
    """An address in the app's assembly is the app's own; one in a framework's isn't."""
    code: list[Instruction] = [("ldstr", "https://api.kiosk.test/v1"), ("raw", b"\x26\x2a")]
    app = _app(Cls("Shop.Net", [Made("Send", code)]), name=name)
    (address,) = (each for each in addresses_of(app) if each.host == "api.kiosk.test")
    assert address.own is own


@pytest.mark.parametrize("first", [True, False])
def test_a_callback_with_a_namesake(first: bool) -> None:
    """Which of two methods of one name is meant isn't told: the one that takes everything hides behind none."""
    yes, other = Made("Check", ANSWERS_YES), Made("Check", RETURNS)
    send = Made("Send", [("ldftn", "Shop.Net", "Check"), FUNC, SETTER, ("raw", b"\x2a")])
    checks = [yes, other] if first else [other, yes]
    assert _exposed(trust_manager.RULE, _app(Cls("Shop.Net", [send, *checks])))


def test_assemblies_of_frameworks_by_their_file() -> None:
    """By the same names as those that assemblies give themselves."""
    for name in ("System.Net.Http", "mscorlib", "UnityEngine", "Windows.Foundation"):
        assert of_framework(f"assemblies/{name}.dll")
    for file in ("assemblies/Shop.dll", "assemblies/Systemic.dll", "assets/System.Net.json"):
        assert not of_framework(file)
