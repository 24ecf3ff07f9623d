"""Test the rule on constants that serve as keys."""

from tests.unit.scan.simulated import Call, running, simulated, without

from watchword.scan.app import App, Part
from watchword.scan.interface import Severity, Verdict
from watchword.scan.rules.hard_coded_crypto_key import RULE

KEY = "Sixteen letters!"


def keyed(sink: str, *arguments: str | int | None) -> App:
    """Return an app that hands constants to a constructor."""
    return running(Call(sink, "<init>", arguments))


def test_a_constant_key_is_exposed_without_its_value() -> None:
    """The finding names the place and what takes the key, and holds the key only for who may see it."""
    (finding,) = RULE.run(keyed("javax.crypto.spec.SecretKeySpec", KEY, "AES"))
    assert (finding.verdict, finding.severity) == (Verdict.EXPOSED, Severity.HIGH)
    assert finding.secret is not None
    assert finding.secret.value == KEY
    assert KEY not in repr(finding)
    assert finding.locations[0].member == "run"


def test_a_constant_vector_is_less_and_leaves_the_rest_clean() -> None:
    """A constant vector is no key: it's low, and the verdict on keys stays."""
    vector, clean = RULE.run(keyed("javax.crypto.spec.IvParameterSpec", "\0" * 16))
    assert (vector.severity, clean.verdict) == (Severity.LOW, Verdict.PROTECTED)


def test_a_key_from_a_resource_is_told_by_its_place() -> None:
    """Without a value, the subject is the method."""
    app = running(
        Call("android.content.Context", "getString", (7,), "(I)Ljava/lang/String;"),
        Call("java.lang.String", "getBytes"),
        Call("javax.crypto.spec.SecretKeySpec", "<init>", (None, "AES")),
    )
    (finding,) = RULE.run(app)
    assert finding.subject == "crypto-key:com.example.shop.Main.run"
    assert finding.secret is None


def test_what_was_not_seen_is_not_clean() -> None:
    """Nothing found is a proof only if all code was read."""
    (clean,) = RULE.run(simulated())
    (unseen,) = RULE.run(without(simulated(), Part.DEX))
    (none,) = RULE.run(simulated(code=None))
    assert clean.verdict is Verdict.PROTECTED
    assert {unseen.verdict, none.verdict} == {Verdict.NOT_SEEN}
