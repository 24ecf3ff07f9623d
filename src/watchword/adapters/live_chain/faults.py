"""Define why a chain couldn't be fetched."""

from watchword.reasons import WatchwordError


class LiveChainError(WatchwordError):
    """Report a server that shows no chain: what was got, where."""


class AuthoritiesFileError(WatchwordError):
    """Report a file of authorities that can't be used."""
