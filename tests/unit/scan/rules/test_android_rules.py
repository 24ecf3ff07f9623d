"""What all rules over Android apps have in common."""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scan.simulated import PACKAGE, Body, Call, Class, simulated, without

from watchword.scan import rules
from watchword.scan.app import App, Framework, FrameworkCode, Part, Signing, TextPart
from watchword.scan.interface import Verdict
from watchword.scan.rule_kinds import MAX_LOCATIONS, AndroidRule
from watchword.vocabulary import Platform

CATALOGUE = Path(__file__).parents[4] / "src" / "watchword" / "plan" / "catalogue"
GOOD = {Verdict.ABSENT, Verdict.PROTECTED}


def _rules() -> Iterator[tuple[str, AndroidRule]]:
    folder = Path(rules.__path__[0])
    for file in sorted(folder.glob("*.py")):
        rule = getattr(import_module(f"watchword.scan.rules.{file.stem}"), "RULE", None)
        if isinstance(rule, AndroidRule):
            yield file.stem, rule


RULES = dict(_rules())
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))


def _tables(kind: str) -> dict[str, dict[str, list[str]]]:
    tables: dict[str, dict[str, list[str]]] = {}
    for file in sorted((CATALOGUE / kind).glob("*.toml")):
        tables |= tomllib.loads(file.read_text(encoding="utf-8"))
    return tables


def _app() -> App:
    return replace(simulated(), signing=Signing(("v2",), ()))


@pytest.mark.parametrize(("name", "rule"), RULES.items(), ids=list(RULES))
def test_id_is_the_files(name: str, rule: AndroidRule) -> None:
    """A rule's id is its file's name with hyphens, and its texts say something."""
    assert rule.id == name.replace("_", "-")
    assert all(len(text) > 10 for text in (rule.title, rule.todo, rule.blind))


@each_rule
def test_names_of_the_catalogue(rule: AndroidRule) -> None:
    """Techniques, protections and keys of evidence are the catalogue's."""
    assert set(rule.techniques) <= _tables("techniques").keys()
    protections = _tables("protections")
    for protection, key in rule.protections.items():
        assert key in protections[protection]["evidence"]


@each_rule
def test_says_something_and_what_it_rests_on(rule: AndroidRule) -> None:
    """Of an app that was wholly read each rule says something, with what it saw, and never that it saw nothing."""
    found = list(rule.run(_app()))
    assert found
    assert all(each.seen and each.rule == rule.id for each in found)
    assert Verdict.NOT_SEEN not in {each.verdict for each in found}
    assert len({(each.subject, each.verdict) for each in found}) == len(found)


@each_rule
def test_gap_is_never_absence(rule: AndroidRule) -> None:
    """With a gap in any part that a rule needs, it neither misses nor praises what it didn't see."""
    for part in (*rule.parts, Part.ARCHIVE):
        found = list(rule.run(without(_app(), part)))
        assert not GOOD & {each.verdict for each in found}, part
        assert all("damaged" in each.seen for each in found)


@each_rule
def test_part_that_is_missing(rule: AndroidRule) -> None:
    """Without manifest, code and signature nothing is seen."""
    bare = replace(_app(), manifest=None, code=None, signing=None)
    found = list(rule.run(bare))
    assert {each.verdict for each in found} == {Verdict.NOT_SEEN}


@each_rule
def test_other_platform(rule: AndroidRule) -> None:
    """Of an app for iOS these rules say nothing."""
    assert not list(rule.run(replace(_app(), platform=Platform.IOS)))


