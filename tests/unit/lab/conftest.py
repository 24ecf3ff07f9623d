"""Hand out a lab with fixed time and seed."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from watchword.lab import InstalledAndroidApp, InstalledIosApp, LabAuthorities, PhoneSetup


@dataclass(frozen=True)
class FixedClock:
    """Tell one time for ever."""

    at: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time."""
        return self.at

    def timestamp(self) -> float:
        """Return the time in seconds since 1970."""
        return self.at.timestamp()


@pytest.fixture(scope="session")
def authorities() -> LabAuthorities:
    """Return the authorities of one fixed seed."""
    return LabAuthorities.from_seed(bytes(range(32)))


@pytest.fixture
def setup(authorities: LabAuthorities) -> PhoneSetup:
    """Return what makes a phone that was never enrolled."""
    return PhoneSetup(authorities=authorities, clock=FixedClock(), name="phone")


@pytest.fixture
def ios_app() -> InstalledIosApp:
    """Return an iOS app."""
    return InstalledIosApp(team_id="ABCDE12345", bundle_id="com.example.clinic", version="7.2")


@pytest.fixture
def android_app() -> InstalledAndroidApp:
    """Return an Android app."""
    return InstalledAndroidApp(
        package="com.example.clinic", signing_digests=(bytes(range(32)),), version_code=120
    )
