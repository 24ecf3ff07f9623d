"""See which hosts the app names, and which of them outsiders weren't meant to know."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from watchword.scan.addresses import Reach, addresses_of, reach_of
from watchword.scan.app import App, Depth, Framework, Part
from watchword.scan.frameworks import STRINGS
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import RuleContext


@dataclass(frozen=True, slots=True)
class HostsAndUrls:
    """Look for URLs and bare hosts in code, resources and files."""

    id: str = "hosts-and-urls"
    title: str = "Hosts that the app names"
    techniques: tuple[str, ...] = ("MT-A01", "MT-A03")
    protections: Mapping[str, str] = field(default_factory=dict)
    todo: str = "Take test and internal hosts out of release builds. Check that each public host is meant for anybody."
    blind: str = (
        "It doesn't see hosts that are put together at run time or come from a server. It recognises internal ones "
        "by their names and numbers."
    )
    reads: Mapping[Framework, Depth] = field(default_factory=lambda: STRINGS)

    def run(self, app: App) -> Iterable[Finding]:
        """Yield a finding for each host that the app itself names."""
        context = RuleContext(
            self.id, app, (Part.DEX, Part.RESOURCES, Part.ASSETS, Part.BUNDLE), self.reads
        )
        hosts: dict[str, list[Location]] = {}
        for each in addresses_of(app):
            if each.own:
                hosts.setdefault(each.host, []).extend(each.places)
        for host, places in hosts.items():
            reach = reach_of(host)
            if reach is Reach.PRIVATE:
                yield context.exposed(
                    host,
                    f"The app names a host of an internal network or of tests: {host}.",
                    Severity.LOW,
                    at=places,
                    confidence=Confidence.LIKELY,
                )
            elif reach is Reach.PUBLIC:
                yield context.info(host, f"The app names {host}.", at=places)


RULE = HostsAndUrls()
