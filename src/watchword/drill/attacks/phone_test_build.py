"""Enrol and renew with builds of the app that aren't the released one: from TestFlight, by cable, from elsewhere."""

from watchword.drill.enrolment import exploited, renew
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Variant
from watchword.drill.mutated_evidence import enrolled, phone_variant
from watchword.reasons import Reason

_WAY = Reason.POLICY_DISTRIBUTION


def _update(context: AttackContext) -> Attempts:
    """Enrol with the released build, and renew after one for testers took its place."""
    held = enrolled(context, "testflight-update-iphone")
    return [exploited(context, renew(context, held))]


ATTACK = Attack(
    id="phone-test-build",
    title="Enrol with a build for testers",
    techniques=("MT-A22", "MT-B03"),
    protections={"PR-B02": "live:attest.verdict_mix"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine attestations of builds from TestFlight, from a developer's machine, from an enterprise, and from an "
    "unknown source. Then a renewal after TestFlight replaced the app.",
    must="The service refuses each source that the app doesn't list.",
    blind="Systems before OS 27 don't say how an app came onto the device.",
    variants=(
        phone_variant("testflight", "testflight-iphone", _WAY),
        phone_variant("developer-signed", "developer-signed-iphone", _WAY),
        phone_variant("enterprise", "enterprise-iphone", _WAY),
        phone_variant("nobody-knows", "odd-category-iphone", _WAY),
        Variant("testflight-at-renewal", _update, frozenset({_WAY})),
    ),
)
