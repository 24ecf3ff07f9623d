"""Run the Swift tests of the React Native module: as Swift 6, without a warning, with the thread sanitizer."""

import json
import subprocess

import pytest
from scripts.sdk import SdkError, ios
from scripts.sdk.react_native import OUT, SOURCES
from tests.conftest import Once
from tests.machine import patience

TESTS = ios.declared(SOURCES / "ios" / "Tests")
PROGRAM = "WatchwordReactNativePackageTests.xctest"


def outcomes(once: Once) -> dict[str, tuple[str, str]]:
    """Return how each test ended: one build and one run, whichever test needs it first."""

    def told() -> str:
        try:
            place = ios.built(ios.SWIFT_6, out=OUT, package=SOURCES)
            found = ios.run_tests(place / PROGRAM, seconds=patience(600))
        except SdkError as error:
            return json.dumps(str(error))
        return json.dumps({each.test: (each.status, each.message) for each in found})

    found = json.loads(once("sdk-react-native-ios", told))
    if isinstance(found, str):
        pytest.fail(found, pytrace=False)
    assert isinstance(found, dict)
    return {test: (status, message) for test, (status, message) in found.items()}


@pytest.mark.parametrize("test", TESTS)
def test_swift(test: str, once: Once) -> None:
    """Each Swift test passes."""
    status, message = outcomes(once).get(test, ("not run", "the run doesn't name it"))
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
