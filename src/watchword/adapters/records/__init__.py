"""Keep records of verifications in files of the state directory."""

from watchword.adapters.records.directory import RecordDirectory, record_files

__all__ = ["RecordDirectory", "record_files"]
