"""Define what can be wrong with a workspace."""

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.reasons import ExitCode


class WorkspaceError(PrivateFileError):
    """Report a workspace, a key or a log that can't be used, and what to do about it."""

    exit_code = ExitCode.USAGE
