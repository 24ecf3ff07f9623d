"""Keep what instances used of quotas over the restarts of a gate."""

from watchword.adapters.kept_quotas.file import QuotaFile

__all__ = ["QuotaFile"]
