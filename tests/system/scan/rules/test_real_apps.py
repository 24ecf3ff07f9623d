"""Hold the rules over Android apps to what is documented of real ones, where they lie beside the clone; nothing runs."""

from functools import cache
from pathlib import Path

import pytest
from tests.unit.scan.simulated import verdicts

from watchword.adapters.app_package.package import open_app
from watchword.scan.app import App
from watchword.scan.archive.interface import Limits
from watchword.scan.interface import Rule, Verdict
from watchword.scan.rules import (
    biometric_crypto,
    cleartext_urls,
    debuggable,
    debugger_checks,
    emulator_checks,
    exported_components,
    hook_checks,
    install_refused,
    integrity_checks,
    keystore_use,
    obfuscation,
    pinning,
    raw_sockets,
    root_checks,
    signing_scheme,
    trust_manager,
    weak_crypto,
    webview,
)

APPS = Path(__file__).parents[5] / "shared" / "apps"

ABSENT, EXPOSED, NOT_SEEN = Verdict.ABSENT, Verdict.EXPOSED, Verdict.NOT_SEEN
PROTECTED = Verdict.PROTECTED

pytestmark = pytest.mark.skipif(not APPS.is_dir(), reason="the apps aren't beside the clone")


@cache
def _app(name: str) -> App:
    return open_app(APPS / name, Limits(), lambda: 60.0)


def _bank(*names: str) -> set[str]:
    return {f"com.android.insecurebankv2.{name}" for name in names}


@pytest.mark.parametrize(
    ("rule", "app", "cls"),
    [
        (root_checks.RULE, "UnCrackable-Level1.apk", "sg.vantagepoint.a.c"),
        (root_checks.RULE, "UnCrackable-Level3.apk", "sg.vantagepoint.util.RootDetection"),
        (root_checks.RULE, "AndroGoat.apk", "owasp.sat.agoat.RootDetectionActivity"),
        (root_checks.RULE, "InsecureBankv2.apk", "com.android.insecurebankv2.PostLogin"),
        (root_checks.RULE, "dvba.apk", "a.a.a.a.a"),
        (debugger_checks.RULE, "UnCrackable-Level1.apk", "sg.vantagepoint.a.b.a"),
        (
            debugger_checks.RULE,
            "UnCrackable-Level3.apk",
            "sg.vantagepoint.util.IntegrityCheck.isDebuggable",
        ),
        (hook_checks.RULE, "UnCrackable-Level3.apk", "native"),
        (hook_checks.RULE, "dvba.apk", "native"),
        (emulator_checks.RULE, "AndroGoat.apk", "owasp.sat.agoat.EmulatorDetectionActivity"),
        (
            integrity_checks.RULE,
            "UnCrackable-Level3.apk",
            "sums:sg.vantagepoint.uncrackable3.MainActivity.verifyLibs",
        ),
        (pinning.RULE, "AndroGoat.apk", "owasp.sat.agoat.TrafficActivity$doPinning$1.invoke"),
        (
            pinning.RULE,
            "AndroGoat_without_nsc.apk",
            "owasp.sat.agoat.TrafficActivity$doPinning$1.invoke",
        ),
        (pinning.RULE, "fixtures/pinned.apk", "api.example.test"),
        (obfuscation.RULE, "dvba.apk", "names"),
        (obfuscation.RULE, "MoviePic.aab", "names"),
    ],
)
def test_protection_that_is_documented(rule: Rule, app: str, cls: str) -> None:
    """What is documented as protected is found, in its class."""
    assert verdicts(rule, _app(app)).get(cls) is PROTECTED


