"""Watchword: only your genuine app gets through, and you can prove it."""

__version__ = "0.3.0.dev0"
