"""Write docs/scan-measured.md: what the scan says of known apps, beside what was measured and documented of them.

Run ``python -m tests.unit.scan.real_apps.page`` where the apps lie beside the clone.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.unit.scan.real_apps.documented import DEVIATIONS, PAIRS, agrees
from tests.unit.scan.real_apps.known import (
    BY_FILE,
    INDEX,
    app_of,
    documented_facts,
    found,
    measured_facts,
    report_of,
)
from tests.unit.scan.real_apps.measured import seen

from watchword.scan.interface import Severity, Verdict

TARGET: Final = Path(__file__).resolve().parents[4] / "docs" / "scan-measured.md"
INTRODUCTION: Final = """\
# What the scan says of known apps

The scan is compared with known facts about {files} built apps:

- **{same} of {measured} measured facts** come out of our readers too.
- **{agreed} of {documented} documented facts** come out of our rules, or of our readers where no rule is about them.
- Every deviation is listed below, with its reason; a fact that isn't compared fails the test.

The apps are crackmes, apps that are vulnerable on purpose, pairs of a vulnerable and a fixed app, ordinary apps, and packages with odd
signatures or tampered archives. Other tools (apk-info, aapt2, apksigner) measured facts of manifest, config, signature and archive; the
authors documented some of the content. The apps aren't ours to publish. If you have them beside the clone, `tests/unit/scan/real_apps`
compares this page with them.

This page shows no key or token of an app, nor does the scan, unless `--reveal` asks for it.

## By app

*Measured* and *documented* count the facts that agree. *To act on* counts findings by severity: critical, high, medium, low.

| app | SHA-256 | measured | documented | to act on | root | debugger | hooks | emulator | own integrity |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
PAIRS_HEAD: Final = """\
## Pairs

In each pair, *benign* is the vulnerable app and *secure* the fixed one. The files `ghera-constkey-secure.apk` and
`ghera-ecb-secure.apk` are the same file (`{digest}...`).

| pair | rule | vulnerable | fixed |
| --- | --- | --- | --- |
"""
DEVIATIONS_HEAD: Final = """\
## Deviations

| app | fact | the scan | the index | reason |
| --- | --- | --- | --- | --- |
"""
_RULES: Final = ("root", "debugger", "hook", "emulator", "integrity")
_WORDS: Final = {
    Verdict.PROTECTED: "yes",
    Verdict.ABSENT: "no",
    Verdict.NOT_SEEN: "not seen",
}


def page() -> str:
    """Return the page."""
    measured, documented = Counter[str](), Counter[str]()
    same, agreed = Counter[str](), Counter[str]()
    for fact in measured_facts():
        measured[fact.file] += 1
        same[fact.file] += seen(fact) == fact.value
    for fact in documented_facts():
        documented[fact.file] += 1
        agreed[fact.file] += agrees(fact)
    introduction = INTRODUCTION.format(
        files=len(INDEX),
        same=same.total(),
        measured=measured.total(),
        agreed=agreed.total(),
        documented=documented.total(),
    )
    rows = [
        f"| {name} | `{BY_FILE[name]['sha256'][:12]}` | {same[name]} of {measured[name]} | {agreed[name]} of {documented[name]}"
        f" | {_counts(name)} | {' | '.join(_checks(name))} |"
        for name in sorted(BY_FILE, key=str.lower)
    ]
    return "\n".join([introduction + "\n".join(rows), "", *_pairs(), "", *_deviations(), ""])


def _counts(name: str) -> str:
    """Return how many findings are to act on, by severity, the worst first."""
    bad = {Verdict.EXPOSED, Verdict.ABSENT}
    found_ = Counter(each.severity for each in report_of(name).findings if each.verdict in bad)
    severities = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)
    return ", ".join(str(found_[each]) for each in severities)


def _checks(name: str) -> Iterator[str]:
    """Yield what the scan says of each kind of check; a dash where no rule looks for it on the platform."""
    for rule in _RULES:
        words = [word for verdict, word in _WORDS.items() if found(name, f"{rule}-checks", verdict)]
        yield words[0] if words else "-"


def _pairs() -> Iterator[str]:
    same = app_of("ghera-ecb-secure.apk").digest
    yield PAIRS_HEAD.format(digest=same[:12]).rstrip()
    for pair, told in PAIRS.items():
        verdicts = [
            "exposed"
            if found(f"ghera-{pair}-{which}.apk", told.rule, Verdict.EXPOSED)
            else "not exposed"
            for which in ("benign", "secure")
        ]
        yield f"| {pair} | [{told.rule}](scan-rules.md#{told.rule}) | {' | '.join(verdicts)} |"


def _deviations() -> Iterator[str]:
    yield DEVIATIONS_HEAD.rstrip()
    for (file, key), each in DEVIATIONS.items():
        yield f"| {file} | {key} | {each.ours} | {each.theirs} | {each.reason} |"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
