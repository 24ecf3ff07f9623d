"""Declare what every engine that runs the shared parts does unlike the Python gate, for the list of each of them."""

from typing import Final

from watchword.engines.interface import Difference, Divergence

NEW_REPLAY_TABLE: Final = Difference(
    "new-replay-table",
    Divergence.STRICTER,
    "takes proofs that were made before it started",
    "refuses proofs that are older than its table of used ones",
    "a table that was lost doesn't know what was used before",
)
