"""See which operations are meant to go, and are there still."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    for each in context.operations:
        if each.deprecated:
            severity = Severity.HIGH if each.access.anonymous else Severity.LOW
            title = f"{each.name} is deprecated and still described."
            yield context.exposed(each.name, title, severity, at=[each])


RULE = ApiRule(
    id="api-deprecated",
    title="Deprecated operations",
    techniques=("MT-B02",),
    protections={"PR-B16": "scan:api.shadow_endpoints"},
    todo="Set a date at which it ends, watch who still calls it, and refuse it after.",
    blind="It doesn't try whether the API still answers.",
    aspects=(Aspect.ACCESS,),
    check=_check,
    nothing="No operation is marked as deprecated.",
)
