"""Show that a remembered verdict never outlives what it rests on, and that memory is bounded."""

from tests.unit.gate.simulators import CLAIMS

from watchword.gate.service import VerdictCache, verdict_of
from watchword.tokens.interface import VerifiedToken

VERDICT = verdict_of(VerifiedToken(CLAIMS, 100.0, 200.0), generation=7)


def test_what_the_api_is_told() -> None:
    """Instance, level and app of the verified token."""
    assert VERDICT.result_headers == (
        (b"watchword-instance", b"pairwise-subject-of-an-instance"),
        (b"watchword-level", b"hardware"),
        (b"watchword-app", b"clinic-ios"),
    )


def test_a_verdict_holds_in_its_span_and_generation() -> None:
    """Before, after, and under another state it isn't found."""
    cache = VerdictCache()
    cache.keep(b"t", VERDICT)
    assert cache.find(b"t", 7, 100.0) is VERDICT
    assert cache.find(b"t", 7, 199.9) is VERDICT
    assert cache.find(b"t", 7, 99.9) is None
    assert cache.find(b"t", 7, 200.0) is None
    assert cache.find(b"t", 8, 150.0) is None
    assert cache.find(b"u", 7, 150.0) is None


def test_memory_is_bounded_and_what_is_used_stays() -> None:
    """A thousand others push an unused verdict out, and never one that is in use."""
    cache = VerdictCache(capacity=20)
    cache.keep(b"used", VERDICT)
    cache.keep(b"unused", VERDICT)
    for number in range(1000):
        cache.keep(b"%d" % number, VERDICT)
        assert len(cache) <= 20
        assert cache.find(b"used", 7, 150.0) is VERDICT
    assert cache.find(b"unused", 7, 150.0) is None
