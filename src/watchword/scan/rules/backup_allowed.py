"""See whether the app's data leaves the phone in backups."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_parts import AndroidRule, Look

_AT: Final = (Location(file="AndroidManifest.xml"),)


def _see(look: Look) -> Iterator[Finding]:
    manifest = look.manifest
    if manifest.allow_backup is False:
        yield look.clean("backup", "Backups are off.", confidence=Confidence.CERTAIN)
    elif manifest.backup_rules is not None:
        yield look.told(
            "backup",
            f"Backups are on, by the rules in {manifest.backup_rules}: see that tokens are excluded.",
            Severity.LOW,
            at=_AT,
        )
    else:
        how = "stated" if manifest.allow_backup else "the system's default"
        yield look.exposed(
            "backup",
            f"Backups are on ({how}) and nothing is excluded: the app's files leave the phone with them.",
            Severity.MEDIUM,
            at=_AT,
        )


RULE = AndroidRule(
    id="backup-allowed",
    title="Backups of the app's data",
    techniques=("MT-A23",),
    protections={"PR-A13": "scan:static.allow_backup"},
    todo="Set android:allowBackup to false, or exclude tokens and keys by backup rules (dataExtractionRules from Android 12).",
    blind="It doesn't read the rules, and doesn't see an app's own export; from Android 12 a move to a new phone copies files in "
    "spite of the flag.",
    parts=(Part.MANIFEST,),
    reads=NO_CODE,
    see=_see,
)
