"""Count reports of failed pin checks in memory."""

from watchword.adapters.pin_reports.memory import MemoryPinReports

__all__ = ["MemoryPinReports"]
