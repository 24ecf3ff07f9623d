"""Make scans for the tests of their views: one of everything, one of strangers' text, one of nothing."""

from datetime import UTC, date, datetime

from watchword.apps.scan.report import Scanned
from watchword.observations import State
from watchword.scan.app import Coverage, Disagreement, Gap, Part, Seen
from watchword.scan.baseline import Sorted, Suppression, sort
from watchword.scan.interface import Confidence, Finding, Location, Secret, Severity, Verdict
from watchword.scan.outcome import Package, Report, RuleFacts, Standing, fingerprint, ordered

AT = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SECRET = "s3cr3t-value-of-somebody-else"
PACKAGE = Package("shop.apk", "apk", "android", "0f" * 32, 3_000_000, "com.example.shop", "1.2", 3)


def rule(name: str) -> RuleFacts:
    """Return what a rule says of itself."""
    return RuleFacts(
        name, f"About {name}", ("MT-A02",), {"PR-B04": "scan:static.x"}, "Do it.", "The rest."
    )


def finding(
    verdict: Verdict,
    severity: Severity,
    subject: str,
    *,
    name: str = "secret-in-app",
    title: str = "A title.",
    secret: Secret | None = None,
) -> Finding:
    """Return a finding at one place."""
    at = (Location("classes.dex", "com.example.shop.Main", "run", 3),)
    return Finding(
        name, verdict, severity, Confidence.LIKELY, subject, title, at, "2 of 2 classes", secret
    )


def mixed() -> Scanned:
    """Return a scan with one of everything: verdicts, severities, a secret, what is set aside, what wasn't seen."""
    findings = ordered(
        [
            finding(
                Verdict.EXPOSED,
                Severity.CRITICAL,
                "github-pat:1",
                title="A token is there.",
                secret=Secret("github-pat", SECRET, verified=True),
            ),
            finding(Verdict.EXPOSED, Severity.HIGH, "known", title="The baseline knows it."),
            finding(Verdict.EXPOSED, Severity.MEDIUM, "answered", title="Ada answers for it."),
            finding(Verdict.ABSENT, Severity.LOW, "pinning", name="pinning", title="No pins."),
            finding(Verdict.NOT_SEEN, Severity.INFO, "webview", name="webview", title="Unread."),
            finding(
                Verdict.INFO, Severity.INFO, "okhttp3", name="third-party-sdks", title="OkHttp."
            ),
            finding(Verdict.INFO, Severity.LOW, "backup", name="pinning", title="No backup."),
            finding(Verdict.PROTECTED, Severity.INFO, "fine", name="debuggable", title="Isn't."),
        ]
    )
    api = (
        Finding(
            "api-plain-http",
            Verdict.EXPOSED,
            Severity.HIGH,
            Confidence.CERTAIN,
            "GET /v1/users",
            "Anybody reads it.",
            (Location(file="api.yaml", member="GET /v1/users"),),
        ),
    )
    names = sorted({each.rule for each in (*findings, *api)})
    report = Report(
        PACKAGE,
        findings,
        tuple(map(rule, names)),
        Coverage(
            (Seen(Part.DEX, 2_410, 2_412, "classes"),),
            (Gap(Part.DEX, "classes2.dex", "damaged"),),
        ),
        (
            Standing("PR-C03", "scan:static.pinning", State.ABSENT, "No pins.", ("pinning",)),
            Standing("PR-A06", "scan:static.debuggable", State.PROVEN, "Isn't.", ("debuggable",)),
            Standing("PR-A11", "scan:static.webview", None, "Unread.", ("webview",)),
        ),
        (Disagreement("classes.dex", "two sizes"),),
        api,
        0.8,
    )
    known = next(each for each in findings if each.subject == "known")
    suppressions = [
        Suppression("secret-in-app", "answered", "Ada", "It is a test key.", date(2027, 1, 1)),
        Suppression("pinning", "pinning", "Bob", "Later.", date(2026, 1, 1)),
        Suppression("pinning", "nothing", "Cleo", "Gone.", date(2027, 1, 1)),
    ]
    found = sort(report, {fingerprint(known): Severity.HIGH}, suppressions, AT.date())
    return Scanned(report, found)


def clean() -> Scanned:
    """Return a scan that saw all and found nothing."""
    report = Report(PACKAGE, (), (), Coverage((Seen(Part.DEX, 2, 2, "classes"),)))
    return Scanned(report, Sorted(()))


def strange(text: str) -> Scanned:
    """Return a scan in which everything that an app may choose is this text."""
    place = Location(text, text, text, 1)
    found = Finding(
        "secret-in-app",
        Verdict.EXPOSED,
        Severity.HIGH,
        Confidence.LIKELY,
        # As the service hands it on: of a form that can be written.
        text.encode("utf-8", "backslashreplace").decode(),
        text,
        (place,),
        text,
        Secret(text, text),
    )
    unseen = Finding("webview", Verdict.NOT_SEEN, Severity.INFO, Confidence.CERTAIN, "w", text)
    package = Package(text, "apk", "android", "0f" * 32, 1, text, text)
    standing = Standing("PR-B04", "scan:static.x", State.ABSENT, text, ("secret-in-app",))
    report = Report(
        package,
        (found, unseen),
        (rule("secret-in-app"), rule("webview")),
        Coverage((), (Gap(Part.DEX, text, text),)),
        (standing,),
        (Disagreement(text, text),),
    )
    return Scanned.bare(report)
