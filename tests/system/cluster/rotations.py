"""Rotate the keys of several nodes over and over while phones ask all gates, and say what that cost."""

import itertools
import time
from dataclasses import dataclass, field

from tests.machine import patience
from tests.system.cluster.crowd import Crowd
from tests.system.cluster.sealed import SealedCluster, SealedNode

from watchword.adapters.system import SystemClock, steady_seconds
from watchword.reasons import UnavailableError

_EPOCHS = 5
"""After so many rotations of the key that signs, one of the gate secrets."""


@dataclass
class Rotations:
    """Hold what rotations came to.

    :ivar active: the names of the keys that signed, in turn.
    :ivar took: seconds that each rotation's answer took.
    :ivar apart: seconds between one rotation's answer and the next one's.
    :ivar put_off: how often a rotation was refused, since gates of a node didn't know the prepared key yet.
    """

    crowd: Crowd
    active: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    put_off: int = 0

    def __str__(self) -> str:
        """Say it in words."""
        crowd = self.crowd
        took, apart = sorted(self.took), sorted(self.apart)
        return (
            f"{len(took)} rotations; answer after {took[len(took) // 2]:.2f} s (median), {took[-1]:.2f} s (most); "
            f"one each {apart[len(apart) // 2]:.2f} s (median), {apart[-1]:.2f} s (most); put off {self.put_off}; "
            f"gates: {dict(crowd.gates)}, of them refused {crowd.refused}; service: {dict(crowd.service)}; "
            f"keys that signed: {len(crowd.signers)}; failures: {dict(crowd.failures)}"
        )


def rotate_under_load(made: SealedCluster, rotations: int, every: float, phones: int) -> Rotations:
    """Rotate at one node after the other.

    :param every: seconds from one rotation's begin to the next one's, or more where one takes longer.
    """
    crowd = Crowd(made)
    done = Rotations(crowd)
    nodes = itertools.cycle(made.sealed)
    with crowd.asking(phones):
        crowd.goes_on(10)
        last = 0.0
        for turn in range(1, rotations + 1):
            begun = steady_seconds()
            active, put_off = rotated(next(nodes))
            ended = steady_seconds()
            done.active.append(active)
            done.put_off += put_off
            done.took.append(ended - begun)
            if last:
                done.apart.append(begun - last)
            last = begun
            if turn % _EPOCHS == 0:
                done.put_off += rotated(next(nodes), "gates")[1]
            time.sleep(max(0.0, begun + every - steady_seconds()))
        crowd.goes_on(10)
    return done


def rotated(node: SealedNode, purpose: str = "tokens") -> tuple[str, int]:
    """Rotate at a node; return the active key's name, and how often it was put off.

    A loaded machine may need more than 5 s until all gates know what is prepared: it says so, and nothing was changed.
    """
    deadline = SystemClock().timestamp() + patience(60)
    for put_off in itertools.count():
        try:
            return node.rotate(purpose), put_off
        except UnavailableError as error:
            late = SystemClock().timestamp() > deadline
            if late or "don't know the prepared key yet" not in error.detail:
                raise
    raise AssertionError
