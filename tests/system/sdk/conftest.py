"""Build the iOS SDK once for all that need it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from scripts.sdk import SdkError, ios
from scripts.sdk.android import Outcome
from tests.conftest import Once

Outcomes = dict[str, tuple[str, str]]
"""How each Swift test ended, by its name, and what it said."""
Runs = Callable[[str, Callable[[], Sequence[Outcome]]], Outcomes]
"""Runs a package's Swift tests, by the run's name."""


@pytest.fixture(scope="session")
def swift_modules(once: Once) -> Path:
    """Return the directory with the compiled iOS SDK."""

    def told() -> str:
        try:
            return str(ios.built(ios.SWIFT_5))
        except SdkError as error:
            return f"! {error}"

    place = once("sdk-ios-built", told)
    if place.startswith("!"):
        pytest.fail(place, pytrace=False)
    return Path(place)


@pytest.fixture(scope="session")
def swift_outcomes(once: Once) -> Runs:
    """Return how to run a package's Swift tests, named, once: whichever test needs it first."""

    def outcomes(name: str, run: Callable[[], Sequence[Outcome]]) -> Outcomes:
        def told() -> str:
            try:
                found = run()
            except SdkError as error:
                return json.dumps(str(error))
            return json.dumps({each.test: (each.status, each.message) for each in found})

        found = json.loads(once(name, told))
        if isinstance(found, str):
            pytest.fail(found, pytrace=False)
        assert isinstance(found, dict)
        return {test: (status, message) for test, (status, message) in found.items()}

    return outcomes
