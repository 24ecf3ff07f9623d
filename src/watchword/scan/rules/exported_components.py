"""See which components of the app every other app on the phone may start, call or ask."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Component, Part
from watchword.scan.defaults import EXPORTED_BY_FILTER, PROVIDERS, Levels, Where, levels_of
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, short

_AT: Final = "AndroidManifest.xml"
_BROWSABLE: Final = "android.intent.category.BROWSABLE"


def _check(context: RuleContext) -> Iterator[Finding]:
    opened = older = False
    levels = levels_of(context.app)
    for component in context.manifest.components:
        if component.permission or component.shown:
            continue
        at = (Location(file=_AT, cls=component.name),)
        implied = _implied(component, levels)
        if implied is Where.UNKNOWN:
            opened = True
            title = f"Whether the {component.kind} {short(component.name)} is open depends on a version of Android that nobody knows."
            yield context.not_seen(component.name, title)
            continue
        if implied is Where.OLDER and context.own(component.name) and component.kind == "provider":
            older = True
            title = f"{PROVIDERS.older} let every app ask the provider {short(component.name)}: android:exported isn't stated."
            yield context.exposed(f"{component.name}:older", title, Severity.LOW, at=at)
            continue
        if not component.exported and implied is not Where.EVERYWHERE:
            continue
        if not context.own(component.name):
            title = f"A library's {component.kind} is open to every app: {short(component.name)}."
            yield context.info(component.name, title, Severity.LOW, at=at)
        elif _for_links(component):
            title = (
                f"The {component.kind} {short(component.name)} is open for links (see deep-links)."
            )
            yield context.info(component.name, title, Severity.LOW, at=at)
        else:
            opened = True
            yield context.exposed(component.name, _title(component), Severity.MEDIUM, at=at)
    if not opened:
        yield context.clean(
            "exported",
            "No component of the app's own is open to other apps without a permission, but its entrance and its links.",
            # What holds on newer phones only proves nothing.
            confidence=Confidence.POSSIBLE if older else Confidence.CERTAIN,
        )


def _implied(component: Component, levels: Levels) -> Where:
    """Return on which phones the system opens a component of which nothing is stated."""
    if component.stated or (component.kind != "provider" and not component.filters):
        return Where.NOWHERE
    default = PROVIDERS if component.kind == "provider" else EXPORTED_BY_FILTER
    return default.before_on(levels)


def _for_links(component: Component) -> bool:
    return component.kind.startswith("activity") and any(
        _BROWSABLE in each.categories for each in component.filters
    )


def _title(component: Component) -> str:
    does = {
        "provider": "answers every app that asks for its data",
        "receiver": "takes messages of every app",
        "service": "works for every app that calls",
    }.get(component.kind, "is started by every app that wants to")
    how = "" if component.stated else "; android:exported isn't stated, the system implies it"
    return f"The {component.kind} {short(component.name)} {does}{how}."


RULE = AndroidRule(
    id="exported-components",
    title="Components open to other apps",
    techniques=("MT-A19",),
    protections={"PR-A11": "scan:static.exported"},
    todo="State android:exported as false, or ask for a permission of protection level signature.",
    blind="It doesn't check a permission's level: one of level normal is granted to everybody. It doesn't see "
    "receivers that code registers.",
    parts=(Part.MANIFEST,),
    reads=NO_CODE,
    check=_check,
)
