"""Define what a person can set right about a step with pins."""

from watchword.reasons import ExitCode, WatchwordError


class PinsError(WatchwordError):
    """Report what can't be done as it was asked for: what was got, what was expected, what to do."""

    exit_code = ExitCode.USAGE


class NotNowError(WatchwordError):
    """Report a step that was asked for rightly and isn't taken as things stand: nothing was changed."""
