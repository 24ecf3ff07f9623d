"""Declare where Traefik that asks /authz isn't equal to the Python gate; it isn't run by the tests."""

from typing import Final

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
    Difference(
        "no-upgrade",
        _D.STRICTER,
        "lets a WebSocket through, and ends it when its instance is revoked",
        "takes Upgrade away",
        "nobody would end it",
    ),
)
