"""Ask the operating system for random bytes."""

import os


class SystemEntropy:
    """Implement :class:`watchword.ports.Entropy` with the system's generator."""

    def token_bytes(self, count: int) -> bytes:
        """Return ``count`` bytes that nobody can guess."""
        return os.urandom(count)
