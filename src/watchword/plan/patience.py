"""Say when it's time to stop looking; the core reads no clock."""

from typing import Protocol


class Patience(Protocol):
    """Know how much of a time is gone."""

    def is_over(self, share: float) -> bool:
        """Tell whether more than a share (0 to 1) of the time is gone."""


class Endless:
    """Be as patient as it takes."""

    def is_over(self, share: float) -> bool:
        """Never tire."""
        return share < 0
