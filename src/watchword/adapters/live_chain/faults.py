"""Define why a chain couldn't be fetched."""

from watchword.reasons import ExitCode, WatchwordError


class LiveChainError(WatchwordError):
    """Report a server that shows no chain: what was got, where."""

    exit_code = ExitCode.UNAVAILABLE


class AuthoritiesFileError(WatchwordError):
    """Report a file of authorities that can't be used."""

    exit_code = ExitCode.USAGE
