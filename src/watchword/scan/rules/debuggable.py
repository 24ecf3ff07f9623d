"""See whether the build may be debugged by anybody."""

from collections.abc import Iterator

from watchword.scan.app import Part
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext


def _check(context: RuleContext) -> Iterator[Finding]:
    if context.manifest.debuggable:
        yield context.exposed(
            "debuggable",
            "The build is debuggable: with a cable its data is read and its code stepped through, without root.",
            Severity.MEDIUM,
            at=(Location(file="AndroidManifest.xml"),),
        )
    else:
        yield context.clean(
            "debuggable", "The build isn't debuggable.", confidence=Confidence.CERTAIN
        )


RULE = AndroidRule(
    id="debuggable",
    title="Debuggable build",
    techniques=("MT-A08", "MT-A10"),
    protections={"PR-A06": "scan:static.debuggable"},
    todo="Ship the release build: leave android:debuggable out, and let the build set it.",
    blind="Whoever changes the app can set the flag too; integrity-checks looks at whether the app would notice.",
    parts=(Part.MANIFEST,),
    reads=NO_CODE,
    check=_check,
)
