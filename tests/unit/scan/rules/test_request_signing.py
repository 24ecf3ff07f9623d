"""Tests of the rule on signed requests."""

from dataclasses import replace

from tests.unit.scan.simulated import MAIN, Call, running, verdicts

from watchword.scan.interface import Confidence, Severity, Verdict
from watchword.scan.rules.request_signing import RULE

ABSENT = {"requests": Verdict.ABSENT}
HEADER = Call("okhttp3.Request$Builder", "addHeader")
MAC = Call("javax.crypto.Mac", "doFinal")


def test_standard() -> None:
    """The header of RFC 9421 tells of signed requests."""
    assert verdicts(RULE, running(strings=("Signature-Input",))) == {"rfc9421": Verdict.PROTECTED}


def test_own_header() -> None:
    """A header that is called a signature counts, more surely where the class computes one."""
    (found,) = RULE.run(running(HEADER, MAC, strings=("X-Signature",)))
    assert (found.verdict, found.subject) == (Verdict.PROTECTED, f"{MAIN}.run")
    assert found.confidence is Confidence.LIKELY
    (found,) = RULE.run(running(HEADER, strings=("X-Request-Hmac",)))
    assert found.confidence is Confidence.POSSIBLE


def test_others() -> None:
    """A signature that isn't sent, a header that isn't one and a word among others don't count."""
    assert verdicts(RULE, running(MAC, strings=("X-Signature",))) == ABSENT
    assert verdicts(RULE, running(HEADER, MAC, strings=("Authorization",))) == ABSENT
    assert verdicts(RULE, running(HEADER, strings=("your signature, please",))) == ABSENT


def test_app_without_the_network() -> None:
    """What sends nothing signs nothing: absent, and nothing to act on."""
    app = running()
    assert app.manifest is not None
    (found,) = RULE.run(replace(app, manifest=replace(app.manifest, permissions=())))
    assert (found.verdict, found.severity) == (Verdict.ABSENT, Severity.INFO)