@pytest.mark.parametrize(
    ("rule", "app"),
    [
        *((rule, "HelloWorld-JNI.apk") for rule in (root_checks.RULE, debugger_checks.RULE)),
        *((rule, "HelloWorld-JNI.apk") for rule in (hook_checks.RULE, emulator_checks.RULE)),
        (pinning.RULE, "InsecureBankv2.apk"),
        (pinning.RULE, "fixtures/open.apk"),
        (obfuscation.RULE, "InsecureBankv2.apk"),
        (obfuscation.RULE, "UnCrackable-Level3.apk"),
        (root_checks.RULE, "com.teleca.jamendo_35.apk"),
    ],
)
def test_absence_that_is_documented(rule: Rule, app: str) -> None:
    """What is documented as missing is absent."""
    assert ABSENT in verdicts(rule, _app(app)).values()


@pytest.mark.parametrize(
    ("rule", "pair"),
    [
        (weak_crypto.RULE, "ecb"),
        (cleartext_urls.RULE, "http"),
        (trust_manager.RULE, "webviewssl"),
        (raw_sockets.RULE, "rawsocket"),
    ],
)
def test_pairs_are_told_apart(rule: Rule, pair: str) -> None:
    """Of each pair the vulnerable app (the one that is called benign) is exposed, and the mended one isn't."""
    assert EXPOSED in verdicts(rule, _app(f"ghera-{pair}-benign.apk")).values()
    assert EXPOSED not in verdicts(rule, _app(f"ghera-{pair}-secure.apk")).values()


def test_traps_of_pivaa() -> None:
    """PIVAA's trust-all, verifier, ECB and file access are found; its verifier isn't taken for pinning."""
    app = _app("pivaa.apk")
    assert verdicts(trust_manager.RULE, app) == {
        "com.htbridge.pivaa.handlers.API$1": EXPOSED,
        "com.htbridge.pivaa.handlers.API$2": EXPOSED,
    }
    assert EXPOSED in verdicts(weak_crypto.RULE, app).values()
    assert EXPOSED in verdicts(webview.RULE, app).values()
    # It brings archives with code along that nobody opened: nothing is absent.
    assert verdicts(pinning.RULE, app)["pinning"] is NOT_SEEN


def test_renamed_crash_reporter_is_no_check() -> None:
    """MoviePic's only look for root, debuggers and emulators is a renamed crash reporter's."""
    for rule in (root_checks.RULE, debugger_checks.RULE, emulator_checks.RULE):
        found = verdicts(rule, _app("MoviePic.aab"))
        assert PROTECTED not in found.values()
        assert found["checks"] is NOT_SEEN


def test_biometrics_without_a_key() -> None:
    """Damn Vulnerable Bank asks for a finger that releases no key, through a library that was renamed."""
    found = verdicts(biometric_crypto.RULE, _app("dvba.apk"))
    assert found == {"com.app.damnvulnerablebank.SendMoney.Biometrics": EXPOSED}


def test_key_store() -> None:
    """The mended app of the pair keeps its key in the key store, the vulnerable one doesn't."""
    assert verdicts(keystore_use.RULE, _app("ghera-ecb-secure.apk")) == {"keystore": PROTECTED}
    assert verdicts(keystore_use.RULE, _app("ghera-ecb-benign.apk")) == {"keystore": ABSENT}


def test_open_components_of_the_bank() -> None:
    """All of InsecureBankv2's open components are found, and its entrance isn't one."""
    found = verdicts(exported_components.RULE, _app("InsecureBankv2.apk"))
    names = ("PostLogin", "DoTransfer", "ViewStatement", "ChangePassword")
    others = ("TrackUserContentProvider", "MyBroadCastReceiver")
    assert {name for name, verdict in found.items() if verdict is EXPOSED} == _bank(*names, *others)


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ("InsecureBankv2.apk", EXPOSED),
        ("InsecureBankv2-release.apk", PROTECTED),
        ("fixtures/open.apk", EXPOSED),
        ("fixtures/pinned.apk", PROTECTED),
        ("apksig-debuggable-resource.apk", PROTECTED),
    ],
)
def test_debuggable(app: str, expected: Verdict) -> None:
    """The flag is told as the system takes it, also through a resource."""
    assert verdicts(debuggable.RULE, _app(app)) == {"debuggable": expected}


