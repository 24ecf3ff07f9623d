"""See whether the build is marked as one for tests."""

from collections.abc import Iterator

from watchword.scan.app import Part
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext


def _check(context: RuleContext) -> Iterator[Finding]:
    if context.manifest.test_only:
        yield context.exposed(
            "test-only",
            "The build is marked as one for tests only: what it holds wasn't made for the public.",
            Severity.LOW,
            at=(Location(file="AndroidManifest.xml"),),
        )
    else:
        yield context.clean(
            "test-only", "The build isn't marked as one for tests.", confidence=Confidence.CERTAIN
        )


RULE = AndroidRule(
    id="test-only",
    title="Build for tests only",
    techniques=("MT-A03",),
    protections={},
    todo="Ship what the release build makes, not what the development environment installs.",
    blind="A test build that isn't marked looks like any other.",
    parts=(Part.MANIFEST,),
    reads=NO_CODE,
    check=_check,
)
