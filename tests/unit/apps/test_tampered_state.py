"""Tamper with the service's state while it is stopped: rows of the database, the revocation journal, and both.

Whoever writes there as the service's user owns it. What is shown is what a disk, a backup or a careless hand does: a
revocation comes back from where it still stands, and what can't be read is told.
"""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.apps.service_bench import Caller, ServiceBench, service_bench
from tests.unit.apps.test_service import reason_in
from tests.unit.enrolment.simulators import SimulatedPhone

from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.reasons import Reason

UNREVOKED = "UPDATE instances SET revoked_at = NULL, revoked_because = NULL"
NO_TRAIL = "DELETE FROM audit"
UNUSED = "DELETE FROM used_challenges"


def revoked(directory: Path, phone: SimulatedPhone) -> tuple[ServiceBench, str]:
    """Return a stopped service with one instance, which an operator revoked."""
    bench = service_bench(directory)

    async def before(call: Caller) -> str:
        await bench.service.start()
        instance: str = (await call.enrol(phone))["instance"]
        path = f"/v1/instances/{instance}/revoke"
        await call.operator.post(path, json={"because": "phone stolen"})
        await bench.service.stop()
        return instance

    instance = bench.run(before)
    bench.store.close()
    return bench, instance


def execute(directory: Path, *statements: str) -> None:
    """Change the database by hand."""
    with sqlite3.connect(directory / "watchword.db") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def journal(directory: Path) -> Path:
    """Return the journal's file."""
    (found,) = (each for each in directory.rglob("*") if each.is_file() and b"phone stolen" in each.read_bytes()
                and each.suffix == ".jsonl")  # fmt: skip
    return found


def renewed(
    bench: ServiceBench, directory: Path, phone: SimulatedPhone, instance: str
) -> Reason | int:
    """Start again over the same directory; return why the instance is refused, or 200."""
    again = service_bench(directory)
    again.clock.at = bench.clock.at
    again.clock.advance(10)

    async def after(call: Caller) -> Reason | int:
        await again.service.start()
        for _ in range(64):
            await call.challenge(phone)
        answer = await call.renew(phone, instance)
        await again.service.stop()
        return 200 if answer.status_code == 200 else reason_in(again, answer)

    try:
        return again.run(after)
    finally:
        again.store.close()


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return what changes the journal's bytes."""

    def apply(directory: Path) -> None:
        path = journal(directory)
        path.write_bytes(change(path.read_bytes()))

    return apply


def line(**members: object) -> bytes:
    """Return a line that somebody wrote into the journal."""
    return (
        json.dumps({"instance": "nobody", "at": 0, "actor": "a", "because": "b"} | members).encode()
        + b"\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda directory: execute(directory, UNREVOKED),
        lambda directory: execute(directory, UNREVOKED, NO_TRAIL),
        lambda directory: execute(directory, UNREVOKED, NO_TRAIL, "DELETE FROM sqlite_sequence"),
        lambda directory: execute(directory, UNREVOKED, UNUSED),
        lambda directory: journal(directory).unlink(),
        rewritten(lambda data: b""),
        rewritten(lambda data: data[:-30]),
        rewritten(lambda data: data * 3),
        rewritten(lambda data: b"\x00" * 4096 + b"\n" + data),
        rewritten(lambda data: line() + line(at="x") + line(at=1e300) + b"{}\n[1]\n" + data + line()),
        rewritten(lambda data: data.replace(b"phone stolen", b"x" * 9000)),
        rewritten(lambda data: b"".join(line(instance=str(number)) for number in range(5000)) + data),
    ],
    ids=range(12),
)  # fmt: skip
def test_one_of_the_two_places_is_enough(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """The database or the journal forgets, or is spoiled: the other one knows, and the instance stays revoked."""
    phone = SimulatedPhone()
    bench, instance = revoked(tmp_path, phone)
    change(tmp_path)
    assert renewed(bench, tmp_path, phone, instance) is Reason.INSTANCE_REVOKED


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-30],
        lambda data: data.replace(b'"instance"', b'"instanc"'),
        lambda data: data.replace(b'"at":', b'"at":"'),
        lambda data: data.replace(b"{", b"["),
        lambda data: b"\xff" + data.strip(b"\n") + b"\n",
    ],
    ids=range(5),
)
def test_a_revocation_that_can_be_read_nowhere_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], spoil: Callable[[bytes], bytes]
) -> None:
    """Both are spoiled: nobody can know whom the line named, and somebody is told that there was one."""
    phone = SimulatedPhone()
    bench, instance = revoked(tmp_path, phone)
    execute(tmp_path, UNREVOKED)
    rewritten(spoil)(tmp_path)
    capfd.readouterr()
    assert renewed(bench, tmp_path, phone, instance) == 200
    assert "revocation journal has lines that are none" in capfd.readouterr().out


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602, 0o606])
def test_a_journal_that_others_reach_stops_the_start(tmp_path: Path, mode: int) -> None:
    """They could take a line out, or put one in."""
    phone = SimulatedPhone()
    bench, instance = revoked(tmp_path, phone)
    journal(tmp_path).chmod(mode)
    with pytest.raises(PrivateFileError):
        renewed(bench, tmp_path, phone, instance)


def test_a_link_in_its_place_isnt_followed(tmp_path: Path) -> None:
    """Neither is another file read by its name."""
    phone = SimulatedPhone()
    bench, instance = revoked(tmp_path, phone)
    path = journal(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PrivateFileError):
        renewed(bench, tmp_path, phone, instance)
