"""Tests of the rules debuggable, test-only and backup-allowed."""

from dataclasses import replace

import pytest
from tests.unit.scan.simulated import manifest, simulated, verdicts

from watchword.scan.interface import Confidence, Verdict
from watchword.scan.rules.backup_allowed import RULE as BACKUP
from watchword.scan.rules.debuggable import RULE as DEBUGGABLE
from watchword.scan.rules.test_only import RULE as TEST_ONLY

EXPOSED, PROTECTED, TOLD = Verdict.EXPOSED, Verdict.PROTECTED, Verdict.INFO


@pytest.mark.parametrize(
    ("flag", "expected"), [(True, EXPOSED), (False, PROTECTED), (None, PROTECTED)]
)
def test_debuggable_and_test_only(flag: bool | None, expected: Verdict) -> None:
    """Only a flag that stands there counts: the system's default is off."""
    debuggable = simulated(manifest=replace(manifest(), debuggable=flag))
    assert verdicts(DEBUGGABLE, debuggable) == {"debuggable": expected}
    for_tests = simulated(manifest=replace(manifest(), test_only=flag))
    assert verdicts(TEST_ONLY, for_tests) == {"test-only": expected}


OLD, NEW = "res/xml/content.xml", "res/xml/extraction.xml"


@pytest.mark.parametrize(
    ("flag", "content", "extraction", "target", "least", "expected"),
    [
        # What a move to a new phone heeds changed with Android 12, for apps that target it.
        (False, None, None, 30, 21, {"backup": PROTECTED}),
        (False, None, None, 31, 21, {"backup": PROTECTED, "transfer": EXPOSED}),
        (False, None, NEW, 31, 21, {"backup": PROTECTED, "transfer": TOLD}),
        (False, OLD, None, 30, 21, {"backup": PROTECTED}),
        (True, None, None, 34, 31, {"backup": EXPOSED}),
        (None, None, None, 34, 31, {"backup": EXPOSED}),
        (None, OLD, None, 30, 21, {"backup": TOLD}),
        (None, OLD, None, 31, 21, {"backup": TOLD, "transfer": EXPOSED}),
        (True, OLD, NEW, 34, 21, {"backup": TOLD}),
        # Phones before Android 12 know nothing of the newer rules.
        (True, None, NEW, 34, 31, {"backup": TOLD}),
        (True, None, NEW, 34, 30, {"backup": TOLD, "older": EXPOSED}),
    ],
)
def test_backup(
    flag: bool | None,
    content: str | None,
    extraction: str | None,
    target: int,
    least: int,
    expected: dict[str, Verdict],
) -> None:
    """Backups are on unless they're switched off; which rules count depends on the phone and on what is targeted."""
    stated = replace(
        manifest(),
        allow_backup=flag,
        full_backup_content=content,
        data_extraction_rules=extraction,
        target_sdk=target,
        min_sdk=least,
    )
    assert verdicts(BACKUP, simulated(manifest=stated)) == expected


def test_backups_that_are_off_prove_nothing_where_a_move_copies_the_files() -> None:
    """The flag is certain where it binds a move to a new phone too, and only possible where it doesn't."""
    off = replace(manifest(), allow_backup=False)
    (old,) = BACKUP.run(simulated(manifest=replace(off, target_sdk=30)))
    assert (old.verdict, old.confidence) == (PROTECTED, Confidence.CERTAIN)
    new = list(BACKUP.run(simulated(manifest=replace(off, target_sdk=31))))
    assert [(each.verdict, each.confidence) for each in new if each.subject == "backup"] == [
        (PROTECTED, Confidence.POSSIBLE)
    ]
    unknown = simulated(manifest=replace(off, target_sdk=10_000))
    assert verdicts(BACKUP, unknown) == {"transfer": Verdict.NOT_SEEN, "backup": PROTECTED}
