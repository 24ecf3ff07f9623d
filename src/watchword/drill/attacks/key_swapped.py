"""Keep a genuine enrolment from arriving and put keys of one's own into its statement."""

from typing import Literal

from watchword.drill.enrolment import exploited, send_enrolment
from watchword.drill.interface import Attack, AttackContext, Attempts, Need, Run, Variant
from watchword.drill.mutated_evidence import GENUINE, enrolment_body
from watchword.encoding import base64url, strict_json
from watchword.reasons import Reason
from watchword.vocabulary import Platform


def _swapped(platform: Platform, *members: Literal["proof_jwk", "seal_jwk"]) -> Run:
    def run(context: AttackContext) -> Attempts:
        caught = enrolment_body(context, context.phone(GENUINE[platform]))
        thief = context.phone(GENUINE[platform])
        thief.device.create_keys()
        own = {"proof_jwk": thief.device.proof_jwk, "seal_jwk": thief.device.seal_jwk}
        raw = base64url.decode(caught["statement"])
        said = strict_json.loads(raw, len(raw))
        statement = strict_json.dumps({**said, **{name: own[name] for name in members}})
        return [exploited(context, send_enrolment(context, thief, statement, caught["evidence"]))]

    return run


_EXPECTED = frozenset({Reason.ATTESTATION_BINDING})

ATTACK = Attack(
    id="key-swapped",
    title="Put one's own keys into a caught enrolment",
    techniques=("MT-C04", "MT-B03"),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.SERVICE, Need.PHONES),
    sends="A genuine enrolment that was caught on its way, with the attacker's proof key or seal key in the statement.",
    must="The service refuses it: the evidence is bound to the statement that the app made.",
    blind="It doesn't tell whether your app's connection can be intercepted.",
    variants=(
        Variant("android-seal-key", _swapped(Platform.ANDROID, "seal_jwk"), _EXPECTED),
        Variant("iphone-seal-key", _swapped(Platform.IOS, "seal_jwk"), _EXPECTED),
        Variant("iphone-both-keys", _swapped(Platform.IOS, "proof_jwk", "seal_jwk"), _EXPECTED),
    ),
)
