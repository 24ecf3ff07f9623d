"""Enrol with genuine phones on which an app runs that isn't the registered one."""

from watchword.drill.enrolment import enrol, exploited
from watchword.drill.interface import Attack, AttackContext, Attempts, MissingError, Need, Variant
from watchword.drill.mutated_evidence import GENUINE, environment_of, phone_variant
from watchword.reasons import Reason
from watchword.vocabulary import Platform


def _development(context: AttackContext) -> Attempts:
    """Enrol with a build for Apple's development environment, unless that is the registered one."""
    phone, registered = (
        context.phone("ios-26-development-iphone"),
        context.phone(GENUINE[Platform.IOS]),
    )
    own, expected = (
        environment_of(dict(each.device.attest(bytes(32)))) for each in (phone, registered)
    )
    if own == expected:
        raise MissingError(Need.PHONES, "the app is registered for the development environment")
    return [exploited(context, enrol(context, phone))]


ATTACK = Attack(
    id="phone-other-app",
    title="Enrol with another app",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="Genuine evidence of another developer's app, of an app that Android couldn't name, and of a development build.",
    must="The service refuses each: the evidence names another app than the registered one.",
    blind="It doesn't tell what else shares your signing certificate or your team.",
    variants=(
        phone_variant("android-copycat", "wrong-app-android", Reason.POLICY_APP_ID),
        phone_variant("android-unnamed", "unknown-app-android", Reason.POLICY_APP_ID),
        phone_variant("iphone-copycat", "wrong-app-iphone", Reason.POLICY_APP_ID),
        Variant("iphone-development", _development, frozenset({Reason.APP_ATTEST_ENVIRONMENT})),
    ),
)
