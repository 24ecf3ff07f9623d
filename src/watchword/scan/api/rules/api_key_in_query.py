"""See which keys and passwords travel in addresses, where logs, caches and histories keep them."""

from collections.abc import Iterator
from typing import Final

from watchword.encoding.phrases import counted
from watchword.scan.api.description import Aspect, Kind, Operation, Scheme, kinds_of, words_of
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Confidence, Finding, Severity

_UNSURE: Final = frozenset({"token", "otp", "passcode"})
"""What may be good for one use only, such as in a link by mail."""


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    by_scheme: dict[Scheme, list[Operation]] = {}
    for each in context.operations:
        for need in (need for needs in each.access.alternatives for need in needs):
            if need.scheme.place == "query":
                by_scheme.setdefault(need.scheme, []).append(each)
        for parameter in each.parameters:
            if parameter.place != "query" or Kind.SECRET not in kinds_of(parameter.name):
                continue
            once = words_of(parameter.name) in {(word,) for word in _UNSURE}
            title = f"{each.name} takes {parameter.name} in the address."
            yield context.exposed(
                f"{each.name} {parameter.name}",
                title,
                Severity.MEDIUM if once else Severity.HIGH,
                at=[each],
                confidence=Confidence.POSSIBLE if once else Confidence.LIKELY,
            )
    for scheme, operations in by_scheme.items():
        count = counted(len({each.name for each in operations}), "operation")
        title = f"{count} take the key {scheme.carrier} ({scheme.name}) in the address."
        yield context.exposed(scheme.name, title, Severity.HIGH, at=operations)


RULE = ApiRule(
    id="api-key-in-query",
    title="Keys in addresses",
    techniques=("MT-C07", "MT-A23", "MT-B03"),
    protections={},
    todo="Send keys, passwords and tokens in a header or the body: addresses are written to logs of phones, proxies and servers.",
    blind="It recognises a secret by its name.",
    aspects=(Aspect.ACCESS, Aspect.PARAMETERS),
    check=_check,
    nothing="By the description no key or password is sent in an address.",
)
