"""Test what is found in real apps, where they lie beside the clone."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from tests.unit.scan.simulated import manifest

from watchword.adapters.app_package.package import open_app
from watchword.scan.addresses import hosts_of, paths_of
from watchword.scan.app import App
from watchword.scan.archive.interface import Limits
from watchword.scan.interface import Finding, Rule, Verdict
from watchword.scan.rules import cleartext_urls, hard_coded_crypto_key, public_key_by_design
from watchword.scan.secrets.detection import detect
from watchword.scan.secrets.keys import Way, key_uses

APPS = Path(__file__).parents[5] / "shared" / "apps"

pytestmark = pytest.mark.skipif(not APPS.is_dir(), reason="no real apps beside the clone")


@cache
def app_of(name: str, package: str = "") -> App:
    """Read an app; its package is given where nothing that reads manifests is installed."""
    app = open_app(APPS / name, Limits(), lambda: 60.0)
    if app.manifest is None and package:
        return replace(app, manifest=replace(manifest(), package=package))
    return app


def exposed(rule: Rule, app: App) -> list[Finding]:
    """Return what a rule exposes in an app."""
    return [each for each in rule.run(app) if each.verdict is Verdict.EXPOSED]


@pytest.mark.parametrize("name", ["InsecureBankv2.apk", "InsecureBankv2-release.apk"])
def test_the_key_of_insecure_bank_is_found(name: str) -> None:
    """The documented key is the only constant that is taken for one, and stands in the field of the crypto class."""
    (use,) = (
        use for use in key_uses(app_of(name, "com.android.insecurebankv2")) if use.role == "key"
    )
    assert use.value == "This is the super secret key 123"
    assert (use.way, use.place.cls) == (Way.FIELD, "com.android.insecurebankv2.CryptoClass")


def test_the_vector_of_insecure_bank_is_no_secret_kept() -> None:
    """Its finding shows the key nowhere but in its secret."""
    app = app_of("InsecureBankv2.apk", "com.android.insecurebankv2")
    for finding in hard_coded_crypto_key.RULE.run(app):
        assert "super secret" not in repr(finding)


def test_key_and_ciphertext_of_the_first_crackme_are_found() -> None:
    """They pass from one class to another that makes the key."""
    values = {use.value for use in key_uses(app_of("UnCrackable-Level1.apk"))}
    assert values == {
        "8d127684cbc37c17616d806cf50473cc",
        "5UJiFctbmgbDoLXmpL12mkno8HT4Lv8dlat8FxR2GOc=",
    }


def test_the_key_of_the_third_crackme_goes_into_native_code() -> None:
    """The text that it hands to its library as bytes is told."""
    (use,) = key_uses(app_of("UnCrackable-Level3.apk"))
    assert (use.value, use.way) == ("pizzapizzapizzapizzapizz", Way.NATIVE)


def test_the_home_made_cipher_of_the_vulnerable_bank_is_found() -> None:
    """Its constant is combined with what it encrypts by exclusive or, in a class that was renamed."""
    values = {use.value for use in key_uses(app_of("dvba.apk"))}
    assert values == {"amazing"}


def test_the_twins_of_a_constant_key_are_told_apart() -> None:
    """The vulnerable one makes its keys from a resource in two places, the fixed one from none."""
    rule = hard_coded_crypto_key.RULE
    vulnerable = exposed(rule, app_of("ghera-constkey-benign.apk"))
    assert {each.locations[0].cls.rpartition(".")[2] for each in vulnerable} == {
        "NewPasswordActivity",
        "ResetPasswordActivity",
    }
    assert not exposed(rule, app_of("ghera-constkey-secure.apk"))


def test_the_google_key_of_the_vulnerable_bank_is_public_by_design() -> None:
    """It's in the resources, told as an identifier, and shown nowhere."""
    app = app_of("dvba.apk")
    if not app.resources:
        pytest.skip("nothing that reads resources is installed")
    found = [
        each
        for each in public_key_by_design.RULE.run(app)
        if each.secret is not None and each.secret.kind == "gcp-api-key"
    ]
    assert found
    assert all("AIza" not in repr(each) for each in found)


def test_the_twins_of_cleartext_are_told_apart() -> None:
    """The vulnerable one names its server without TLS, the fixed one with it."""
    rule = cleartext_urls.RULE
    assert {each.subject for each in exposed(rule, app_of("ghera-http-benign.apk"))} == {
        "10.131.182.100"
    }
    assert not exposed(rule, app_of("ghera-http-secure.apk"))


def test_paths_and_hosts_are_those_that_the_apps_call() -> None:
    """The vulnerable bank's twelve operations and jamendo's servers are there."""
    api = [path for path in paths_of(app_of("dvba.apk")) if path.startswith("/api/")]
    assert len(api) == 12
    assert "api.jamendo.com" in hosts_of(app_of("com.teleca.jamendo_35.apk"))


@pytest.mark.parametrize(
    "name",
    [
        "AndroGoat.apk",
        "HelloWorld-JNI.apk",
        "InsecureBankv2.apk",
        "UnCrackable-Level1.ipa",
        "UnCrackable-Level3.apk",
        "app-prod-debug-abcore.apk",
        "com.teleca.jamendo_35.apk",
        "ghera-http-secure.apk",
        "pivaa.apk",
        "fixtures/open.apk",
        "MoviePic.aab",
    ],
)
def test_ordinary_apps_and_placeholders_hold_no_secret(name: str) -> None:
    """Tens of thousands of strings of libraries, pins, and the fixtures' placeholder are no secrets."""
    assert [hit.kind for hit in detect(app_of(name)) if not hit.public] == []
