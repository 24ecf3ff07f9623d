"""Keep how far canaries were narrowed over the restarts of a gate."""

from watchword.adapters.narrowings.file import NarrowingsFile

__all__ = ["NarrowingsFile"]
