"""Send a caught enrolment once more, to get tokens out of it."""

from watchword.drill.enrolment import ENROL, again, exploited
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_evidence import GENUINE, enrolled
from watchword.reasons import Reason
from watchword.vocabulary import Platform


def _replayed(platform: Platform) -> Run:
    def run(context: AttackContext) -> Attempts:
        held = enrolled(context, GENUINE[platform])
        return [exploited(context, again(context, ENROL, held.body, held.phone))]

    return run


_EXPECTED = frozenset({Reason.CHALLENGE_USED})

ATTACK = Attack(
    id="enrolment-replayed",
    title="Send a caught enrolment again",
    techniques=("MT-C05",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="An enrolment of a genuine phone once more, with statement and evidence as they went out.",
    must="The service refuses it: its challenge was used.",
    blind="It doesn't tell how long a used challenge is remembered.",
    variants=(
        Variant("android", _replayed(Platform.ANDROID), _EXPECTED),
        Variant("iphone", _replayed(Platform.IOS), _EXPECTED),
    ),
)
