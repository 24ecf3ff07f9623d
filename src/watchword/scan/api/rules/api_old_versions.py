"""See which operations are there in several versions: the older one tends to check less."""

from collections.abc import Iterator

from watchword.scan.api.description import Aspect, Operation
from watchword.scan.api.paths import version_of, version_order
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Confidence, Finding, Severity


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    families: dict[tuple[str, ...], dict[str, list[Operation]]] = {}
    for each in context.operations:
        found = version_of(each.segments)
        if found is not None:
            version, family = found
            families.setdefault(family, {}).setdefault(version, []).append(each)
    for family, versions in sorted(families.items()):
        if len(versions) < 2:
            continue
        order = sorted(versions, key=lambda version: (version_order(version), version))
        older = [each for version in order[:-1] for each in versions[version]]
        path = "/" + "/".join(family)
        title = f"{path} is served as {', '.join(order)} side by side."
        yield context.exposed(path, title, Severity.HIGH, at=older, confidence=Confidence.LIKELY)
    bases = {server.base for server in context.description.servers}
    stems: dict[tuple[str, ...], set[str]] = {}
    for base in bases:
        versioned = version_of(base)
        if versioned is not None:
            stems.setdefault(versioned[1], set()).add(versioned[0])
    for stem, names in sorted(stems.items()):
        if len(names) > 1:
            path = "/" + "/".join(stem)
            shown = ", ".join(sorted(names, key=lambda name: (version_order(name), name)))
            title = f"The whole API is served as {shown} side by side, at {path}."
            yield context.exposed(
                f"servers {path}", title, Severity.HIGH, confidence=Confidence.LIKELY
            )


RULE = ApiRule(
    id="api-old-versions",
    title="Several versions side by side",
    techniques=("MT-B02",),
    protections={"PR-B16": "scan:api.shadow_endpoints"},
    todo="Give each old version an end date, hold it to the same checks until then, and refuse it after.",
    blind="It sees versions in paths and servers, not those in headers or missing from the description.",
    aspects=(Aspect.SERVERS,),
    check=_check,
    nothing="No operation is described in several versions.",
)
