"""See ways to sign in that give away more than they should: passwords in each call, tokens in redirects."""

from collections.abc import Iterator

from watchword.encoding.phrases import counted
from watchword.scan.api.description import Aspect, Operation, Scheme, SchemeKind
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    used: dict[Scheme, list[Operation]] = {}
    for each in context.operations:
        for need in (need for needs in each.access.alternatives for need in needs):
            used.setdefault(need.scheme, []).append(each)
    for scheme in dict.fromkeys((*used, *context.description.schemes)):
        operations = used.get(scheme, [])
        count = counted(len({each.name for each in operations}), "operation")
        for subject, title, severity in _weak(scheme):
            yield context.exposed(
                subject, f"{scheme.name} {title}; {count} ask for it.", severity, at=operations
            )


def _weak(scheme: Scheme) -> Iterator[tuple[str, str, Severity]]:
    if scheme.kind is SchemeKind.BASIC:
        yield scheme.name, "sends the password with each call, and never ends", Severity.HIGH
    if "implicit" in scheme.flows:
        title = "hands out tokens in a redirect, which another app may catch"
        yield f"{scheme.name} implicit", title, Severity.HIGH
    if "password" in scheme.flows:
        title = "lets the app take the user's password, which a script tries as well"
        yield f"{scheme.name} password", title, Severity.HIGH


RULE = ApiRule(
    id="api-weak-authentication",
    title="Weak ways to sign in",
    techniques=("MT-B05", "MT-B20", "MT-A18"),
    protections={},
    todo="Use OAuth's authorization code with PKCE (RFC 8252, RFC 9700), tokens that live for minutes, and proof of the key that a "
    "token is bound to.",
    blind="A description doesn't say how tokens are made and checked: their algorithm, how long they live, whether "
    "they can be revoked.",
    aspects=(Aspect.ACCESS,),
    check=_check,
    nothing="No scheme that is described sends passwords with each call or tokens in redirects.",
)