_CALLED = (
    ("android.util.Log", "d"),
    ("android.content.pm.PackageManager", "getPackageInfo"),
    ("android.hardware.fingerprint.FingerprintManager", "authenticate"),
    ("android.view.Window", "addFlags"),
    ("android.webkit.SslErrorHandler", "proceed"),
    ("android.webkit.WebSettings", "setAllowFileAccess"),
    ("androidx.biometric.BiometricPrompt", "authenticate"),
    ("java.net.Socket", "<init>"),
    ("java.security.MessageDigest", "getInstance"),
    ("javax.crypto.Cipher", "getInstance"),
    ("javax.crypto.spec.IvParameterSpec", "<init>"),
    ("okhttp3.CertificatePinner$Builder", "add"),
    ("a.b.c", "run"),
)
_WORDS = (
    "",
    "AES",
    "MD5",
    "su",
    "/system/xbin/su",
    "frida",
    "AndroidKeyStore",
    "X-Signature",
    "\x00",
)
_CALLS = st.builds(
    lambda target, arguments, descriptor: Call(target[0], target[1], tuple(arguments), descriptor),
    st.sampled_from(_CALLED),
    st.lists(st.sampled_from((*_WORDS, None, 0, 1, -1, 2**31)), max_size=3),
    st.sampled_from(("()V", "(I)Z", "(Landroidx/biometric/BiometricPrompt$e;)V", "([[Lx/Y;J)V")),
)
_BODIES = st.builds(
    Body,
    st.sampled_from(("run", "verify", "checkServerTrusted", "<clinit>")),
    st.lists(_CALLS, max_size=4).map(tuple),
    st.lists(st.sampled_from(_WORDS), max_size=4).map(tuple),
    st.lists(st.sampled_from(("const/4", "return", "throw", "if-eqz", "new-array"))).map(tuple),
)
_CLASSES = st.builds(
    Class,
    st.sampled_from((PACKAGE + ".A", "a.b.c", "androidx.B", "B", "")),
    st.lists(_BODIES, max_size=3, unique_by=lambda body: body.name).map(tuple),
    st.just("java.lang.Object"),
    st.sampled_from(((), ("javax.net.ssl.X509TrustManager", "javax.net.ssl.HostnameVerifier"))),
)


@given(st.lists(_CLASSES, max_size=4, unique_by=lambda cls: cls.name))
def test_any_code(classes: list[Class]) -> None:
    """Whatever the code is like, each rule says something, the same again, and with a gap never that it's absent."""
    app = replace(simulated(*classes), signing=Signing(("v2",), ()))
    for rule in RULES.values():
        found = list(rule.run(app))
        assert found, rule.id
        assert found == list(rule.run(app))
        gaps = {each.verdict for each in rule.run(without(app, Part.DEX))}
        assert Verdict.ABSENT not in gaps, rule.id


def test_code_without_a_manifest_is_a_gap() -> None:
    """Without the app's name its own code may be taken for a library's: nothing is absent then."""
    for rule in RULES.values():
        found = {each.verdict for each in rule.run(replace(_app(), manifest=None))}
        if Part.DEX in rule.parts:
            assert not GOOD & found, rule.id


@pytest.mark.parametrize("framework", Framework)
def test_code_of_a_framework_is_a_gap(framework: Framework) -> None:
    """Where the app's code is in another form, what isn't in the DEX files isn't absent; a text that is no code changes nothing."""
    code = FrameworkCode(framework, "Another form", "a", ("assets/code",))
    app = replace(_app(), coverage=replace(_app().coverage, frameworks=(code,)))
    for rule in RULES.values():
        if Part.DEX in rule.parts and app.coverage.unread(rule.reads):
            found = {each.verdict for each in rule.run(app)}
            assert not GOOD & found, rule.id
    text = TextPart("assets/a.json", "asset", ("a",))
    (found_pins,) = RULES["pinning"].run(replace(_app(), texts=(text,)))
    assert found_pins.verdict is Verdict.ABSENT


def test_many_gaps_and_places() -> None:
    """Many gaps are counted, not listed; of many places the first are named."""
    app = _app()
    for number in range(5):
        app = without(app, Part.DEX, f"classes{number}.dex")
    (found,) = RULES["root_checks"].run(app)
    assert found.seen.endswith("and 2 more")
    log = Call("android.util.Log", "d")
    many = simulated(
        *(Class(f"{PACKAGE}.C{number:02}", (Body("run", (log,)),)) for number in range(30))
    )
    (found,) = RULES["logs"].run(many)
    assert "30 calls in 30 classes" in found.title
    assert len(found.locations) == MAX_LOCATIONS


def test_seen_counts_classes_and_files() -> None:
    """What was seen is told in classes and DEX files."""
    (found,) = RULES["root_checks"].run(_app())
    assert found.seen == "1 of 1 classes in 1 DEX file"
