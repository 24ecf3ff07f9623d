"""Tests of the rule on pinning."""

from dataclasses import replace

import pytest
from tests.unit.scan.simulated import (
    MAIN,
    PACKAGE,
    Body,
    Call,
    Class,
    manifest,
    running,
    simulated,
    verdicts,
)

from watchword.scan.app import App, DomainConfig, NetworkConfig, PinSet
from watchword.scan.interface import Confidence, Severity, Verdict
from watchword.scan.rules.pinning import RULE

PIN = "sha256/" + "A" * 43 + "="
ADD = Call("okhttp3.CertificatePinner$Builder", "add", ("api.example.test", None))
HAND = Call("okhttp3.OkHttpClient$Builder", "certificatePinner")
ABSENT = {"pinning": Verdict.ABSENT}


def _configured(*pins: str, ends: str | None = None, user: bool = False) -> App:
    domain = DomainConfig(
        (("api.example.test", False),),
        cleartext=None,
        user_anchors=user,
        pin_set=PinSet(pins, ends) if pins else None,
    )
    return simulated(network=NetworkConfig("res/xml/net.xml", None, (domain,)))


def test_config_with_backup_and_end() -> None:
    """Pins of the config are certain, and their end is told."""
    (found,) = RULE.run(_configured("AA=", "BB=", ends="2030-01-01"))
    assert (found.verdict, found.confidence) == (Verdict.PROTECTED, Confidence.CERTAIN)
    assert found.subject == "api.example.test"
    assert "2030-01-01" in found.title


def test_config_without_backup() -> None:
    """One pin alone is told: whoever loses its key is locked out. The same pin twice is one."""
    found = verdicts(RULE, _configured("AA=", "AA="))
    assert found == {"api.example.test": Verdict.PROTECTED, "backup:api.example.test": Verdict.INFO}


def test_config_without_pins() -> None:
    """A config without pins pins nothing; that the owner's authorities count is told with it."""
    assert verdicts(RULE, _configured()) == ABSENT
    assert verdicts(RULE, _configured(user=True)) == {
        **ABSENT,
        "user:api.example.test": Verdict.EXPOSED,
    }


def test_okhttp_down_to_class_and_method() -> None:
    """OkHttp's pins are told with class, method and host."""
    (found,) = RULE.run(running(ADD, HAND, strings=(PIN,)))
    assert (found.verdict, found.confidence) == (Verdict.PROTECTED, Confidence.CERTAIN)
    assert [(place.cls, place.member) for place in found.locations] == [(MAIN, "run")]
    assert "api.example.test" in found.title
    assert "1 pin " in found.title


def test_okhttp_that_no_client_takes() -> None:
    """Pins that aren't handed to a client are less sure."""
    (found,) = RULE.run(running(ADD))
    assert found.confidence is Confidence.POSSIBLE


def test_okhttp_renamed() -> None:
    """Where the library is renamed its pins still look like pins; the library's own prefix is none."""
    assert verdicts(RULE, running(strings=(PIN,))) == {f"{MAIN}.run": Verdict.PROTECTED}
    assert verdicts(RULE, running(strings=("sha256/",))) == ABSENT


@pytest.mark.parametrize(
    "call",
    [
        Call("javax.net.ssl.HttpsURLConnection", "setHostnameVerifier"),
        Call("okhttp3.OkHttpClient$Builder", "hostnameVerifier"),
    ],
)
def test_verifier_is_no_pinning(call: Call) -> None:
    """A verifier of host names isn't pinning."""
    assert verdicts(RULE, running(call)) == ABSENT


def test_library_alone_is_no_pinning() -> None:
    """That OkHttp is there, and calls itself, pins nothing."""
    app = simulated(Class("okhttp3.OkHttpClient$Builder", (Body("build", (ADD, HAND)),)))
    assert verdicts(RULE, app) == ABSENT


def test_trustkit() -> None:
    """TrustKit counts once the app starts it."""
    call = Call(
        "com.datatheorem.android.trustkit.TrustKit", "initializeWithNetworkSecurityConfiguration"
    )
    assert verdicts(RULE, running(call)) == {"trustkit": Verdict.PROTECTED}


@pytest.mark.parametrize(
    ("mnemonics", "pins"), [(("if-nez", "throw", "return-void"), True), (("return-void",), False)]
)
def test_by_hand(mnemonics: tuple[str, ...], pins: bool) -> None:
    """A trust manager that compares the key and throws pins; one that only compares doesn't."""
    calls = (
        Call("java.security.cert.X509Certificate", "getPublicKey"),
        Call("java.util.Arrays", "equals"),
    )
    cls = f"{PACKAGE}.Pins"
    body = Body("checkServerTrusted", calls, mnemonics=mnemonics)
    app = simulated(Class(cls, (body,), implements=("javax.net.ssl.X509TrustManager",)))
    assert verdicts(RULE, app) == ({cls: Verdict.PROTECTED} if pins else ABSENT)


