"""Judge how old an Android system's security patches are."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from watchword.attestation.claims import PatchLevels, UnverifiedClaims
from watchword.attestation.interface import AppRegistration
from watchword.policy.interface import Circumstances, Claim, Finding, parameter
from watchword.reasons import Reason, Refusal
from watchword.vocabulary import Platform

_MONTHS_AHEAD: Final = 1
"""Patches are published up to a month before the one they are named after; later ones are made up."""

_PARTS: Final = ("system", "vendor", "boot")


@dataclass(frozen=True, slots=True)
class PatchLevel:
    """Require security patches of at most so many months, and none from the future.

    Months are counted as the calendar has them: in March a patch of January is two months old.
    Without an age nothing but the future is looked at.  iOS states no patch level; some phones write 0 for a
    part that they don't know, which states nothing.
    """

    accounts_for: ClassVar[frozenset[Claim]] = frozenset({Claim.PATCH_LEVELS})

    system: int | None = parameter(
        "most months of age of osPatchLevel", default=None, least=0, most=120
    )
    vendor: int | None = parameter(
        "most months of age of vendorPatchLevel", default=None, least=0, most=120
    )
    boot: int | None = parameter(
        "most months of age of bootPatchLevel", default=None, least=0, most=120
    )

    def judge(
        self, claims: UnverifiedClaims, app: AppRegistration | None, circumstances: Circumstances
    ) -> Finding:
        """Compare each part's age with its limit."""
        if claims.platform is not Platform.ANDROID:
            return Finding()
        patches = claims.patches or PatchLevels()
        refusals = []
        for part in _PARTS:
            most: int | None = getattr(self, part)
            stated: int | None = getattr(patches, part) or None
            age = None if stated is None else _months_old(stated, circumstances.now)
            if age is None:
                if most is not None:
                    got = "none" if stated is None else "one that is no month"
                    detail = f"{part}: got {got}, expected at most {most} months"
                    refusals.append(Refusal(Reason.POLICY_PATCH_LEVEL, detail))
            elif most is not None and age > most:
                detail = f"{part}: got {stated}, {age} months old, expected at most {most}"
                refusals.append(Refusal(Reason.POLICY_PATCH_LEVEL, detail))
            elif age < -_MONTHS_AHEAD and (most is not None or part == "system"):
                # Phones misstate the other parts (Android 15); whoever relies on one sets its age.
                detail = f"{part}: got {stated}, expected at most {_MONTHS_AHEAD} month from now"
                refusals.append(Refusal(Reason.POLICY_PATCH_LEVEL, detail))
        return Finding(tuple(refusals))


def _months_old(stated: int, now: datetime) -> int | None:
    """Return the age in months of YYYYMM or YYYYMMDD, negative from the future; None for neither."""
    digits = str(stated)
    if len(digits) not in {6, 8} or not digits.isdecimal():
        return None
    year, month = int(digits[:4]), int(digits[4:6])
    if not 1 <= month <= 12 or (len(digits) == 8 and not 0 <= int(digits[6:]) <= 31):
        return None
    return (now.year - year) * 12 + now.month - month