@pytest.mark.parametrize(
    ("app", "subject"),
    [
        ("InsecureBankv2.apk", "v1-only"),
        ("apksig-v1-rsa1024-md5.apk", "v1-only"),
        ("apksig-v1-rsa1024-md5.apk", "weak-key"),
        ("AndroGoat.apk", "debug-key"),
        ("AndroGoat.apk", "weak-key"),
        ("apksig-debuggable-resource.apk", "public-key"),
    ],
)
def test_signatures(app: str, subject: str) -> None:
    """Signatures by scheme v1 only, short keys, debug keys and Android's own test key are exposed."""
    assert verdicts(signing_scheme.RULE, _app(app))[subject] is EXPOSED


def test_open_components_of_damn_vulnerable_bank() -> None:
    """Its three open screens are found, one of which is open only since its links make it so; a library's don't count."""
    found = verdicts(exported_components.RULE, _app("dvba.apk"))
    names = ("SendMoney", "ViewBalance", "CurrencyRates")
    assert {f"com.app.damnvulnerablebank.{name}" for name in names} <= found.keys()
    library = "androidx.biometric.DeviceCredentialHandlerActivity"
    assert found[library] is Verdict.INFO


def test_a_check_that_native_code_may_hold() -> None:
    """The app's own native code may look at its signature: that nothing does isn't said."""
    found = verdicts(integrity_checks.RULE, _app("HelloWorld-JNI.apk"))
    assert set(found.values()) == {NOT_SEEN}


def test_user_authorities() -> None:
    """Damn Vulnerable Bank trusts authorities that the phone's owner installs; its native code may open connections, and pin."""
    found = verdicts(pinning.RULE, _app("dvba.apk"))
    assert found["pinning"] is NOT_SEEN
    assert EXPOSED in found.values()


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("AndroGoat.apk", "owasp.sat.agoat.XSSActivity.onCreate"),
        ("InsecureBankv2.apk", "com.android.insecurebankv2.ViewStatement.onCreate"),
        ("dvba.apk", "com.app.damnvulnerablebank.CurrencyRates.onCreate"),
        ("ghera-webviewssl-benign.apk", "edu.ksu.cs.benign.MainActivity.onResume"),
    ],
)
def test_file_access_that_real_apps_leave_on(name: str, cls: str) -> None:
    """All four target an Android below 11 and switch nothing off: their protection isn't proven."""
    found = verdicts(webview.RULE, _app(name))
    assert found[f"files:{cls}"] is EXPOSED
    assert "webview" not in found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("AndroGoat.apk", {"janus": EXPOSED}),
        ("dvba.apk", {"signing": PROTECTED}),
        ("fdroid-v2only.apk", {"signing": PROTECTED}),
        ("fdroid-v1v2.apk", {"janus": EXPOSED}),
        ("AndroGoat_without_nsc.apk", {"v1-only": EXPOSED}),
    ],
)
def test_janus_of_real_apps(name: str, found: dict[str, Verdict]) -> None:
    """A v1 signature with minSdk below 24 is a finding, also beside v2."""
    signature = verdicts(signing_scheme.RULE, _app(name))
    assert {key: each for key, each in signature.items() if key in found} == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("NDK-NoProguard.apk", {"no-v1": Verdict.INFO}),
        ("dvba.apk", {"no-v1": Verdict.INFO}),
        ("fdroid-v1v2.apk", {"installs": Verdict.INFO}),
    ],
)
def test_what_real_apps_are_refused_for(name: str, found: dict[str, Verdict]) -> None:
    """Two are signed so that phones which their minSdk admits refuse them."""
    folder = "hybrid/" if name.startswith("NDK") else ""
    assert verdicts(install_refused.RULE, _app(f"{folder}{name}")) == found
