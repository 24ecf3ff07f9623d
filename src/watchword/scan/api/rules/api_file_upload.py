"""See which operations take files."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect, Kind
from watchword.scan.api.rule import ApiLook, ApiRule, of_kind
from watchword.scan.interface import Finding, Severity


def _see(look: ApiLook) -> Iterator[Finding]:
    for each in look.operations:
        if not of_kind(each.asked, Kind.FILE):
            continue
        if each.access.anonymous:
            title = f"{each.name} takes files from anybody."
            yield look.exposed(each.name, title, Severity.HIGH, at=[each])
        else:
            title = f"{each.name} takes files from whoever is signed in."
            yield look.told(each.name, title, Severity.LOW, at=[each])


RULE = ApiRule(
    id="api-file-upload",
    title="Files from callers",
    techniques=("MT-B11",),
    protections={},
    todo="Ask for a session, cap the size and the count, and look at a file's content, not at its name, away from the API's process.",
    blind="Caps and checks of files aren't in a description.",
    aspects=(Aspect.ACCESS, Aspect.REQUESTS),
    see=_see,
    nothing="By the description nobody sends files without signing in.",
)
