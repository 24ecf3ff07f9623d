"""Watchword: only your genuine app gets through, and you can prove it."""

__version__ = "0.2.0"
