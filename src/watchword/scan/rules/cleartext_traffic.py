"""See whether the system lets the app speak without TLS."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.frameworks import PLATFORM_NETWORK
from watchword.scan.interface import Confidence, Finding, Location, Severity, Verdict
from watchword.scan.rule_parts import AndroidRule, Look, hosts_of

_REFUSES_FROM: Final = 28
"""The targetSdk from which the system refuses cleartext by itself (Android 9)."""

_MANIFEST: Final = Location(file="AndroidManifest.xml")


def _see(look: Look) -> Iterator[Finding]:
    permits = list(_permitted(look))
    if look.offline and any(each.verdict is Verdict.EXPOSED for each in permits):
        title = "The app asks for no permission to use the network, so that it speaks no cleartext by itself."
        yield look.told("offline", title, at=(_MANIFEST,))
        return
    yield from permits
    if not permits:
        what = f"The app is built so that cleartext is refused{_since(look)}."
        yield look.clean("cleartext", what, confidence=Confidence.CERTAIN)


def _since(look: Look) -> str:
    """Return from which Android on, where only the system's default refuses and older ones are let in too."""
    manifest, config = look.manifest, look.app.network
    stated = manifest.cleartext if config is None or config.base is None else config.base.cleartext
    if stated is not None or (manifest.min_sdk or 1) >= _REFUSES_FROM:
        return ""
    return f", by Android 9 and later (minSdk is {manifest.min_sdk or 1}; older ones permit what nobody states)"


def _permitted(look: Look) -> Iterator[Finding]:
    manifest = look.manifest
    target = manifest.target_sdk or manifest.min_sdk or 1
    by_default = target < _REFUSES_FROM
    config = look.app.network
    if manifest.network_config is not None and config is None:
        yield look.not_seen("network-config", "The network security config couldn't be read.")
        return
    if config is None or manifest.network_config is None:
        if manifest.cleartext:
            title = "The manifest permits cleartext for every host."
            yield look.exposed("manifest", title, Severity.MEDIUM, at=(_MANIFEST,))
        elif manifest.cleartext is None and by_default:
            title = (
                f"Cleartext is permitted by default: targetSdk is {target}, below {_REFUSES_FROM}."
            )
            yield look.exposed("default", title, Severity.MEDIUM, at=(_MANIFEST,))
        return
    at = (Location(file=config.file),)
    stated = config.base.cleartext if config.base is not None else None
    # The config takes the place of the manifest's flag (Android 7 and later).
    if stated or (stated is None and by_default):
        how = "permits" if stated else f"with targetSdk {target} permits by default"
        title = f"The network security config {how} cleartext for every host that it doesn't name."
        yield look.exposed("base-config", title, Severity.MEDIUM, at=at)
    for domain in config.domains:
        if domain.cleartext:
            title = (
                f"The network security config permits cleartext for {hosts_of(domain, below=True)}."
            )
            yield look.exposed(hosts_of(domain), title, Severity.MEDIUM, at=at)


RULE = AndroidRule(
    id="cleartext-traffic",
    title="Cleartext traffic permitted",
    techniques=("MT-C03", "MT-C04", "MT-C07"),
    protections={"PR-C01": "scan:static.cleartext"},
    todo="Set android:usesCleartextTraffic to false, and permit no cleartext in the network security config.",
    blind="It tells what is permitted, not what is spoken (see cleartext-urls). A library with sockets of its own asks nobody, and "
    "phones before Android 6 know no such flag. An app that asks for no INTERNET permission may still get it by a shared user id.",
    parts=(Part.MANIFEST, Part.NETWORK_CONFIG),
    reads=PLATFORM_NETWORK,
    see=_see,
)
