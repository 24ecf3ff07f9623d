"""Know the engine that asks: each answer of ``/authz`` is a verdict, and not for everybody."""

import hmac
from pathlib import Path
from typing import Final

from watchword.adapters.keyring.private_file import PrivateFileError, read_private

CREDENTIAL_HEADER: Final = b"watchword-authz"
"""The header in which an engine sends the shared credential, lower case."""

MIN_CREDENTIAL_CHARACTERS: Final = 32
_MAX_CREDENTIAL_BYTES: Final = 512


class Credential:
    """Hold the secret that the engine sends with each question."""

    def __init__(self, secret: bytes) -> None:
        """Keep it; raise ValueError for one that could be guessed or doesn't fit into a header."""
        if len(secret) < MIN_CREDENTIAL_CHARACTERS or not secret.isascii() or b" " in secret:
            raise ValueError(
                f"expected at least {MIN_CREDENTIAL_CHARACTERS} visible ASCII characters"
            )
        self._secret = secret

    @classmethod
    def read(cls, path: Path) -> "Credential":
        """Return the credential in a private file; white space around it doesn't count.

        :raises PrivateFileError: when it is missing, readable by others, or could be guessed.
        """
        data = read_private(path, _MAX_CREDENTIAL_BYTES)
        if data is None:
            raise PrivateFileError(
                f"{path}: isn't there; make one: openssl rand -hex 32 > {path.name}"
            )
        try:
            return cls(data.strip())
        except ValueError as error:
            raise PrivateFileError(f"{path}: {error}") from None

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Credential(...)"

    def matches(self, sent: bytes) -> bool:
        """Tell whether this is it, in constant time."""
        return hmac.compare_digest(sent, self._secret)
