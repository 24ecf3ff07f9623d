"""Speak HTTPS with vendors."""

from watchword.adapters.fetcher.client import HttpxFetcher

__all__ = ["HttpxFetcher"]
