"""See which operations take files."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect, Kind
from watchword.scan.api.rule import ApiRule, ApiRuleContext, of_kind
from watchword.scan.interface import Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    for each in context.operations:
        if not of_kind(each.asked, Kind.FILE):
            continue
        if each.access.anonymous:
            title = f"{each.name} takes files from anybody."
            yield context.exposed(each.name, title, Severity.HIGH, at=[each])
        else:
            title = f"{each.name} takes files from whoever is signed in."
            yield context.info(each.name, title, Severity.LOW, at=[each])


RULE = ApiRule(
    id="api-file-upload",
    title="Files from callers",
    techniques=("MT-B11",),
    protections={},
    todo="Ask for a session, and cap the size and the count. Check a file by its content, not its name, outside of "
    "the API's process.",
    blind="A description doesn't show caps and checks of files.",
    aspects=(Aspect.ACCESS, Aspect.REQUESTS),
    check=_check,
    nothing="By the description nobody sends files without signing in.",
)
