"""See whether the API, or what issues its tokens, is served without TLS."""

from collections.abc import Iterator

from watchword.scan.addresses import Reach, reach_of
from watchword.scan.api.description import Aspect
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Finding, Severity

_PLAIN = ("http", "ws")


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    servers = context.description.servers
    told = False
    for each in servers:
        if each.host and reach_of(each.host) is not Reach.LOOPBACK and each.scheme:
            told = True
            if each.scheme in _PLAIN:
                title = f"The API is served at {each.url}, without TLS."
                yield context.exposed(f"{each.scheme}://{each.host}", title, Severity.HIGH)
    for scheme in context.description.schemes:
        for url in scheme.urls:
            host = url[7:].partition("/")[0].partition(":")[0]
            if url.lower().startswith("http://") and reach_of(host) is not Reach.LOOPBACK:
                title = f"Tokens of {scheme.name} come from {url}, without TLS."
                yield context.exposed(f"{scheme.name}:{host}", title, Severity.HIGH)
    if not told:
        local = next((each.url for each in servers if each.host and each.scheme in _PLAIN), None)
        only = (
            f"only a developer's own machine is named ({local})" if local else "no server is named"
        )
        title = f"By which scheme the API is served isn't told: {only}."
        yield context.not_seen("servers", title)


RULE = ApiRule(
    id="api-plain-http",
    title="API without TLS",
    techniques=("MT-C03", "MT-C04", "MT-C07"),
    protections={},
    todo="Serve the API only by https, and take http:// out of the description, because clients are generated from it.",
    blind="It reads addresses. It doesn't try whether the server also answers without TLS.",
    aspects=(Aspect.SERVERS,),
    check=_check,
    nothing="All servers that the description names are reached by TLS.",
)
