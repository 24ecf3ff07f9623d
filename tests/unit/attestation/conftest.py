"""Share the forged vendors: their keys are made once a session."""

import pytest
from tests.unit.attestation import forge


@pytest.fixture(scope="session")
def google() -> forge.Google:
    """Return a Google with factory-provisioned keys and a root that has expired."""
    return forge.google()


@pytest.fixture(scope="session")
def apple() -> forge.Apple:
    """Return an Apple."""
    return forge.apple()
