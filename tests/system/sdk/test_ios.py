"""Run the iOS SDK's own tests, which are written in Swift, in both language modes, and hold its sources to their form."""

import subprocess
from collections import Counter
from collections.abc import Callable

import pytest
from scripts.sdk import ROOT, ios
from tests.machine import patience
from tests.system.sdk.conftest import Outcomes, Runs

TESTS = ios.declared()
"""Each Swift test, as its source has it."""


@pytest.fixture
def outcomes(
    swift_outcomes: Runs,
) -> Callable[[ios.Way], Outcomes]:
    """Return how each test ended in a way to build the package."""
    return lambda way: swift_outcomes(
        f"sdk-ios-{way.name}", lambda: ios.run(way, seconds=patience(600))
    )


@pytest.mark.parametrize("test", TESTS)
def test_swift(test: str, outcomes: Callable[[ios.Way], Outcomes]) -> None:
    """Each Swift test passes, compiled as Swift 5 without a warning."""
    status, message = outcomes(ios.SWIFT_5).get(test, ("not run", "the run doesn't name it"))
    if status != "passed":
        pytest.fail(f"{status}: {message}", pytrace=False)


def test_no_swift_test_is_left_out(outcomes: Callable[[ios.Way], Outcomes]) -> None:
    """What ran is what the sources have, and no two tests share a name."""
    assert [test for test, count in Counter(TESTS).items() if count > 1] == []
    assert sorted(outcomes(ios.SWIFT_5)) == sorted(TESTS)


def test_swift_6_compiles_and_no_thread_races(outcomes: Callable[[ios.Way], Outcomes]) -> None:
    """In the language mode of Swift 6 nothing is warned of, all tests pass, and the thread sanitizer sees no race."""
    found = outcomes(ios.SWIFT_6)
    assert sorted(found) == sorted(TESTS)
    failed = [
        f"{test}: {message}" for test, (status, message) in found.items() if status != "passed"
    ]
    assert failed == []
    # Without its calls in the program the sanitizer would be silent whatever happened.
    program = (ios.OUT / ios.SWIFT_6.name / "debug" / ios.TESTS).read_bytes()
    assert b"__tsan_write8" in program


def test_sources_have_the_usual_form() -> None:
    """By swift-format's rules; ``swift format -i -r sdk/ios`` mends most of it."""
    files = sorted(
        str(file.relative_to(ROOT))
        for file in (ROOT / "sdk").rglob("*.swift")
        if not {"node_modules", ".build"} & set(file.parts)
    )
    assert files
    done = subprocess.run(
        ["swift", "format", "lint", "--strict", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
    )
    assert done.returncode == 0, done.stderr
