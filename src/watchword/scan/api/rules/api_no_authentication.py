"""See what anybody may read, signed in or not."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect, Kind, Operation
from watchword.scan.api.paths import changes_by_reading, is_public
from watchword.scan.api.rule import ApiRule, ApiRuleContext, named
from watchword.scan.interface import Confidence, Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    for each in context.operations:
        if not each.reads or not each.access.open or is_public(each) or changes_by_reading(each):
            continue
        private = [f for f in each.answered if f.kinds & {Kind.SECRET, Kind.PERSONAL}]
        severity = Severity.CRITICAL if private else Severity.HIGH
        what = f" and reads {named(private)}" if private else ""
        title = f"Anybody may call {each.name}{what}, without signing in."
        sure = _sure(context, each)
        yield context.exposed(each.name, title, severity, at=[each], confidence=sure)


def _sure(context: ApiRuleContext, operation: Operation) -> Confidence:
    if operation.access.stated:
        return Confidence.CERTAIN
    # Where nothing at all is asked for, or a refusal is told, the description may have left it out.
    left_out = operation.refuses or not context.description.secured
    return Confidence.POSSIBLE if left_out else Confidence.LIKELY


RULE = ApiRule(
    id="api-no-authentication",
    title="Reads without authentication",
    techniques=("MT-B04", "MT-B08"),
    protections={},
    todo="Ask for a user's session. If everybody may read it, set the finding aside with its reason (--suppress), and count "
    "the calls.",
    blind="It knows what the description says. A gateway may ask for more, and the API for less.",
    aspects=(Aspect.ACCESS, Aspect.ANSWERS),
    check=_check,
    nothing="By the description nothing can be read without signing in, except what everybody may know.",
)
