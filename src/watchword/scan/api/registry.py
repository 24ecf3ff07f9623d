"""List the rules over descriptions of APIs, and look at a description with all of them."""

from collections.abc import Mapping
from typing import Any, Final

from watchword.scan.api.reader import read
from watchword.scan.api.rule import ApiRule
from watchword.scan.api.rules import (
    api_admin_without_scope,
    api_deprecated,
    api_enumerable_ids,
    api_excessive_properties,
    api_file_upload,
    api_key_in_query,
    api_key_only,
    api_no_authentication,
    api_no_authentication_on_write,
    api_old_versions,
    api_plain_http,
    api_unknown_hosts,
    api_unknown_paths,
    api_unlimited_guessing,
    api_url_parameters,
    api_weak_authentication,
)
from watchword.scan.interface import Finding

RULES: Final[tuple[ApiRule, ...]] = (
    api_no_authentication.RULE,
    api_no_authentication_on_write.RULE,
    api_admin_without_scope.RULE,
    api_enumerable_ids.RULE,
    api_excessive_properties.RULE,
    api_unlimited_guessing.RULE,
    api_key_only.RULE,
    api_key_in_query.RULE,
    api_weak_authentication.RULE,
    api_url_parameters.RULE,
    api_file_upload.RULE,
    api_plain_http.RULE,
    api_old_versions.RULE,
    api_deprecated.RULE,
    api_unknown_hosts.RULE,
    api_unknown_paths.RULE,
)


_NOWHERE: Final = (0, "", "")


def look_at(
    document: Mapping[str, Any],
    name: str,
    app_hosts: frozenset[str] | None = None,
    app_paths: frozenset[str] | None = None,
) -> tuple[Finding, ...]:
    """Return what an attacker reads out of a description of an API.

    What concerns the whole API comes first; then operation by operation, the worst first, and within one by severity.
    The order depends on nothing but the findings.

    :param document: parsed, plain values; not an OpenAPI 3.0 to 3.2 or Swagger 2 document gives ``not-seen`` of every rule.
    :param name: of its file; it stands in each finding's location, beside ``GET /v1/users/{id}`` as its member.
    :param app_hosts: the hosts that the app names, None if there is no app; ports and case don't matter.
    :param app_paths: the paths of APIs that the app names, likewise.
    :returns: at least one finding of each rule; never raises on what plain values a document holds.
    """
    description = read(document, name)
    hosts = None if app_hosts is None else frozenset(filter(None, map(_host, app_hosts)))
    found = [f for rule in RULES for f in rule.run(description, hosts, app_paths)]
    worst: dict[str, int] = {}
    for each in found:
        if operation := _operation(each):
            worst[operation] = max(worst.get(operation, 0), each.severity.rank)
    order = {rule.id: index for index, rule in enumerate(RULES)}

    def key(finding: Finding) -> tuple[object, ...]:
        operation = _operation(finding)
        group = (-worst[operation], *_by_path(operation)) if operation else _NOWHERE
        return (
            bool(operation),
            group,
            -finding.severity.rank,
            order[finding.rule],
            finding.subject,
        )

    return tuple(sorted(found, key=key))


def _operation(finding: Finding) -> str:
    """Return the one operation that a finding is about; empty if it's about several or the whole."""
    members = [each.member for each in finding.locations]
    return members[0] if len(members) == 1 else ""


def _by_path(operation: str) -> tuple[str, str]:
    method, _, path = operation.partition(" ")
    return path, method


def _host(given: str) -> str:
    host = given.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")
