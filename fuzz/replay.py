"""Replay corpora, and mutate their inputs a little: what runs in the test suite, without atheris."""

import time
from collections.abc import Iterator
from hashlib import sha256

from fuzz.corpora import corpus
from fuzz.targets import TARGETS, Target

SLOW = 0.05
"""Seconds of processor time that no input may take."""

_TRIES = 3
"""Times that a slow input is timed again; the fastest counts, as machines are slow at times too."""


class SlowInputError(Exception):
    """Report an input that takes too long."""


def judge(target: Target, data: bytes) -> None:
    """Feed a target one input; raise what it raises, or :class:`SlowInputError`."""
    elapsed = 0.0
    for _ in range(_TRIES):
        before = time.thread_time()
        target.parse(data)
        elapsed = time.thread_time() - before
        if elapsed <= SLOW:
            return
    raise SlowInputError(f"{elapsed * 1000:.0f} ms for {len(data)} bytes")


def mutate(inputs: list[bytes], count: int, salt: bytes) -> Iterator[bytes]:
    """Yield mutated copies of inputs, the same ones for the same salt.

    One to four changes each: a flipped bit, a changed, doubled or missing part, a part of another input.
    """
    for index in range(count):
        stream = sha256(salt + index.to_bytes(4, "big")).digest()
        data = bytearray(inputs[int.from_bytes(stream[:4], "big") % len(inputs)])
        for step in range(1 + stream[4] % 4):
            kind, where, size, value = stream[5 + 5 * step : 10 + 5 * step - 1]
            wide = int.from_bytes(stream[5 + 5 * step : 10 + 5 * step], "big")
            at = wide % (len(data) + 1)
            part = 1 + size % 24
            if kind % 5 == 0 and data:
                data[at % len(data)] ^= 1 << value % 8
            elif kind % 5 == 1:
                data[at : at + 1] = bytes([value])
            elif kind % 5 == 2:
                del data[at : at + part]
            elif kind % 5 == 3:
                data[at:at] = data[at : at + part]
            else:
                other = inputs[where % len(inputs)]
                begin = wide % (len(other) + 1)
                data[at : at + part] = other[begin : begin + part]
        yield bytes(data)


def replay(name: str, mutated: int) -> int:
    """Replay a target's corpus and seeds, and ``mutated`` mutated copies; return how many inputs it were."""
    target = TARGETS[name]
    inputs = [*corpus(name), *target.seeds()]
    count = 0
    for data in (*inputs, *mutate(inputs, mutated, name.encode())):
        judge(target, data[: target.max_input])
        count += 1
    return count
