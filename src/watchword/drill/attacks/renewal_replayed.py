"""Send a caught renewal once more, to get tokens out of it."""

from watchword.drill.enrolment import RENEW, again, enrol_genuine, exploited, renew
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.reasons import Reason
from watchword.vocabulary import Platform


def _replayed(platform: Platform) -> Run:
    def run(context: AttackContext) -> Attempts:
        held = enrol_genuine(context, platform)
        caught = renew(context, held)
        return [exploited(context, again(context, RENEW, caught.body, held.phone))]

    return run


ATTACK = Attack(
    id="renewal-replayed",
    title="Send a caught renewal again",
    techniques=("MT-C05",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.GENUINE),
    sends="A renewal of a genuine instance once more, with statement and evidence as they went out.",
    must="The service refuses it: its challenge was used.",
    blind="It doesn't tell how long a used challenge is remembered.",
    variants=(
        Variant("android", _replayed(Platform.ANDROID), frozenset({Reason.CHALLENGE_USED})),
        Variant("iphone", _replayed(Platform.IOS), frozenset({Reason.CHALLENGE_USED})),
    ),
)
