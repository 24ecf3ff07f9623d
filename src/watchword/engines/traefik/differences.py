"""Declare where Traefik that asks /authz isn't equal to the Python gate; it isn't run by the tests."""

from typing import Final

from watchword.engines.forward_auth.differences import NO_UPGRADE
from watchword.engines.interface import Difference, Divergence

_D = Divergence

DIFFERENCES: Final = (
    Difference(
        "not-run",
        _D.STRICTER,
        "is held to the whole corpus",
        "isn't",
        "Traefik isn't started by the tests; its configuration follows its documentation",
    ),
    NO_UPGRADE,
)
