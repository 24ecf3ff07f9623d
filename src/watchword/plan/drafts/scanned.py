"""Draft assets from what `watchword scan --json` found in a build.

A scan sees what lies open, not what it is worth: it suggests assets only where a finding shows that there is something.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from watchword.plan.drafts import DRAFT_IMPACT, Draft, DraftAsset, counted, one_line
from watchword.plan.drafts.otm import listed, text_of
from watchword.plan.interface import AssetKind, Component, ModelFault, Trait

_EXPOSED: Final = "exposed"
"""The verdict of a finding that says that an attacker gets something."""

_MOST_TITLES: Final = 3


@dataclass(frozen=True, slots=True)
class _Suggestion:
    """Hold an asset that findings with one of these techniques suggest."""

    id: str
    kind: AssetKind
    techniques: frozenset[str]
    lives_in: frozenset[Component]
    traits: frozenset[Trait]
    because: str


_SUGGESTIONS: Final = (
    _Suggestion(
        "keys-in-the-app",
        AssetKind.USE_CASE,
        frozenset({"MT-A02", "MT-C07", "MT-B18"}),
        frozenset({Component.APP, Component.BACKEND}),
        frozenset({Trait.THIRD_PARTY_KEY}),
        "what whoever holds these keys can do, and who pays for it",
    ),
    _Suggestion(
        "data-on-the-phone",
        AssetKind.DATA,
        frozenset({"MT-A09", "MT-A10", "MT-A16", "MT-A23"}),
        frozenset({Component.APP}),
        frozenset({Trait.LIVE_DATA}),
        "what the app shows and stores of one user",
    ),
    _Suggestion(
        "data-on-the-wire",
        AssetKind.DATA,
        frozenset({"MT-C01", "MT-C03", "MT-C04"}),
        frozenset({Component.CHANNEL}),
        frozenset({Trait.LIVE_DATA}),
        "what app and API say to each other",
    ),
    _Suggestion(
        "records-behind-the-api",
        AssetKind.DATA,
        frozenset({"MT-C06", "MT-A03", "MT-B03"}),
        frozenset({Component.BACKEND}),
        frozenset({Trait.RECORDS}),
        "what the API hands out to whoever asks as the app does",
    ),
)


def is_scan(document: Any) -> bool:
    """Tell whether a document looks like one that `watchword scan --json` wrote."""
    tool = document.get("tool") if isinstance(document, dict) else None
    return isinstance(tool, dict) and isinstance(document.get("scans"), list)


def draft_from_scan(document: Any) -> tuple[Draft, list[ModelFault]]:
    """Draft from a document that was parsed already.

    :returns: the draft and no fault, or an empty draft and at least one; never raises on what a document holds.
    """
    if not is_scan(document):
        return Draft(), [ModelFault((), "another document", "what `watchword scan --json` prints")]
    scans = listed(document, "scans")
    assets = tuple(_assets(list(_findings(scans))))
    if not assets:
        expected = "at least one finding that shows what may be lost; begin from a template"
        return Draft(), [ModelFault(("scans",), "no such finding", expected)]
    names = ", ".join(filter(None, (text_of(each.get("package"), "file") for each in scans)))
    read = (counted(len(scans), "scanned build"),)
    return Draft(title=one_line(names), read=read, assets=assets), []


def _findings(scans: list[dict[str, Any]]) -> Iterator[tuple[frozenset[str], str]]:
    """Yield the techniques and the title of each finding that says that something lies open."""
    for scan in scans:
        rules: Mapping[str, frozenset[str]] = {
            text_of(rule, "id"): frozenset(
                each for each in rule.get("techniques") or () if isinstance(each, str)
            )
            for rule in listed(scan, "rules")
            if isinstance(rule.get("techniques"), list)
        }
        for finding in (*listed(scan, "findings"), *listed(scan, "api")):
            if text_of(finding, "verdict") == _EXPOSED and not finding.get("suppressed"):
                yield rules.get(text_of(finding, "rule"), frozenset()), text_of(finding, "title")


def _assets(findings: list[tuple[frozenset[str], str]]) -> Iterator[DraftAsset]:
    for each in _SUGGESTIONS:
        titles = dict.fromkeys(
            title for techniques, title in findings if techniques & each.techniques
        )
        if titles:
            yield DraftAsset(
                id=each.id,
                kind=each.kind,
                impact=DRAFT_IMPACT,
                because=f"TODO: {each.because}",
                lives_in=each.lives_in,
                traits=each.traits,
                notes=tuple(one_line(f"found: {title}") for title in list(titles)[:_MOST_TITLES]),
            )
