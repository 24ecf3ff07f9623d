"""See whether phones would refuse to install the package, so that nobody runs what was scanned."""

from collections.abc import Iterator

from watchword.scan.app import Container, Part
from watchword.scan.defaults import (
    EXPORTED_BY_FILTER,
    RESOURCES,
    SIGNATURE_V2,
    V1_ALONE,
    Levels,
    PlatformDefault,
    Where,
    android_levels,
    levels_of,
)
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext, short

_TABLE = "resources.arsc"


def _check(context: RuleContext) -> Iterator[Finding]:
    if context.app.container is Container.AAB:
        yield context.info("bundle", "A bundle is never installed: the store makes packages of it.")
        return
    levels = levels_of(context.app)
    found = [*_signature(context, levels), *_table(context, levels), *_exported(context, levels)]
    yield from found
    if not found:
        title = "Nothing was seen for which a phone that the app is made for refuses to install it."
        yield context.info("installs", title)


def _refused(
    context: RuleContext, levels: Levels, default: PlatformDefault, subject: str, why: str
) -> Iterator[Finding]:
    """Yield that newer phones refuse the package for its targetSdk, or that this isn't known."""
    where = default.before_on(levels)
    if where is Where.UNKNOWN:
        title = f"Whether phones refuse it isn't known ({why}): the manifest names a version of Android that nobody knows."
        yield context.not_seen(subject, title)
    elif where is not Where.EVERYWHERE:
        title = f"{default.system} and later refuse to install it with targetSdk {levels.target}: {why}."
        yield _told(context, subject, title)


def _told(context: RuleContext, subject: str, title: str) -> Finding:
    at = (Location(file="AndroidManifest.xml"),)
    return context.info(subject, title, Severity.LOW, at=at, confidence=Confidence.CERTAIN)


def _signature(context: RuleContext, levels: Levels) -> Iterator[Finding]:
    signing = context.app.signing
    if signing is None or not signing.schemes:
        return  # What isn't signed at all is signing-scheme's finding.
    if set(signing.schemes) == {"v1"}:
        yield from _refused(context, levels, V1_ALONE, "v1-only", "it's signed by scheme v1 alone")
    stated = android_levels(context.manifest.min_sdk, context.manifest.target_sdk)
    if "v1" not in signing.schemes and SIGNATURE_V2.before_on(stated) is Where.OLDER:
        title = f"{SIGNATURE_V2.older} refuse to install it, though minSdk {stated.least} admits them: it isn't signed by scheme v1."
        yield _told(context, "no-v1", title)
    if signing.changed:
        title = f"{SIGNATURE_V2.system} and later refuse to install it: it was changed after it was signed."
        yield _told(context, "changed", title)


def _table(context: RuleContext, levels: Levels) -> Iterator[Finding]:
    for entry in context.app.entries:
        if entry.name == _TABLE and (entry.stored_at is None or entry.stored_at % 4):
            how = (
                "is compressed"
                if entry.stored_at is None
                else "doesn't start at a multiple of four bytes"
            )
            yield from _refused(context, levels, RESOURCES, "resources", f"{_TABLE} {how}")


def _exported(context: RuleContext, levels: Levels) -> Iterator[Finding]:
    for component in context.manifest.components:
        if component.filters and not component.stated and component.kind != "provider":
            why = f"the {component.kind} {short(component.name)} has an intent filter and no android:exported"
            yield from _refused(context, levels, EXPORTED_BY_FILTER, component.name, why)


RULE = AndroidRule(
    id="install-refused",
    title="Package that phones refuse to install",
    techniques=(),
    protections={},
    todo="Build, align and sign with the tools of the SDK whose version is targeted, and state android:exported.",
    blind="It knows some reasons of many. Nobody runs what a phone refuses to install, and a package that was changed "
    "by hand says little of the one in the store.",
    parts=(Part.MANIFEST, Part.SIGNING),
    reads=NO_CODE,
    optional=(Part.SIGNING,),
    check=_check,
)
