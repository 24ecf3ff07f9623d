"""Give a node a network of its own, whose only way to the database can be cut: packets vanish, as behind a broken switch."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import pytest
from tests.machine import patience

_NEW_NETWORK: Final = 0x40000000
_NOBODY: Final = "02:00:00:00:00:99"
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Network:
    """Hold a network namespace, and its one link to ours.

    :ivar here: our address on it; ``there`` is the other end's.
    """

    name: str
    here: str
    there: str

    def inside(self, work: Callable[[], _Result]) -> _Result:
        """Return what work comes to in this network: what it starts or listens on belongs there."""
        # The thread ends with it: it never comes back to our network.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._inside, work).result()

    def _inside(self, work: Callable[[], _Result]) -> _Result:
        descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, _NEW_NETWORK) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(descriptor)
        return work()

    def cut(self) -> None:
        """Let every packet go to nobody, both ways."""
        _ip("neigh", "replace", self.there, "lladdr", _NOBODY, "nud", "permanent", "dev", self.name)
        _ip("-n", self.name, *("neigh", "replace", self.here, "lladdr", _NOBODY), *_PERMANENT)

    def heal(self) -> None:
        """Let them arrive again."""
        _ip("neigh", "del", self.there, "dev", self.name)
        _ip("-n", self.name, "neigh", "del", self.here, "dev", "out")


_PERMANENT: Final = ("nud", "permanent", "dev", "out")


def _ip(*words: str) -> None:
    program = shutil.which("ip") or "/usr/sbin/ip"
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, timeout=patience(30)
    )
    if done.returncode != 0:
        raise OSError(done.stderr.strip())


@contextmanager
def network(number: int) -> Iterator[Network]:
    """Make a network namespace; skip where that isn't allowed.

    :param number: from 1 to 16,000, of this network among those on this machine.
    """
    name = f"ww{number}"
    high, low = divmod(4 * number, 256)
    here, there = (f"10.91.{high}.{low + each}" for each in (1, 2))
    if not Path("/proc/self/ns/net").exists():
        pytest.skip("this system has no network namespaces")
    try:
        _ip("netns", "add", name)
    except OSError as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", "out", "netns", name)
        _ip("addr", "add", f"{here}/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "addr", "add", f"{there}/30", "dev", "out")
        for each in ("out", "lo"):
            _ip("-n", name, "link", "set", each, "up")
        yield Network(name, here, there)
    finally:
        _ip("netns", "del", name)
