"""See whether a debugger may be attached to an iOS build."""

from collections.abc import Iterator

from watchword.scan.app import Part
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Severity
from watchword.scan.ios.plists import is_set
from watchword.scan.rule_kinds import PlatformRule, RuleContext, ios_of


def _check(context: RuleContext) -> Iterator[Finding]:
    entitlements = ios_of(context).entitlements
    if entitlements is None:
        title = "The executable's entitlements couldn't be read, or it isn't signed."
        yield context.not_seen("get-task-allow", title)
    elif is_set(entitlements.get("get-task-allow")):
        title = "A debugger may be attached to the build (get-task-allow): its code is stepped through, without a jailbreak."
        yield context.exposed("get-task-allow", title, Severity.MEDIUM)
    else:
        title = "The build lets no debugger be attached."
        yield context.clean("get-task-allow", title, confidence=Confidence.CERTAIN)


RULE = PlatformRule(
    id="ios-debuggable",
    title="Debuggable build of iOS",
    techniques=("MT-A08", "MT-A10"),
    protections={"PR-A06": "scan:static.debuggable"},
    todo="Ship the build that is signed for distribution: it has no get-task-allow.",
    blind="Whoever signs the app again can grant it too. It doesn't tell whether the app would notice.",
    parts=(Part.ENTITLEMENTS,),
    reads=NO_CODE,
    check=_check,
)
