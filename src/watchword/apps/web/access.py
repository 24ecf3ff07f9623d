"""Hold who may see the pages: whoever has the address that the command printed."""

import hmac
from dataclasses import dataclass, field
from typing import Final

from watchword.ports import Entropy

_KEY_BYTES: Final = 32

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
"""Names under which pages are served; another one that leads here is a rebound one."""


@dataclass(slots=True)
class Access:
    """Hold the key of one process's pages, and what is made of it.

    :param key: in the printed address; it opens the pages, and is in no page and in no log.
    :ivar port: where the pages are served; 0 until it is known, and then no request is let in.
    """

    key: str = field(repr=False)
    port: int = 0

    @classmethod
    def random(cls, entropy: Entropy) -> "Access":
        """Return an access that nobody can guess."""
        return cls(entropy.token_bytes(_KEY_BYTES).hex())

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return each ``Host`` that is ours; none before the port is known."""
        return tuple(f"{name}:{self.port}" for name in LOOPBACK) if self.port else ()

    @property
    def cookie_name(self) -> str:
        """Return the cookie's name; browsers don't keep cookies of two ports apart."""
        return f"watchword-{self.port}"

    @property
    def cookie(self) -> str:
        """Return the cookie's value, from which nobody learns the key."""
        return self._derived("cookie")

    @property
    def csrf(self) -> str:
        """Return what each form of ours carries, from which nobody learns the key or the cookie."""
        return self._derived("form")

    @property
    def url(self) -> str:
        """Return the address with the key, for whoever started the command."""
        return f"http://127.0.0.1:{self.port}/?key={self.key}"

    def _derived(self, purpose: str) -> str:
        return hmac.new(self.key.encode(), purpose.encode(), "sha256").hexdigest()


def same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
