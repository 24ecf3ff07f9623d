"""Run the Swift tests of the React Native module: as Swift 6, without a warning, with the thread sanitizer."""

import subprocess
from collections.abc import Sequence

import pytest
from scripts.sdk import ios
from scripts.sdk.android import Outcome
from scripts.sdk.react_native import OUT, SOURCES
from tests.machine import patience
from tests.system.sdk.conftest import Runs

TESTS = ios.declared(SOURCES / "ios" / "Tests")
PROGRAM = "WatchwordReactNativePackageTests.xctest"


def _run() -> Sequence[Outcome]:
    place = ios.built(ios.SWIFT_6, out=OUT, package=SOURCES)
    return ios.run_tests(place / PROGRAM, seconds=patience(600))


@pytest.mark.parametrize("test", TESTS)
def test_swift(
    test: str,
    swift_outcomes: Runs,
) -> None:
    """Each Swift test passes."""
    status, message = swift_outcomes("sdk-react-native-ios", _run).get(
        test, ("not run", "the run doesn't name it")
    )
    if status != "passed":
        pytest.fail(f"{status}: {message}", pytrace=False)


def test_swift_has_the_usual_form() -> None:
    """By the formatter's rules, as the iOS SDK."""
    done = subprocess.run(
        ["swift", "format", "lint", "--strict", "-r", "Package.swift", "ios/Sources", "ios/Tests"],
        cwd=SOURCES,
        capture_output=True,
        text=True,
        check=False,
        env=ios.environment(),
        timeout=patience(120),
    )
    assert done.returncode == 0, done.stderr
