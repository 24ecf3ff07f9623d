"""See what anybody may change, signed in or not."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect, Operation
from watchword.scan.api.paths import ANY, changes_by_reading, for_staff, signs_in
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Confidence, Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    for each in context.operations:
        by_reading = changes_by_reading(each)
        if not (each.writes or by_reading) or not each.access.open or signs_in(each):
            continue
        # One object of many, whichever its caller names, or all of them.
        wide = by_reading or for_staff(each) or (ANY in each.segments and each.method != "POST")
        severity = Severity.CRITICAL if wide else Severity.HIGH
        how = "; by its name it changes something, though it's called by GET" if by_reading else ""
        title = f"Anybody may call {each.name}, without signing in{how}."
        yield context.exposed(
            each.name,
            title,
            severity,
            at=[each],
            confidence=_sure(context, each, by_reading=by_reading),
        )


def _sure(context: ApiRuleContext, operation: Operation, *, by_reading: bool) -> Confidence:
    if operation.access.stated and not by_reading:
        return Confidence.CERTAIN
    left_out = operation.refuses or not context.description.secured
    return Confidence.POSSIBLE if left_out else Confidence.LIKELY


RULE = ApiRule(
    id="api-no-authentication-on-write",
    title="Changes without authentication",
    techniques=("MT-B03", "MT-B07", "MT-B09"),
    protections={"PR-B08": "scan:api.bfla_test"},
    todo="Ask for a user's session on every change, and change nothing by GET.",
    blind="It knows what the description says. Signing in and signing up are left out: see api-unlimited-guessing.",
    aspects=(Aspect.ACCESS,),
    check=_check,
    nothing="By the description nothing can be changed without signing in, except by signing up.",
)
