"""Write a drill as a JSON document: everything that its report holds, in plain types and in a fixed order."""

from datetime import datetime
from typing import Any, Final

from watchword import __version__
from watchword.apps.reports.text import shown
from watchword.drill.interface import Facts
from watchword.drill.outcome import AttackResult, Finding, Report, VariantResult, Verdict
from watchword.observations import SeenRoute

VERSION: Final = 1
"""Form of the document; another number is another form, a new member isn't."""

MARK: Final = '"kind": "watchword-drill"'
"""Stands in every document as it is written to a file, by which an earlier one is known."""


def document(report: Report) -> dict[str, Any]:
    """Return the report as JSON.

    Text that the deployment under attack may have had a hand in is made printable, and cut where it is very long.
    """
    return {
        "v": VERSION,
        "kind": "watchword-drill",
        "tool": {"name": "watchword", "version": __version__},
        "target": shown(report.target),
        "loopback": report.loopback,
        "facts": _facts(report.facts),
        "started": _time(report.started),
        "seconds": round(report.seconds, 3),
        "requests": report.requests,
        "interrupted": report.interrupted,
        "changed": report.changed,
        "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
        "controls": [
            {"sample": shown(each.sample), "served": each.served, "got": shown(each.got)}
            for each in report.controls
        ],
        "genuine": {
            "sent": report.genuine.sent,
            "served": report.genuine.served,
            "faults": [shown(each) for each in report.genuine.faults],
            "missing": shown(report.genuine.missing),
        },
        "attacks": [_attack(each) for each in report.results],
        "findings": [_finding(each) for each in report.findings],
    }


def _facts(facts: Facts) -> dict[str, Any]:
    return {
        "api": facts.api,
        "issuer": facts.issuer,
        "audience": facts.audience,
        "audiences": {app: sorted(facts.audiences[app]) for app in sorted(facts.audiences)},
        "environment": facts.environment.value,
        "token_lifetime": facts.token_lifetime,
        "leeway": facts.leeway,
        "off": list(facts.off),
        "unasked": [shown(each) for each in facts.unasked],
        "weak_routes": [shown(each) for each in facts.weak],
        "rate": None
        if facts.rate is None
        else {"requests": facts.rate[0], "seconds": facts.rate[1]},
        "binding_header": facts.binding_header,
    }


def _attack(result: AttackResult) -> dict[str, Any]:
    attack = result.attack
    return {
        "id": attack.id,
        "title": attack.title,
        "verdict": result.verdict.value,
        "techniques": list(attack.techniques),
        "protections": dict(sorted(attack.protections.items())),
        "needs": [each.value for each in attack.needs],
        "exploits": attack.exploits,
        "stopped": result.stopped,
        "ran": result.ran,
        "seconds": round(result.seconds, 3),
        "counted": result.counted,
        "variants": [_variant(each) for each in result.variants],
    }


def _variant(variant: VariantResult) -> dict[str, Any]:
    return {
        "name": variant.name,
        "verdict": variant.verdict.value,
        "got": shown(variant.got),
        "expected": shown(variant.expected),
        "reasons": [shown(each) for each in variant.reasons],
        "need": None if variant.need is None else variant.need.value,
        "sent": variant.sent,
        "routes": [
            {**_route(route), "verdict": verdict.value}
            for route, verdict in variant.routes.items()
            if route is not None
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "protection": finding.protection,
        "key": finding.key,
        "state": None if finding.state is None else finding.state.value,
        "why": finding.why,
        "routes": [_route(each) for each in finding.routes],
        "strengths": {
            technique: f"{stopped}/{ran}"
            for technique, (stopped, ran) in sorted(finding.strengths.items())
        },
    }


def _route(route: SeenRoute) -> dict[str, str]:
    return {"path": route.path, "method": route.method, "proof": route.proof.value}


def _time(moment: datetime) -> str:
    return moment.isoformat()
