"""Draw the same things from the same seed, on every machine."""

import hashlib
from collections.abc import Iterator, Sequence


class Dice:
    """Draw from SHA-256 over a seed and a counter."""

    def __init__(self, seed: str) -> None:
        self._bytes = self._stream(seed.encode())

    @staticmethod
    def _stream(seed: bytes) -> Iterator[int]:
        counter = 0
        while True:
            yield from hashlib.sha256(seed + counter.to_bytes(8, "big")).digest()
            counter += 1

    def below(self, limit: int) -> int:
        """Return a number below a limit."""
        return int.from_bytes(self.raw(8), "big") % limit

    def raw(self, count: int) -> bytes:
        """Return bytes."""
        return bytes(next(self._bytes) for _ in range(count))

    def text(self, alphabet: str, count: int) -> str:
        """Return characters of an alphabet."""
        return "".join(alphabet[self.below(len(alphabet))] for _ in range(count))

    def pick(self, choices: Sequence[str]) -> str:
        """Return one of several."""
        return choices[self.below(len(choices))]
