"""Put something else in the place of a chain, at the gates' machine and at the service's: nobody is let in by it, and it is mended."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.system.bundles.deployments import GATE, KEEPS, Deployment, deployed
from tests.system.bundles.machines import until

from watchword.adapters.keyring.private_file import write_private

Spoil = Callable[[Path], None]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Run a service, and gates of each kind beside it."""
    with deployed() as made:
        yield made


def _cut_in_a_line(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 30)


def _cut_between_lines(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    os.truncate(path, sum(map(len, lines[:-2])))


def _cut_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


def _with_zeros(path: Path) -> None:
    # As some file systems leave the end of a file after a loss of power.
    data = path.read_bytes()
    path.write_bytes(data[:-400] + bytes(400))


def _gone(path: Path) -> None:
    path.unlink()


def _link(path: Path) -> None:
    aside = path.with_suffix(".aside")
    path.replace(aside)
    path.symlink_to(aside)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


def _shared(path: Path) -> None:
    path.chmod(0o666)


def _huge(path: Path) -> None:
    # A hole of a gigabyte, which takes no room.
    os.truncate(path, 2**30)


def _huge_line(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * 20_000_000 + b"\n")


def _many_lines(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\n" * 20_000_000)


SPOILS = (
    _cut_in_a_line,
    _cut_between_lines,
    _cut_to_nothing,
    _with_zeros,
    _gone,
    _link,
    _pipe,
    _shared,
    _huge,
    _huge_line,
    _many_lines,
)
_QUIET = {_cut_to_nothing, _cut_in_a_line, _with_zeros}
"""Where nothing stands behind what a gate has read, more may come: it waits for that."""


@pytest.mark.parametrize("spoil", SPOILS)
def test_at_the_gates(deployment: Deployment, spoil: Spoil) -> None:
    """The gate says what is wrong and keeps what it has, and the fetching command puts the newest chain in its place."""
    deployment.assert_learns()
    since = deployment.gate.printed(GATE)
    spoil(deployment.gate.chain)
    if spoil not in _QUIET:
        until(partial(deployment.has_told, KEEPS, since), partial(deployment.gate.said, GATE))
    deployment.assert_holds()
    deployment.assert_learns()
    until(deployment.is_whole, partial(deployment.gate.said, "pull"))


@pytest.mark.parametrize("spoil", SPOILS)
def test_at_the_service(deployment: Deployment, spoil: Spoil) -> None:
    """It writes the chain anew, also where nobody is revoked; gates never hear of it."""
    chain = deployment.service.gates / "clinic.chain"
    spoil(chain)
    deployment.assert_holds()
    until(partial(is_private, chain), partial(deployment.service.said, "service"))
    until(deployment.is_whole, partial(deployment.service.said, "service"))
    deployment.assert_learns()


def is_private(path: Path) -> bool:
    """Tell whether a file is there that can be a chain: nobody reads the others."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return found.st_mode == stat.S_IFREG | 0o600 and 0 < found.st_size < 1_000_000


@pytest.mark.parametrize("name", ["clinic.floor", "clinic.heads", "clinic.chain-heard"])
@pytest.mark.parametrize("spoil", [_gone, _link, _pipe, _with_zeros])
def test_what_stands_beside_the_chain(deployment: Deployment, name: str, spoil: Spoil) -> None:
    """Revocations go on whatever becomes of it."""
    path = deployment.gate.bundle.with_name(name)
    write_private(path, b"rubbish")
    spoil(path)
    deployment.assert_learns()


@pytest.mark.parametrize("spoil", [_link, _pipe, _directory, _shared, _with_zeros])
def test_a_floor_that_was_spoiled_while_gates_were_down(
    deployment: Deployment, spoil: Spoil
) -> None:
    """A gate that starts lets nobody in by what it can't read, and is let go on by whoever has the newest chain."""
    gate = deployment.gate
    floor = gate.bundle.with_name("clinic.floor")
    gate.stop("pull")
    gate.stop(GATE)
    write_private(floor, b"rubbish")
    spoil(floor)
    gate.start_again(GATE)
    point = deployment.point
    until(lambda: point.once(deployment.token()) == 503, partial(gate.said, GATE))
    if spoil is _directory:
        shutil.rmtree(floor)
    gate.start_again("pull")
    until(partial(point.serves, deployment.token()), partial(gate.said, GATE))
    deployment.assert_learns()
