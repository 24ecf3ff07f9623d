"""Share the forged vendors of the unit tests: their keys are made once a session."""

from tests.unit.attestation.conftest import apple, google

__all__ = ["apple", "google"]
