"""See which services of third parties the app calls by itself, past its own backend."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from watchword.scan.addresses import Address, addresses_of, in_native_code, service_of
from watchword.scan.app import App, Depth, Framework, Part
from watchword.scan.frameworks import STRINGS
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import RuleContext, starting

_WRITTEN: Final = "string/firebase_database_url"
_DATABASE: Final = "com.google.firebase.database."
"""Google's set-up tool writes the database's address into each app of a project; only this library asks there."""


@dataclass(frozen=True, slots=True)
class ThirdPartyHosts:
    """Look for APIs of third parties that want a key, named by the app's own code."""

    id: str = "third-party-hosts"
    title: str = "Third parties that the app calls by itself"
    techniques: tuple[str, ...] = ("MT-A02", "MT-B18")
    protections: Mapping[str, str] = field(
        default_factory=lambda: {"PR-B06": "scan:static.third_party_hosts"}
    )
    todo: str = "Call the service from your own backend, which keeps the key, and let only attested instances ask for it."
    blind: str = (
        "It knows some dozens of services by their hosts. It doesn't report calls by a service's own SDK, which "
        "has its host inside. It can't tell whether a working key is in the package, or whether the service's rules "
        "let nobody else in."
    )
    reads: Mapping[Framework, Depth] = field(default_factory=lambda: STRINGS)

    def run(self, app: App) -> Iterable[Finding]:
        """Yield a finding for each service that is called; without any, whether that says something."""
        context = RuleContext(
            self.id, app, (Part.DEX, Part.RESOURCES, Part.ASSETS, Part.BUNDLE), self.reads
        )
        found: dict[str, tuple[str, list[Location]]] = {}
        named = False
        for each in addresses_of(app):
            named = named or each.own
            service = service_of(each.host) if each.called else None
            if each.own and service and _only_written(app, each):
                title = f"{each.host} stands where Google's set-up tool writes it; the library that asks there isn't in the app."
                yield context.info(each.host, title, at=each.places)
            elif each.own and service:
                found.setdefault(each.host, (service, []))[1].extend(each.places)
        for host, (service, places) in found.items():
            yield context.exposed(
                host,
                f"The app calls {service} by itself, at {host}: it has to carry what that asks for.",
                Severity.MEDIUM,
                at=places,
                confidence=Confidence.LIKELY,
            )
        native = sorted({each.host for each in in_native_code(app) if service_of(each.host)})
        if native:
            title = f"Native code names {native[0]}: whether the app calls it isn't known."
            yield context.not_seen("third-parties", title)
        elif not found and named:
            yield context.clean(
                "third-parties",
                "Of the services known here, the app calls none by itself, as far as names tell.",
                confidence=Confidence.POSSIBLE,
            )
        elif not found:
            title = "The app names no host at all, so it says nothing."
            # That is a gap only where something was missed.
            yield (
                context.info("third-parties", title)
                if context.whole
                else context.not_seen("third-parties", title)
            )


def _only_written(app: App, address: Address) -> bool:
    """Tell whether an address stands only where a tool wrote it, and nothing that asks there is in the app."""
    if {str(place) for place in address.places} != {_WRITTEN} or app.code is None:
        return False
    return not starting(app.code.classes, _DATABASE)


RULE = ThirdPartyHosts()
