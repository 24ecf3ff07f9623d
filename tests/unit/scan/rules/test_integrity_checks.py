"""Tests of the rule on the app's checks of itself."""

import pytest
from tests.unit.scan.simulated import MAIN, PACKAGE, Body, Call, Class, running, simulated, verdicts

from watchword.scan.interface import Confidence, Verdict
from watchword.scan.rules.integrity_checks import RULE

PACKAGES = "android.content.pm.PackageManager"
ABSENT = {"integrity": Verdict.ABSENT}
OWN_NAME = Call("android.content.Context", "getPackageName")
SIGNED = {f"signature:{MAIN}.run": Verdict.PROTECTED}


def _info(flags: int | None) -> Call:
    return Call(PACKAGES, "getPackageInfo", (None, flags))


@pytest.mark.parametrize("flags", [0x40, 0x8000000, 0x41])
def test_signature(flags: int) -> None:
    """Who asks for signing certificates reads a signature; of its own name more surely."""
    (found,) = RULE.run(running(OWN_NAME, _info(flags)))
    assert {found.subject: found.verdict} == SIGNED
    assert found.confidence is Confidence.LIKELY
    (found,) = RULE.run(running(_info(flags)))
    assert found.confidence is Confidence.POSSIBLE


@pytest.mark.parametrize("flags", [0, 1, 0x80, None])
def test_other_questions(flags: int | None) -> None:
    """Who asks for a version doesn't."""
    assert verdicts(RULE, running(OWN_NAME, _info(flags))) == ABSENT


def test_installer_is_told() -> None:
    """Who installed the app is told, and no check of it."""
    app = running(Call(PACKAGES, "getInstallerPackageName"))
    assert verdicts(RULE, app) == {"installer": Verdict.INFO, **ABSENT}


def test_libraries() -> None:
    """Libraries read certificates of others; renamed they can't be told from the app, unless they know a digest."""
    assert verdicts(RULE, running(_info(0x40), by="androidx.core.A")) == ABSENT
    assert verdicts(RULE, running(_info(0x40), by="a.b.c")) == {"integrity": Verdict.NOT_SEEN}
    knows = running(OWN_NAME, _info(0x40), by="a.b.c", strings=("0a" * 32,))
    assert verdicts(RULE, knows) == {"signature:a.b.c.run": Verdict.PROTECTED}


def test_sums() -> None:
    """Sums of files of code count, in the class that names them; sums of anything else don't."""
    crc = Call("java.util.zip.ZipEntry", "getCrc")
    one = running(crc, strings=("classes.dex",))
    assert verdicts(RULE, one) == {f"sums:{MAIN}.run": Verdict.PROTECTED}
    assert verdicts(RULE, running(crc)) == ABSENT
    apart = simulated(
        Class(MAIN, (Body("sum", (crc,)), Body("names", strings=("lib/arm64-v8a/libx.so",))))
    )
    assert verdicts(RULE, apart) == {f"sums:{MAIN}.sum": Verdict.PROTECTED}
    elsewhere = simulated(
        Class(MAIN, (Body("sum", (crc,)),)),
        Class(f"{PACKAGE}.N", (Body("names", strings=("classes.dex",)),)),
    )
    assert verdicts(RULE, elsewhere) == ABSENT
