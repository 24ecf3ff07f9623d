"""Enrol and renew with builds of the app that aren't the released one: from TestFlight, by cable, from elsewhere."""

from watchword.drill.bent_evidence import enrolled, phone_variant
from watchword.drill.enrolment import exploited, renew
from watchword.drill.interface import Arena, Attack, Attempts, Need, Variant
from watchword.reasons import Reason

_WAY = Reason.POLICY_DISTRIBUTION


def _update(arena: Arena) -> Attempts:
    """Enrol with the released build, and renew after one for testers took its place."""
    held = enrolled(arena, "testflight-update-iphone")
    return [exploited(arena, renew(arena, held))]


ATTACK = Attack(
    id="phone-test-build",
    title="Enrol with a build for testers",
    techniques=("MT-A22", "MT-B03"),
    protections={"PR-B02": "live:attest.verdict_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine attestations of builds from TestFlight, from a developer's machine and from an enterprise, of a way that nobody knows, and a renewal after TestFlight replaced the app.",
    must="The service refuses each way that the app doesn't list.",
    blind="Systems before OS 27 don't say how an app came onto the device.",
    variants=(
        phone_variant("testflight", "testflight-iphone", _WAY),
        phone_variant("developer-signed", "developer-signed-iphone", _WAY),
        phone_variant("enterprise", "enterprise-iphone", _WAY),
        phone_variant("nobody-knows", "odd-category-iphone", _WAY),
        Variant("testflight-at-renewal", _update, frozenset({_WAY})),
    ),
)
