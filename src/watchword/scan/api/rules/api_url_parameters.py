"""See which operations take an address from their caller, which the backend may fetch."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect, Kind, is_url, kinds_of
from watchword.scan.api.rule import ApiRule, ApiRuleContext, named, of_kind
from watchword.scan.interface import Confidence, Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    for each in context.operations:
        names = [
            parameter.name
            for parameter in each.parameters
            if parameter.place in {"query", "path"} and not parameter.limited
            if parameter.types <= {"string"}
            if Kind.ADDRESS in kinds_of(parameter.name)
            or parameter.format in {"uri", "url"}
            or any(map(is_url, parameter.examples))
        ]
        fields = [f for f in of_kind(each.asked, Kind.ADDRESS) if not f.read_only]
        if each.calls_back:
            title = (
                f"{each.name} has the API call an address of its caller's: {each.calls_back[0]}."
            )
            yield context.exposed(f"{each.name} callback", title, Severity.HIGH, at=[each])
        elif names or (fields and not each.reads):
            what = ", ".join(filter(None, (", ".join(names[:6]), named(fields))))
            title = f"{each.name} takes an address from its caller: {what}."
            yield context.exposed(
                f"{each.name} address",
                title,
                Severity.HIGH,
                at=[each],
                confidence=Confidence.POSSIBLE,
            )


RULE = ApiRule(
    id="api-url-parameters",
    title="Addresses that callers choose",
    techniques=("MT-B16",),
    protections={},
    todo="Let the backend reach only listed hosts. Refuse internal addresses after resolving the name, at each "
    "redirect too.",
    blind="Whether the backend fetches the address or only keeps it can't be told from a description.",
    aspects=(Aspect.PARAMETERS, Aspect.REQUESTS),
    check=_check,
    nothing="By the description no operation takes an address from its caller.",
)
