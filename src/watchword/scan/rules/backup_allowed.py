"""See whether the app's data leaves the phone in backups."""

from collections.abc import Iterator
from typing import Final

from watchword.scan.app import Part
from watchword.scan.defaults import BACKUP_RULES, BACKUP_TRANSFER, Levels, Where, levels_of
from watchword.scan.frameworks import NO_CODE
from watchword.scan.interface import Confidence, Finding, Location, Severity
from watchword.scan.rule_kinds import AndroidRule, RuleContext

_AT: Final = (Location(file="AndroidManifest.xml"),)


def _check(context: RuleContext) -> Iterator[Finding]:
    manifest, levels = context.manifest, levels_of(context.app)
    transfer = list(_transfer(context, levels))
    yield from transfer
    if manifest.allow_backup is False:
        # Where a move to a new phone copies the files all the same, no protection is proven by the flag.
        sure = Confidence.POSSIBLE if transfer else Confidence.CERTAIN
        yield context.clean("backup", "Backups are off.", confidence=sure)
        return
    stated = (manifest.data_extraction_rules, manifest.full_backup_content)
    rules = dict.fromkeys(each for each in stated if each is not None)
    if not rules:
        how = "stated" if manifest.allow_backup else "the system's default"
        yield context.exposed(
            "backup",
            f"Backups are on ({how}) and nothing is excluded: the app's files leave the phone with them.",
            Severity.MEDIUM,
            at=_AT,
        )
        return
    yield context.info(
        "backup",
        f"Backups are on, by the rules in {' and '.join(rules)}: see that tokens are excluded.",
        Severity.LOW,
        at=_AT,
    )
    if manifest.full_backup_content is None and BACKUP_RULES.before_on(levels) is not Where.NOWHERE:
        title = (
            f"{BACKUP_RULES.older} don't know android:dataExtractionRules, and nothing is excluded from their backups: "
            "android:fullBackupContent isn't stated."
        )
        yield context.exposed("older", title, Severity.LOW, at=_AT)


def _transfer(context: RuleContext, levels: Levels) -> Iterator[Finding]:
    """Yield what a move to a new phone takes along, which neither the flag nor the older rules keep from it."""
    if context.manifest.data_extraction_rules is not None:
        if context.manifest.allow_backup is False:
            title = (
                f"A move to a new phone copies files by the rules in {context.manifest.data_extraction_rules}: "
                "see that tokens are excluded from device-transfer."
            )
            yield context.info("transfer", title, Severity.LOW, at=_AT)
        return
    where = BACKUP_TRANSFER.before_on(levels)
    if where is Where.UNKNOWN:
        title = "What a move to a new phone copies depends on a version of Android that the manifest names and nobody knows."
        yield context.not_seen("transfer", title)
    elif where is not Where.EVERYWHERE and (
        context.manifest.allow_backup is False or context.manifest.full_backup_content is not None
    ):
        stated = (
            "android:allowBackup"
            if context.manifest.allow_backup is False
            else "android:fullBackupContent"
        )
        title = f"From {BACKUP_TRANSFER.system} on a move to a new phone copies the app's files in spite of {stated}: android:dataExtractionRules isn't stated."
        yield context.exposed("transfer", title, Severity.LOW, at=_AT)


RULE = AndroidRule(
    id="backup-allowed",
    title="Backups of the app's data",
    techniques=("MT-A23",),
    protections={"PR-A13": "scan:static.allow_backup"},
    todo="Set android:allowBackup to false, and exclude tokens and keys by android:dataExtractionRules. From Android "
    "12 on, only these rules apply to a move to a new phone. For older phones exclude them by "
    "android:fullBackupContent.",
    blind="It doesn't read the rules, and doesn't see an app's own export.",
    parts=(Part.MANIFEST,),
    reads=NO_CODE,
    check=_check,
)
