"""See whether the system lets the app speak without TLS."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.defaults import (
    CLEARTEXT,
    CLEARTEXT_FLAG,
    NETWORK_CONFIG,
    PlatformDefault,
    Where,
    levels_of,
)
from watchword.scan.frameworks import PLATFORM_NETWORK
from watchword.scan.interface import Confidence, Finding, Location, Severity, Verdict
from watchword.scan.rule_kinds import AndroidRule, RuleContext, hosts_of

_MANIFEST: Final = Location(file="AndroidManifest.xml")


def _check(context: RuleContext) -> Iterator[Finding]:
    permits = list(_permitted(context))
    if context.offline and any(each.verdict is Verdict.EXPOSED for each in permits):
        title = "The app asks for no permission to use the network, so that it speaks no cleartext by itself."
        yield context.info("offline", title, at=(_MANIFEST,))
        return
    yield from permits
    if not permits:
        yield from _refused(context)


def _refused(context: RuleContext) -> Iterator[Finding]:
    """Yield where cleartext is refused, given that nothing permits it: on every phone, or on those that know how to."""
    levels = levels_of(context.app)
    holds = _holds_by(context)
    where = holds.before_on(levels)
    if context.offline or where is Where.NOWHERE:
        what = "The app is built so that cleartext is refused."
        yield context.clean("cleartext", what, confidence=Confidence.CERTAIN)
    elif where is Where.UNKNOWN:
        title = f"What refuses cleartext ({holds.setting}) depends on a version of Android that the manifest names and nobody knows."
        yield context.not_seen("cleartext", title)
    else:
        why = "by default" if holds is CLEARTEXT else f"for they don't know {holds.setting}"
        title = f"{holds.older} let the app speak cleartext {why}: minSdk is {levels.least}."
        yield context.exposed("older", title, Severity.LOW, at=(_MANIFEST,))
        # It protects nobody on the phones before, and so proves nothing.
        what = f"The app is built so that cleartext is refused from {holds.system} on."
        yield context.clean("cleartext", what, confidence=Confidence.POSSIBLE)


def _holds_by(context: RuleContext) -> PlatformDefault:
    """Return what refuses cleartext on all phones that know it: the last of these that an older phone doesn't know."""
    manifest, config = context.manifest, context.app.network
    if manifest.network_config is None or config is None:
        return CLEARTEXT if manifest.cleartext is None else CLEARTEXT_FLAG
    if config.base is None or config.base.cleartext is None:
        return CLEARTEXT
    # Phones that don't know the config heed the flag, those before that neither.
    return CLEARTEXT_FLAG if manifest.cleartext is False else NETWORK_CONFIG


def _permitted(context: RuleContext) -> Iterator[Finding]:
    manifest = context.manifest
    levels = levels_of(context.app)
    by_default = CLEARTEXT.before_on(levels) is Where.EVERYWHERE
    config = context.app.network
    if manifest.network_config is not None and config is None:
        yield context.not_seen("network-config", "The network security config couldn't be read.")
        return
    if config is None or manifest.network_config is None:
        if manifest.cleartext:
            title = "The manifest permits cleartext for every host."
            yield context.exposed("manifest", title, Severity.MEDIUM, at=(_MANIFEST,))
        elif manifest.cleartext is None and by_default:
            title = f"Cleartext is permitted by default: targetSdk is {levels.target}, below {CLEARTEXT.target}."
            yield context.exposed("default", title, Severity.MEDIUM, at=(_MANIFEST,))
        return
    at = (Location(file=config.file),)
    stated = config.base.cleartext if config.base is not None else None
    # The config takes the place of the manifest's flag (Android 7 and later).
    if stated or (stated is None and by_default):
        how = "permits" if stated else f"with targetSdk {levels.target} permits by default"
        title = f"The network security config {how} cleartext for every host that it doesn't name."
        yield context.exposed("base-config", title, Severity.MEDIUM, at=at)
    for domain in config.domains:
        if domain.cleartext:
            title = (
                f"The network security config permits cleartext for {hosts_of(domain, below=True)}."
            )
            yield context.exposed(hosts_of(domain), title, Severity.MEDIUM, at=at)


RULE = AndroidRule(
    id="cleartext-traffic",
    title="Cleartext traffic permitted",
    techniques=("MT-C03", "MT-C04", "MT-C07"),
    protections={"PR-C01": "scan:static.cleartext"},
    todo="Set android:usesCleartextTraffic to false, and permit no cleartext in the network security config. Where minSdk is "
    "below 24, raise it: older phones don't know both.",
    blind="It shows what is permitted, not what is used (see cleartext-urls). A library with sockets of its own isn't "
    "bound by it. An app that asks for no INTERNET permission may still get it by a shared user id.",
    parts=(Part.MANIFEST, Part.NETWORK_CONFIG),
    reads=PLATFORM_NETWORK,
    check=_check,
)
