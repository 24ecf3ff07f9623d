"""See which identifiers of services the app carries that are made to be in apps, so that they're restricted instead of hidden."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from watchword.scan.app import App, Depth, Framework, Part
from watchword.scan.frameworks import STRINGS
from watchword.scan.interface import Confidence, Finding, Secret, Severity
from watchword.scan.rule_kinds import RuleContext
from watchword.scan.secrets.detection import detect
from watchword.scan.secrets.patterns import subject_of

_BILLED = frozenset({"gcp-api-key", "mapbox-public-token", "mapbox-api-token"})
"""Kinds that call services on their owner's bill where nobody restricted them."""


@dataclass(frozen=True, slots=True)
class PublicKeyByDesign:
    """Look for client keys of Google, Firebase, Mapbox, Stripe, Sentry, reCAPTCHA, Supabase and others."""

    id: str = "public-key-by-design"
    title: str = "Identifiers that are made to be in apps"
    techniques: tuple[str, ...] = ("MT-A02", "MT-B18")
    protections: Mapping[str, str] = field(default_factory=dict)
    todo: str = (
        "Restrict it in its owner's console: by package and SHA-1 of the signing certificate or by bundle id, and to the services that"
        " the app needs. Move what costs money or shows data behind the attested API."
    )
    blind: str = "It can't tell how an identifier is restricted: that is set at the service, which isn't asked."
    reads: Mapping[Framework, Depth] = field(default_factory=lambda: STRINGS)

    def run(self, app: App) -> Iterable[Finding]:
        """Yield a finding for each identifier."""
        context = RuleContext(self.id, app, (Part.DEX, Part.RESOURCES, Part.ASSETS), self.reads)
        for hit in detect(app):
            if not hit.public:
                continue
            severity = Severity.LOW if hit.kind in _BILLED else Severity.INFO
            title = f"Extractable identifier of the kind {hit.kind}: made to be in apps, safe only if it's restricted."
            confidence = Confidence.CERTAIN if hit.verified else Confidence.LIKELY
            told = context.info(
                subject_of(hit.kind, hit.secret),
                title,
                severity,
                at=hit.places,
                confidence=confidence,
            )
            yield replace(told, secret=Secret(hit.kind, hit.secret, hit.verified))


RULE = PublicKeyByDesign()
