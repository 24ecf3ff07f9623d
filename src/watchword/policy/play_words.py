"""Know the words of Google's Play Integrity verdicts, and how a rule that wants one refuses.

Source: developer.android.com, "Integrity verdicts".  Words that Google adds later are no words of a rule here
until they stand in this file, and never let anything pass by themselves.
"""

from collections.abc import Iterable
from typing import Final

from watchword.policy.interface import Finding
from watchword.reasons import Reason, Refusal

PLAY_RECOGNIZED: Final = "PLAY_RECOGNIZED"
UNRECOGNIZED_VERSION: Final = "UNRECOGNIZED_VERSION"
APP_RECOGNITION: Final = (PLAY_RECOGNIZED, UNRECOGNIZED_VERSION, "UNEVALUATED")

MEETS_DEVICE_INTEGRITY: Final = "MEETS_DEVICE_INTEGRITY"
MEETS_STRONG_INTEGRITY: Final = "MEETS_STRONG_INTEGRITY"
DEVICE_LABELS: Final = (
    "MEETS_BASIC_INTEGRITY",
    MEETS_DEVICE_INTEGRITY,
    MEETS_STRONG_INTEGRITY,
    "MEETS_VIRTUAL_INTEGRITY",
)

LICENSED: Final = "LICENSED"
LICENSING: Final = (LICENSED, "UNLICENSED", "UNEVALUATED")

ACTIVITY: Final = ("LEVEL_1", "LEVEL_2", "LEVEL_3", "LEVEL_4")
"""By how many tokens the device asked for in the last hour, from few to very many."""

CAPTURING_UNKNOWN: Final = frozenset({"UNKNOWN_CAPTURING", "UNKNOWN_CONTROLLING"})
APP_ACCESS: Final = (
    "KNOWN_INSTALLED",
    "KNOWN_CAPTURING",
    "KNOWN_CONTROLLING",
    "KNOWN_OVERLAYS",
    "UNKNOWN_INSTALLED",
    "UNKNOWN_CAPTURING",
    "UNKNOWN_CONTROLLING",
    "UNKNOWN_OVERLAYS",
)

PROTECTED: Final = frozenset({"NO_ISSUES", "NO_DATA"})
PLAY_PROTECT: Final = (
    "NO_ISSUES",
    "NO_DATA",
    "POSSIBLE_RISK",
    "MEDIUM_RISK",
    "HIGH_RISK",
    "UNEVALUATED",
)

RECALL_BITS: Final = ("bitFirst", "bitSecond", "bitThird")


def listed(words: Iterable[str], known: Iterable[str]) -> str:
    """Return words for a detail; one that isn't known may be a stranger's own text and is only counted."""
    said, known = set(words), set(known)
    strange = len(said - known)
    told = sorted(said & known) + ([f"{strange} unknown"] if strange else [])
    return ", ".join(told) or "none"


def without_verdicts(reason: Reason) -> Finding:
    """Return what a rule on Google's verdicts says of evidence that holds none at all.

    It refuses even where the single verdict may be missing, since this is another kind of evidence.
    """
    return Finding((Refusal(reason, "got no verdicts of Google's"),), foreign=True)


def without_verdict(reason: Reason, name: str, *, when_stated: bool) -> Finding:
    """Return what a rule says where Google gave other verdicts, but not the one it is about."""
    if when_stated:
        return Finding(unchecked=(name,))
    return Finding(
        (Refusal(reason, "Google gave no such verdict; turn it on in the Play Console"),)
    )
