"""Tests of the rules debuggable, test-only and backup-allowed."""

from dataclasses import replace

import pytest
from tests.scan.simulated import manifest, simulated, verdicts

from watchword.scan.interface import Verdict
from watchword.scan.rules.backup_allowed import RULE as BACKUP
from watchword.scan.rules.debuggable import RULE as DEBUGGABLE
from watchword.scan.rules.test_only import RULE as TEST_ONLY

EXPOSED, PROTECTED, TOLD = Verdict.EXPOSED, Verdict.PROTECTED, Verdict.TOLD


@pytest.mark.parametrize(
    ("flag", "expected"), [(True, EXPOSED), (False, PROTECTED), (None, PROTECTED)]
)
def test_debuggable_and_test_only(flag: bool | None, expected: Verdict) -> None:
    """Only a flag that stands there counts: the system's default is off."""
    debuggable = simulated(manifest=replace(manifest(), debuggable=flag))
    assert verdicts(DEBUGGABLE, debuggable) == {"debuggable": expected}
    for_tests = simulated(manifest=replace(manifest(), test_only=flag))
    assert verdicts(TEST_ONLY, for_tests) == {"test-only": expected}


@pytest.mark.parametrize(
    ("flag", "rules", "expected"),
    [
        (True, None, EXPOSED),
        (None, None, EXPOSED),
        (False, None, PROTECTED),
        (True, "res/xml/backup.xml", TOLD),
        (None, "res/xml/backup.xml", TOLD),
        (False, "res/xml/backup.xml", PROTECTED),
    ],
)
def test_backup(flag: bool | None, rules: str | None, expected: Verdict) -> None:
    """Backups are on unless they're switched off; rules for them are told, since they aren't read."""
    app = simulated(manifest=replace(manifest(), allow_backup=flag, backup_rules=rules))
    assert verdicts(BACKUP, app) == {"backup": expected}
