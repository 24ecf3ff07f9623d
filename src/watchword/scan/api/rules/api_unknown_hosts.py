"""Compare the hosts that an app names with those of the description."""

import re
from collections.abc import Iterator
from typing import Final

from watchword.encoding.phrases import counted
from watchword.scan.addresses import Reach, reach_of
from watchword.scan.api.description import Aspect, several, shown
from watchword.scan.api.rule import ApiRule, ApiRuleContext
from watchword.scan.interface import Confidence, Finding, Severity

_MAX_TOLD: Final = 200
_MAX_SHOWN: Final = 6
_SECOND: Final = several("co com org net gov ac edu or ne")
_NUMBER: Final = re.compile(r"[\d.]+|\[.*\]")


def _check(context: ApiRuleContext) -> Iterator[Finding]:
    if context.app_hosts is None:
        yield context.not_seen("app", "No app was given whose hosts could be compared.")
        return
    described = {
        each.host
        for each in context.description.servers
        if each.host and reach_of(each.host) is not Reach.LOOPBACK
    }
    if not described:
        title = "The description names no host, so the app's can't be compared with it."
        yield context.not_seen("hosts", title)
        return
    domains = {_domain(host) for host in described}
    unknown = sorted(context.app_hosts - described)
    near = [host for host in unknown if _domain(host) in domains]
    for host in near[:_MAX_TOLD]:
        title = f"The app names {shown(host)}, of the API's own domain; the description doesn't know it."
        subject = shown(host)
        yield context.exposed(subject, title, Severity.HIGH, confidence=Confidence.LIKELY)
    if len(near) > _MAX_TOLD:
        yield context.not_seen("more", f"{len(near) - _MAX_TOLD} more hosts aren't listed.")
    far = [host for host in unknown if _domain(host) not in domains]
    if far:
        yield context.info("others", f"{_some(far)} of other domains in the app, not described.")
    for host in sorted(described - context.app_hosts):
        title = f"The description names {host}, the app doesn't: it's for others, or left over."
        yield context.info(host, title, Severity.LOW)


def _domain(host: str) -> str:
    """Return the domain that somebody registered, as far as a name tells."""
    if _NUMBER.fullmatch(host):
        return host
    parts = host.split(".")
    keep = 3 if len(parts) > 2 and len(parts[-1]) == 2 and parts[-2] in _SECOND else 2
    return ".".join(parts[-keep:])


def _some(hosts: list[str]) -> str:
    more = ", ..." if len(hosts) > _MAX_SHOWN else ""
    return f"{counted(len(hosts), 'host')} ({', '.join(map(shown, hosts[:_MAX_SHOWN]))}{more})"


RULE = ApiRule(
    id="api-unknown-hosts",
    title="Hosts that the description doesn't know",
    techniques=("MT-B02", "MT-A03"),
    protections={"PR-B16": "scan:api.shadow_endpoints"},
    todo="Put every host that the app calls on the list, with its owner, and take test and old hosts out of the app.",
    blind="It doesn't see hosts that the app puts together or receives at run time. It takes a host's domain from its "
    "last labels.",
    aspects=(Aspect.SERVERS,),
    check=_check,
    nothing="Every host of the API's domains that the app names is described.",
)
