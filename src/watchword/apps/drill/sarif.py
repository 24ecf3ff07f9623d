"""Write a drill as a SARIF 2.1.0 log (OASIS, 27 March 2020): a rule for each attack, a result for each variant that got through.

What was stopped is no result: a log lists what is wrong.  Section numbers are those of the standard.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any, Final

from watchword.apps.drill.words import api_of, needed, outcome
from watchword.apps.reports import sarif as sarif_parts
from watchword.apps.reports.sarif import message
from watchword.apps.reports.text import shown
from watchword.drill.interface import Attack
from watchword.drill.outcome import AttackResult, Report, VariantResult, Verdict

MARK: Final = '"name": "watchword drill"'
"""Stands near the start of every log as it is written to a file, by which an earlier one is known."""

PAGE: Final = "docs/attacks.md"
"""Where each attack has a section by its id."""

_LEVELS: Final[Mapping[Verdict, str]] = {
    Verdict.OPEN: "error",
    Verdict.ABSENT: "warning",
    Verdict.UNSURE: "warning",
}
_FINGERPRINT: Final = "watchwordDrill/v1"


def sarif(
    report: Report, *, file: PurePath | None = None, docs: str | None = None
) -> dict[str, Any]:
    """Return the report as a SARIF log with one run.

    :param file: the ``watchword.yaml`` that the deployment runs by, as a path relative to the repository; a viewer of
        code shows results beside it, and some show none without a file.
    :param docs: absolute URL of the page of attacks, if it is published: a help URI must be absolute (3.49.12).
    """
    run = {
        "tool": sarif_parts.driver(
            "watchword drill", [_rule(each.attack, docs) for each in report.results]
        ),
        "automationDetails": {"id": f"watchword-drill/{api_of(report)}/"},
        "invocations": [_invocation(report)],
        "columnKind": "unicodeCodePoints",
        "results": list(_results(report, file)),
        "properties": {
            "target": shown(report.target),
            "loopback": report.loopback,
            "environment": report.facts.environment.value,
            "requests": report.requests,
            "genuine": {"sent": report.genuine.sent, "served": report.genuine.served},
        },
    }
    return sarif_parts.log([run])


def _rule(attack: Attack, docs: str | None) -> dict[str, Any]:
    parts = (("Sends", attack.sends), ("Must", attack.must), ("Can't tell", attack.blind))
    page = f"{PAGE if docs is None else docs}#{attack.id}"
    rule = sarif_parts.rule(
        attack.id,
        (attack.title, attack.must),
        parts,
        page,
        techniques=attack.techniques,
        protections=attack.protections,
    )
    rule["defaultConfiguration"] = {"level": _LEVELS[Verdict.OPEN]}
    return rule if docs is None else {**rule, "helpUri": page}


def _results(report: Report, file: PurePath | None) -> Iterator[dict[str, Any]]:
    for index, result in enumerate(report.results):
        for variant in result.variants:
            if variant.verdict in _LEVELS:
                yield _result(report, index, result.attack, variant, file)


def _result(
    report: Report, index: int, attack: Attack, variant: VariantResult, file: PurePath | None
) -> dict[str, Any]:
    where = api_of(report)
    finger = hashlib.sha256(f"{attack.id}\n{variant.name}\n{where}".encode()).hexdigest()
    location: dict[str, Any] = {
        "logicalLocations": [
            {"name": where, "fullyQualifiedName": f"{where} {variant.name}", "kind": "resource"}
        ]
    }
    if file is not None:
        # The file as a whole is meant; viewers of code ask for a line all the same.
        location["physicalLocation"] = {
            "artifactLocation": {"uri": sarif_parts.uri(file)},
            "region": {"startLine": 1},
        }
    return {
        "ruleId": attack.id,
        "ruleIndex": index,
        "level": _LEVELS[variant.verdict],
        "message": {"text": message(f"{attack.title} ({variant.name}): {outcome(variant)}")},
        "locations": [location],
        **sarif_parts.fingerprints(_FINGERPRINT, finger),
        "properties": {
            "verdict": variant.verdict.value,
            "variant": variant.name,
            "got": shown(variant.got),
            "expected": shown(variant.expected),
            "reasons": [shown(each) for each in variant.reasons],
            "sent": variant.sent,
        },
    }


def _invocation(report: Report) -> dict[str, Any]:
    notes = [
        _note(index, each)
        for index, each in enumerate(report.results)
        if any(variant.verdict is Verdict.NOT_RUN for variant in each.variants)
    ]
    found: dict[str, Any] = {
        "executionSuccessful": not report.interrupted,
        "startTimeUtc": _time(report.started),
        "endTimeUtc": _time(report.started + timedelta(seconds=report.seconds)),
    }
    if report.interrupted:
        why = "The run was interrupted: what didn't run isn't in this log."
        found["exitSignalName"] = "SIGINT"
        notes.append({"level": "error", "message": {"text": why}})
    if notes:
        found["toolExecutionNotifications"] = notes
    return found


def _note(index: int, result: AttackResult) -> dict[str, Any]:
    """Return that an attack, or some of its variants, wasn't run, and for want of what."""
    missing = [each for each in result.variants if each.verdict is Verdict.NOT_RUN]
    whys = dict.fromkeys(shown(each.got) or needed(each.need) for each in missing)
    names = ", ".join(each.name for each in missing)
    return {
        "level": "note",
        "message": {"text": message(f"Not run: {result.attack.id} ({names}): {'; '.join(whys)}")},
        "associatedRule": {"id": result.attack.id, "index": index},
    }


def _time(moment: datetime) -> str:
    """Return a time as the standard writes it (3.9), in UTC."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"
