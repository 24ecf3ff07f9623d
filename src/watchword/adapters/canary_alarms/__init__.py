"""Keep who used canary keys."""

from watchword.adapters.canary_alarms.file import CanaryAlarmFile, KeptAlarm

__all__ = ["CanaryAlarmFile", "KeptAlarm"]
