"""See which paths of APIs the app names: what a script would try first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from watchword.scan.addresses import path_places
from watchword.scan.app import App, Depth, Framework, Part
from watchword.scan.frameworks import STRINGS
from watchword.scan.interface import Confidence, Finding
from watchword.scan.rule_kinds import RuleContext


@dataclass(frozen=True, slots=True)
class ApiPaths:
    """Look for paths in URLs, in code and in annotations of HTTP clients."""

    id: str = "api-paths"
    title: str = "API paths that the app names"
    techniques: tuple[str, ...] = ("MT-A01", "MT-A03")
    protections: Mapping[str, str] = field(default_factory=dict)
    todo: str = "Put each path under a route of the gate, and into the API description."
    blind: str = (
        "It doesn't see paths that are put together at run time. Some paths that it reports are pages or file names, "
        "not an API's."
    )
    reads: Mapping[Framework, Depth] = field(default_factory=lambda: STRINGS)

    def run(self, app: App) -> Iterable[Finding]:
        """Yield a finding for each path."""
        context = RuleContext(
            self.id, app, (Part.DEX, Part.RESOURCES, Part.ASSETS, Part.BUNDLE), self.reads
        )
        for path, at in sorted(path_places(app).items()):
            yield context.info(
                path, f"The app names the path {path}.", at=at, confidence=Confidence.POSSIBLE
            )


RULE = ApiPaths()
