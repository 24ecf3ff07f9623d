"""See what an API key alone is enough for: every copy of the app carries it."""

from collections.abc import Iterator

from watchword.encoding.phrases import counted
from watchword.scan.api.description import Aspect, Operation, Scheme, SchemeKind
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Confidence, Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    found: dict[Scheme, list[Operation]] = {}
    for each in context.operations:
        if not each.access.key_only:
            continue
        for needs in each.access.alternatives:
            if all(need.scheme.kind is SchemeKind.KEY for need in needs):
                found.setdefault(needs[0].scheme, []).append(each)
    for scheme, operations in found.items():
        names = {each.name for each in operations}
        count = counted(len(names), "operation")
        writes = len({each.name for each in operations if each.writes})
        some = f", {writes:,} of which change something" if writes else ""
        title = f"The key {scheme.carrier or scheme.name} alone is enough for {count}{some}."
        sure = Confidence.LIKELY if scheme.place == "parameter" else Confidence.CERTAIN
        yield context.exposed(scheme.name, title, Severity.HIGH, at=operations, confidence=sure)


RULE = ApiRule(
    id="api-key-only",
    title="Nothing but an API key",
    techniques=("MT-B03", "MT-A02"),
    protections={},
    todo="Ask for proof that the genuine app calls (attestation at the gate), and for a user's session if there is a "
    "user. A key that every copy of the app carries doesn't tell callers apart.",
    blind="It can't tell a key that the app carries from one that only servers have.",
    aspects=(Aspect.ACCESS,),
    check=_check,
    nothing="By the description an API key alone is enough for nothing.",
)
