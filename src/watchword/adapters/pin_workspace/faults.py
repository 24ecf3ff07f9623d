"""Define what can be wrong with a workspace."""

from watchword.adapters.keyring.private_file import PrivateFileError


class WorkspaceError(PrivateFileError):
    """Report a workspace, a key or a log that can't be used, and what to do about it."""
