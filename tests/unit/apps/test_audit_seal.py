"""Show that gates are told how far the audit trail is, and that a trail that was changed is found out."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.apps.service_bench import ServiceBench, service_bench

from watchword.adapters.gate_bundle.heads import heads_from_json, heads_path
from watchword.adapters.store import SqliteStore
from watchword.apps.engines.logs.cli import command
from watchword.apps.service import trail
from watchword.apps.service.trail import AuditSeal, heads_at
from watchword.gate.bundle import GateBundle
from watchword.gate.trail import AuditHead, trail_key
from watchword.ports import AuditEntry

CONFIG = """\
version: 1
environment: prod
service: {issuer: https://attest.bank.example, state: .}
apps:
  bank-ios: {platform: ios, team_id: Q7WXYZ1234, bundle_id: com.bank.app}
apis:
  clinic:
    audience: https://api.bank.example
    apps: [bank-ios]
    routes:
      - {path: /**, level: hardware}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    """Return a service that is closed afterwards."""
    made = service_bench(tmp_path)
    yield made
    made.store.close()


def note(bench: ServiceBench, count: int = 1) -> None:
    """Add entries that change nothing of what gates know."""

    async def add() -> None:
        for _ in range(count):
            await bench.store.add_audit(AuditEntry(bench.clock.now(), "operator", "looked", "x"))

    asyncio.run(add())


def publish(bench: ServiceBench, seconds: float = 1) -> None:
    """Let time pass, then publish."""
    bench.clock.advance(seconds)
    asyncio.run(bench.service.context.publisher.publish(bench.clock.now()))


def chained(bench: ServiceBench) -> GateBundle:
    """Return what the clinic's chain says."""
    return bench.gate().bundle


def true_head(bench: ServiceBench) -> AuditHead:
    """Return the head of the trail, computed anew."""
    key = trail_key(bench.keyring.ring.pairwise_key)
    return asyncio.run(heads_at(bench.store, key, ()))[0]


def seal(bench: ServiceBench) -> AuditSeal:
    """Return the seal of a process that starts now."""
    key = trail_key(bench.keyring.ring.pairwise_key)
    return AuditSeal(bench.store, key, bench.directory / "audit-head.json")


def sealed(process: AuditSeal, extent: int, at: float, turns: int = 1) -> AuditHead | None:
    """Take turns, return the last answer."""

    async def advance() -> AuditHead | None:
        return [await process.advance(extent, at) for _ in range(turns)][-1]

    return asyncio.run(advance())


def test_gates_are_told_and_keep_it(bench: ServiceBench) -> None:
    """With the next change, or within an hour; a new head is no change by itself."""
    note(bench, 3)
    publish(bench)
    first = chained(bench)
    assert first.audit == true_head(bench)
    note(bench)
    publish(bench)
    assert chained(bench).generation == first.generation
    publish(bench, 3600)
    second = chained(bench)
    assert second.generation > first.generation
    assert second.audit == true_head(bench)
    assert bench.published().generation == second.generation
    path = heads_path(bench.gate_path)
    kept = heads_from_json(path, path.read_bytes())
    assert [each.audit for each in kept] == [first.audit, second.audit]


def test_a_changed_trail_is_told_by_each_gate(
    bench: ServiceBench, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the change was made while the service was down."""
    note(bench, 3)
    publish(bench)
    chained(bench)
    with sqlite3.connect(bench.directory / "watchword.db") as connection:
        connection.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
        connection.execute("UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'audit'")
    connection.close()
    # Found out by the last entry; in the turn after that the trail is sealed anew.
    publish(bench)
    publish(bench)
    bench.gate()
    assert "under another hash" not in caplog.text
    publish(bench, 3600)
    bench.gate()
    assert "the service's audit trail had" in caplog.text
    caplog.clear()
    bench.gate()
    assert "the service's audit trail had" not in caplog.text


def test_the_next_process_goes_on(bench: ServiceBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads what is new, and the one entry by which it knows the trail again."""
    note(bench, 5)
    head = true_head(bench)
    assert sealed(seal(bench), head.size, 0.0) == head
    note(bench)
    asked = []
    real = SqliteStore.audit_from

    class Watched(SqliteStore):
        async def audit_from(self, number: int, limit: int) -> list[AuditEntry]:
            asked.append(number)
            return list(await real(self, number, limit))

    store = Watched(bench.directory / "watchword.db")
    try:
        key = trail_key(bench.keyring.ring.pairwise_key)
        process = AuditSeal(store, key, bench.directory / "audit-head.json")
        assert sealed(process, head.size + 1, 0.0, turns=2) == true_head(bench)
        assert asked == [head.size]
    finally:
        store.close()


@pytest.mark.parametrize("spoiled", [b"", b"{", b'{"v":1,"size":1,"head":"","leaf":""}'])
def test_a_spoiled_checkpoint_costs_only_time(bench: ServiceBench, spoiled: bytes) -> None:
    """The trail is read from its beginning."""
    note(bench, 2)
    head = true_head(bench)
    path = bench.directory / "audit-head.json"
    path.write_bytes(spoiled)
    path.chmod(0o600)
    assert sealed(seal(bench), head.size, 0.0) == head


def test_another_trail_of_the_same_numbers_is_sealed_anew(bench: ServiceBench) -> None:
    """A copy that was put back and went on differently: the last entry tells, not its number alone."""
    note(bench, 3)
    process = seal(bench)
    before = true_head(bench)
    assert sealed(process, before.size, 0.0) == before
    with sqlite3.connect(bench.directory / "watchword.db") as connection:
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE seq = ?", (before.size,))
    connection.close()
    note(bench)
    assert sealed(process, before.size + 1, 0.0, turns=2) == true_head(bench)
    assert sealed(seal(bench), before.size + 1, 0.0, turns=2) == true_head(bench)


def test_a_long_trail_is_caught_up_with_between_turns(bench: ServiceBench) -> None:
    """By many at a time; a seal that isn't behind reads nothing."""
    note(bench, trail.MOST_READ)
    publish(bench)
    bench.gate()
    assert chained(bench).audit is None
    publisher = bench.service.context.publisher
    asyncio.run(publisher.seal(bench.clock.now()))
    publish(bench)
    assert chained(bench).audit == true_head(bench)
    asyncio.run(publisher.seal(bench.clock.now()))
    publish(bench)
    assert chained(bench).audit == true_head(bench)


def test_no_head_is_told_before_all_was_read(bench: ServiceBench) -> None:
    """It would say less than one before it; a turn leaves what is too much for it to the time between."""
    note(bench, trail.MOST_READ + 2 * trail.MOST_SEALED)
    head = true_head(bench)
    process = seal(bench)
    for _ in range(2):
        assert sealed(process, head.size, 0.0, turns=3) is None
        asyncio.run(process.catch_up(0.0))
    assert sealed(process, head.size, 0.0) == head


def verify(bench: ServiceBench, *arguments: str) -> tuple[int, str]:
    """Run the command on the service's directory; return its exit code and what it said."""
    config = bench.directory / "watchword.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    done = CliRunner().invoke(command, ["verify", *arguments], obj=config)
    return done.exit_code, done.output


def gates_heads(bench: ServiceBench) -> str:
    """Have a gate told of a trail of some entries, and return its file."""
    for _ in range(3):
        note(bench, 2)
        publish(bench, 3600)
        bench.gate()
    return str(heads_path(bench.gate_path))


def test_a_whole_trail_is_verified(bench: ServiceBench) -> None:
    """By the files that are named, or those of this machine's gates."""
    file = gates_heads(bench)
    note(bench)
    last = true_head(bench).size
    assert verify(bench) == verify(bench, file)
    code, said = verify(bench, "--json")
    assert code == 0
    told = {"file": file, "heads": 3, "held": 3, "good": last - 1, "bad": None}
    assert json.loads(said) == {"entries": last, "files": [told]}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'nobody' WHERE seq = ?",
        "DELETE FROM audit WHERE seq = ?",
    ],
)
def test_a_changed_entry_is_found(bench: ServiceBench, change: str) -> None:
    """Up to the last head before it the trail is as the gate was told."""
    file = gates_heads(bench)
    path = Path(file)
    sizes = [each.audit.size for each in heads_from_json(path, path.read_bytes())]
    with sqlite3.connect(bench.directory / "watchword.db") as connection:
        connection.execute(change, (sizes[1],))
    connection.close()
    code, said = verify(bench, file)
    assert code == 1
    assert "2 of 3 heads don't hold" in said
    assert f"Up to entry {sizes[0]} " in said


def test_what_cant_be_verified_is_told(bench: ServiceBench, tmp_path: Path) -> None:
    """No file of heads, one of something else, and no service here."""
    code, said = verify(bench)
    assert code == 2
    assert "no gate keeps heads here" in said
    other = tmp_path / "other.heads"
    other.write_bytes(b"{}")
    code, said = verify(bench, str(other))
    assert code == 2
    assert "other.heads" in said
    (tmp_path / "watchword.db").unlink()
    code, said = verify(bench, str(other))
    assert code == 2
    assert "isn't there" in said