def test_own_authority() -> None:
    """Code that trusts only certificates that it brings along pins."""
    init = Call("javax.net.ssl.TrustManagerFactory", "init")
    brings = (
        Call("java.security.cert.CertificateFactory", "generateCertificate"),
        Call("java.security.KeyStore", "setCertificateEntry"),
    )
    assert verdicts(RULE, running(*brings, init)) == {f"{MAIN}.run": Verdict.PROTECTED}
    assert verdicts(RULE, running(init)) == ABSENT


def test_config_without_code() -> None:
    """Pins of the config are seen without the code; without pins nothing is said of code that wasn't read."""
    pinned = replace(_configured("AA=", "BB="), code=None)
    assert verdicts(RULE, pinned) == {"api.example.test": Verdict.PROTECTED}
    assert verdicts(RULE, replace(pinned, network=None)) == {"pinning": Verdict.NOT_SEEN}


def test_severity_of_absence() -> None:
    """What absence opens is one's own traffic: medium; nothing where there is no traffic."""
    app = running()
    (found,) = RULE.run(app)
    assert found.severity is Severity.MEDIUM
    assert app.manifest is not None
    (found,) = RULE.run(replace(app, manifest=replace(app.manifest, permissions=())))
    assert (found.verdict, found.severity) == (Verdict.ABSENT, Severity.INFO)


def test_owners_authorities_beside_pins() -> None:
    """Pins hold against them, so that they open less: they are told all the same."""
    base = DomainConfig((), cleartext=None, user_anchors=True, pin_set=None)
    pinned = running(ADD, HAND, strings=(PIN,))
    found = {
        each.subject: each
        for each in RULE.run(replace(pinned, network=NetworkConfig("net.xml", base, ())))
    }
    assert found["user:every host"].verdict is Verdict.EXPOSED
    assert found["user:every host"].severity is Severity.LOW
    assert found[f"{MAIN}.run"].verdict is Verdict.PROTECTED


@pytest.mark.parametrize(
    ("least", "target", "expected"),
    [
        (24, 24, {}),
        (23, 24, {"user:older": (Verdict.INFO, Severity.LOW)}),
        (23, 23, {"user:default": (Verdict.EXPOSED, Severity.MEDIUM)}),
    ],
)
def test_authorities_that_are_trusted_by_default(
    least: int, target: int, expected: dict[str, tuple[Verdict, Severity]]
) -> None:
    """Below targetSdk 24 the system trusts what its owner installs, and phones before Android 7 whatever is targeted."""
    stated = replace(manifest(), min_sdk=least, target_sdk=target)
    found = RULE.run(simulated(manifest=stated))
    by_default = {each.subject: each for each in found if each.subject.startswith("user:")}
    assert {name: (each.verdict, each.severity) for name, each in by_default.items()} == expected
    offline = simulated(manifest=replace(stated, permissions=()))
    assert not any(each.subject.startswith("user:") for each in RULE.run(offline))


def test_authorities_of_a_base_that_states_them() -> None:
    """A base of the config says itself what is trusted; one that wasn't read may."""
    old = replace(manifest(), target_sdk=23, min_sdk=24, network_config="res/xml/net.xml")
    base = DomainConfig((), None, user_anchors=False, pin_set=None)
    assert "user:default" not in verdicts(
        RULE, simulated(manifest=old, network=NetworkConfig("res/xml/net.xml", base, ()))
    )
    assert "user:default" in verdicts(
        RULE, simulated(manifest=old, network=NetworkConfig("res/xml/net.xml", None, ()))
    )
    assert "user:default" not in verdicts(RULE, simulated(manifest=old))


def test_config_that_older_phones_do_not_know() -> None:
    """Pins of the config hold from Android 7 on: below it nothing is pinned, unless by TrustKit or in code."""
    app = _configured("AA=", "BB=")
    assert app.manifest is not None
    app = replace(app, manifest=replace(app.manifest, min_sdk=23))
    found = {each.subject: each for each in RULE.run(app)}
    assert found["api.example.test"].confidence is Confidence.POSSIBLE
    assert (found["older"].verdict, found["older"].severity) == (Verdict.EXPOSED, Severity.LOW)
    starts = Call(
        "com.datatheorem.android.trustkit.TrustKit", "initializeWithNetworkSecurityConfiguration"
    )
    by_trustkit = replace(running(starts), network=app.network, manifest=app.manifest)
    assert "older" not in verdicts(RULE, by_trustkit)
