"""See whether another app may lay its activity into the app's task, so that it is taken for the app."""

from collections.abc import Iterator

from watchword.scan.app import Part
from watchword.scan.defaults import TASKS, Where, levels_of
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext


def _check(context: RuleContext) -> Iterator[Finding]:
    levels = levels_of(context.app)
    where = TASKS.before_on(levels)
    if where is Where.EVERYWHERE:
        title = f"Another app may lay a false screen into the app's task (StrandHogg): targetSdk is {levels.target}, below {TASKS.target}."
        at = (Location(file="AndroidManifest.xml"),)
        yield context.exposed("tasks", title, Severity.LOW, at=at, confidence=Confidence.LIKELY)
    elif where is Where.UNKNOWN:
        title = "Whether another app may lay a screen into the app's task depends on a version of Android that nobody knows."
        yield context.not_seen("tasks", title)
    else:
        title = f"The app targets a version of Android that keeps others out of its task ({levels.target})."
        yield context.info("tasks", title)


RULE = AndroidRule(
    id="task-hijacking",
    title="False screens in the app's task",
    techniques=("MT-A14",),
    protections={},
    todo="Target Android 9 (targetSdk 28) or later.",
    blind="It sees which version is targeted, not which task an activity asks for. It knows nothing of holes in later "
    "versions of Android.",
    parts=(Part.MANIFEST,),
    reads=NO_CODE,
    check=_check,
)
