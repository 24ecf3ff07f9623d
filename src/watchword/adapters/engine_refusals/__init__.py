"""Keep what engines refused, as their logs tell it: counts, and the latest of each reason."""

from watchword.adapters.engine_refusals.interface import EngineRefusal, KeptRefusal, Position
from watchword.adapters.engine_refusals.ledger import (
    KEPT_PER_REASON,
    EngineRefusals,
    PositionMovedError,
)

__all__ = [
    "KEPT_PER_REASON",
    "EngineRefusal",
    "EngineRefusals",
    "KeptRefusal",
    "Position",
    "PositionMovedError",
]
