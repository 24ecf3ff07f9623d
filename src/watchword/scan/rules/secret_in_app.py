"""See which secrets anybody finds who searches the package."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from watchword.scan.app import App, Depth, Framework, Part
from watchword.scan.frameworks import STRINGS
from watchword.scan.interface import Confidence, Finding, Location, Secret, Severity, Verdict
from watchword.scan.rule_kinds import RuleContext
from watchword.scan.secrets.detection import MOST_HITS, Hit, detect
from watchword.scan.secrets.patterns import BY_LOOKS, severity_of, subject_of
from watchword.vocabulary import Platform

_PARTS = {
    Platform.ANDROID: (Part.DEX, Part.RESOURCES, Part.NATIVE, Part.ASSETS, Part.BUNDLE),
    Platform.IOS: (Part.PLIST, Part.NATIVE, Part.ASSETS, Part.BUNDLE),
}
_KEY_STORES = (".p12", ".pfx", ".jks", ".keystore", ".bks")


@dataclass(frozen=True, slots=True)
class SecretInApp:
    """Look for keys, tokens and passwords by their form, their structure and their name."""

    id: str = "secret-in-app"
    title: str = "Secrets in the package"
    techniques: tuple[str, ...] = ("MT-A02", "MT-B18")
    protections: Mapping[str, str] = field(
        default_factory=lambda: {"PR-B04": "scan:static.secret_found"}
    )
    todo: str = (
        "Revoke the secret: whoever has the app has it. Move the call that needs it behind your backend, or hand the secret out"
        " at run time to attested instances."
    )
    blind: str = (
        "It can't tell whether a secret still works: nobody is asked. Secrets that the app puts together or decrypts at run time"
        " aren't seen. In comments, and in texts that explain something, only secrets with a form of their own are told."
    )
    reads: Mapping[Framework, Depth] = field(default_factory=lambda: STRINGS)

    def run(self, app: App) -> Iterable[Finding]:
        """Yield a finding for each secret; without any, whether that says something."""
        context = RuleContext(self.id, app, _PARTS[app.platform], self.reads)
        count = 0
        hits = detect(app)
        for hit in hits:
            if not hit.public:
                count += 1
                yield _exposed(context, hit)
        if len(hits) >= MOST_HITS:
            yield context.not_seen(
                "more-secrets", f"Secrets beyond the first {MOST_HITS:,} aren't told."
            )
        yield from _key_stores(context)
        if app.platform is Platform.ANDROID and app.code is None:
            yield context.not_seen("secrets", "There is no code that could be read.")
        elif not count:
            yield context.clean("secrets", "No secret was found in the package.")


def _exposed(context: RuleContext, hit: Hit) -> Finding:
    # A name that holds the secret, or a part of it, would be damaged where the secret is taken out.
    told = hit.name and hit.name not in hit.secret and hit.secret not in hit.name
    named = f", under the name {hit.name}" if told else ""
    holds = "; its structure holds" if hit.verified else ""
    finding = context.exposed(
        subject_of(hit.kind, hit.secret),
        f"A secret of the kind {hit.kind} is in the package{named}{holds}.",
        severity_of(hit.kind, hit.secret),
        at=hit.places,
        confidence=_confidence(hit),
    )
    return replace(finding, secret=Secret(hit.kind, hit.secret, hit.verified))


def _confidence(hit: Hit) -> Confidence:
    if hit.verified:
        return Confidence.CERTAIN
    return Confidence.POSSIBLE if hit.kind in BY_LOOKS else Confidence.LIKELY


def _key_stores(context: RuleContext) -> Iterator[Finding]:
    """Tell of key stores as files: with a password in the code, as most have it, the key inside is anybody's."""
    for entry in context.app.entries:
        if entry.name.lower().endswith(_KEY_STORES) and not entry.name.startswith("META-INF/"):
            yield Finding(
                context.rule,
                Verdict.INFO,
                Severity.LOW,
                Confidence.POSSIBLE,
                f"key-store:{entry.name}",
                "A key store is in the package: if it holds a private key, its password is in the app too.",
                (Location(entry.name),),
                context.seen,
            )


RULE = SecretInApp()
