"""Show that gates are told each revocation, whatever came before, whatever the disk does and whoever puts files back."""

import asyncio
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.publisher_bench import LIFETIME, NOW, PublisherBench
from tests.unit.enrolment.simulators import CLINIC
from tests.unit.gate.simulators import CLAIMS

from watchword.adapters.gate_bundle import GateBundleFile, publish_bundle
from watchword.adapters.gate_bundle.chain_file import chain_path
from watchword.adapters.gate_bundle.floor import Floor, raise_floor
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.apps.service.chains import MOST_DELTAS, ChainWriter, RevokedSubjects
from watchword.apps.service.publisher import (
    MOST_LIFTED,
    MOST_READ,
    PublisherBounds,
)
from watchword.apps.service.window import KEPT_SECONDS, PatientClock, TokenWindow
from watchword.encoding import base64url
from watchword.gate.chain import ChainReader
from watchword.ports import (
    RevokedInstance,
)
from watchword.tokens.interface import TokenClaims


@pytest.fixture
def bench(tmp_path: Path) -> PublisherBench:
    """Return a publisher that has published once."""
    made = PublisherBench(tmp_path)
    made.tick()
    return made


def test_a_revocation_is_one_more_line(bench: PublisherBench) -> None:
    """The snapshot stays; both versions say it under one generation, and an idle turn says nothing."""
    (snapshot,) = bench.lines
    bench.store.revoke("one")
    bench.tick()
    assert bench.lines[0] == snapshot
    assert len(bench.lines) == 2
    assert bench.lists("one", "two") == [True, False]
    assert bench.first.revoked == {bench.subject("one")}
    bundle = bench.reader().bundle
    assert bundle is not None
    assert bundle.generation == bench.first.generation
    before = bench.chain.read_bytes(), bench.path.read_bytes()
    bench.tick()
    assert (bench.chain.read_bytes(), bench.path.read_bytes()) == before


def test_more_than_a_page_is_read(bench: PublisherBench) -> None:
    """At a start, and later; whoever is pending comes each time and is listed once."""
    names = [f"n{number}" for number in range(2 * MOST_READ + 1)]
    bench.store.revoke(*names)
    bench.store.pending = [RevokedInstance("pending", (CLINIC,), NOW)]
    for _ in range(3):
        bench.tick()
    assert all(bench.lists(*names, "pending"))
    assert len(bench.first.revoked) == len(names) + 1
    assert len(bench.lines) == 2
    bench.start()
    bench.tick()
    assert len(bench.lines) == 2
    assert len(bench.first.revoked) == len(names) + 1
    bench.store.revoke("more")
    bench.tick()
    assert bench.lists("more", "n0") == [True, True]


def test_a_turn_costs_what_is_new(bench: PublisherBench) -> None:
    """However many were revoked before: nobody is told of twice, and a change is as long as the one before."""
    bench.store.revoke(*(f"n{number}" for number in range(3 * MOST_READ)))
    bench.tick()
    known = bench.store.told
    assert known == 3 * MOST_READ
    for more in (0, 1, 1):
        bench.store.revoke(*(f"more{known}-{each}" for each in range(more)))
        bench.tick()
        known += more
        assert bench.store.told == known
    *_, many, one, other = bench.lines
    assert abs(len(one) - len(other)) < 9
    assert len(many) > 10 * len(one)


def test_an_older_copy_of_the_store_is_read_as_a_whole(bench: PublisherBench) -> None:
    """Who is listed in it is listed, whatever numbers the trail has; nobody is let in again."""
    bench.store.revoke("one", "two", "three")
    bench.tick()
    bench.store.revoked = [
        RevokedInstance("one", (CLINIC,), NOW),
        RevokedInstance("four", (CLINIC,), NOW),
    ]
    bench.tick()
    assert bench.lists("one", "two", "three", "four") == [True] * 4


def changed_until(bench: PublisherBench, line: bytes) -> None:
    """Publish until another snapshot took the place of one."""
    for _ in range(10_000):
        if bench.lines[0] != line:
            return
        time.sleep(0.01)
        bench.tick()
    pytest.fail("no other snapshot came")


def test_a_snapshot_takes_the_place_of_many_changes(bench: PublisherBench) -> None:
    """It is made beside the turns; what is revoked meanwhile follows it, and gates go over to it."""
    (snapshot,) = bench.lines
    reader = bench.reader()
    for number in range(MOST_DELTAS + 1):
        bench.store.revoke(f"n{number}")
        bench.tick()
        if bench.lines[0] != snapshot:
            break
    changed_until(bench, snapshot)
    assert len(bench.lines) < 10
    assert all(bench.lists(*(each.id for each in bench.store.revoked)))
    assert reader.take(bench.told(reader))
    assert bench.told(reader) == []
    assert reader.bundle is not None
    assert reader.bundle.revoked_count == len(bench.store.revoked)
    assert bench.first.generation == reader.bundle.generation


def test_who_can_have_no_token_is_forgotten(bench: PublisherBench) -> None:
    """At once in the first version, and in the chain as soon as a snapshot is worth it."""
    bench.now += timedelta(hours=1)
    bench.store.revoke(*(f"n{number}" for number in range(10_003)), at=bench.now)
    bench.tick()
    (snapshot, *_) = bench.lines
    bench.now += timedelta(seconds=LIFETIME + 120)
    bench.tick()
    assert len(bench.first.revoked) == 10_003
    bench.now += timedelta(seconds=1)
    bench.store.revoke("late", at=bench.now)
    bench.tick()
    assert bench.first.revoked == {bench.subject("late")}
    changed_until(bench, snapshot)
    assert bench.lists("n0", "late") == [False, True]


@pytest.mark.parametrize("jump", [3 * 86_400, LIFETIME + 121, 30, -30, -3600])
def test_who_was_revoked_stays_so_whatever_the_clock_says(
    bench: PublisherBench, jump: float
) -> None:
    """Gates have clocks of their own: nobody's token ends earlier because ours was set, ahead or back, and right again."""
    bench.now += timedelta(hours=2)
    bench.store.revoke("before", at=bench.now)
    bench.tick()
    bench.set_clock(jump)
    bench.tick()
    bench.store.revoke("meanwhile", at=bench.now)
    bench.now += timedelta(seconds=1)
    bench.tick()
    everyone = {bench.subject("before"), bench.subject("meanwhile")}
    assert bench.first.revoked == everyone
    bench.set_clock(-jump)
    bench.tick()
    bench.now += timedelta(seconds=LIFETIME + 118)
    bench.tick()
    assert bench.first.revoked == everyone
    assert bench.lists("before", "meanwhile") == [True, True]
    bench.now += timedelta(seconds=5)
    bench.store.revoke("late", at=bench.now)
    bench.tick()
    assert bench.first.revoked == {bench.subject("late")}


def test_a_clock_that_was_wrong_at_first(bench: PublisherBench) -> None:
    """It is set right by more than a window, for good: the names of before go when their time is really over."""
    bench.store.revoke("before", at=bench.now)
    bench.tick()
    bench.set_clock(86_400)
    for _ in range(59):
        bench.tick()
        assert bench.first.revoked == {bench.subject("before")}
        bench.now += timedelta(minutes=1)
    bench.now += timedelta(minutes=5)
    bench.tick()
    bench.store.revoke("late", at=bench.now)
    bench.tick()
    assert bench.first.revoked == {bench.subject("late")}


@given(
    st.lists(
        st.tuples(st.floats(0, 500), st.sampled_from((0, 0, 0, 5, 86_400, -5, -86_400))),
        min_size=2,
    )
)
def test_nothing_grows_old_faster_than_time_passes(steps: list[tuple[float, int]]) -> None:
    """Whatever the clock is set to: but for what is believed after a whole window, and for a clock that was set back."""
    clock, wall, steady = PatientClock(), 1_700_000_000.0, 0.0
    told = clock.time(wall, steady)
    for passed, jump in steps:
        wall, steady = wall + passed + jump, steady + passed
        before, told = told, clock.time(wall, steady)
        assert told <= wall
        assert told <= before + passed + 1 or steady > 3720


@contextmanager
def full_disk(at: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("short", [0, 100], ids=["nothing", "half a line"])
def test_a_full_disk_keeps_nothing_from_gates(bench: PublisherBench, short: int) -> None:
    """They are told over the network; the file is as it was, and comes after under the same generation."""
    reader = bench.reader()
    before = bench.chain.read_bytes()
    bench.store.revoke("one")
    with full_disk(len(before) + short):
        for _ in range(2):
            with pytest.raises(PrivateFileError):
                bench.tick()
        assert reader.take(bench.told(reader))
        assert bench.told(reader) == []
        assert bench.chain.read_bytes() == before
        bench.store.revoke("two")
        with pytest.raises(PrivateFileError):
            bench.tick()
        assert reader.take(bench.told(reader))
    assert reader.bundle is not None
    assert reader.bundle.is_revoked(bench.subject("two"))
    assert len(bench.lines) == 1
    bench.tick()
    assert len(bench.lines) == 3
    assert bench.told(reader) == []
    assert bench.reader().tip == reader.tip
    assert bench.first.generation == reader.bundle.generation
    assert len(bench.first.revoked) == 2


def test_a_counter_that_cannot_be_written_keeps_nothing_from_gates(bench: PublisherBench) -> None:
    """It is told; after a restart a gate's own generation brings the number back."""
    counter = bench.directory / "gate-generation"
    counter.unlink()
    counter.mkdir()
    bench.store.revoke("one")
    with pytest.raises(PrivateFileError, match="gate-generation"):
        bench.tick()
    assert bench.lists("one") == [True]
    assert len(bench.first.revoked) == 1


def test_half_a_line_is_no_line(bench: PublisherBench) -> None:
    """Of a process that died while it wrote: gates don't see it, and the next one doesn't write behind it."""
    bench.store.revoke("one")
    bench.tick()
    gate = bench.gate()
    with bench.chain.open("ab") as file:
        file.write(bench.lines[1][:50])
    assert gate.generation
    assert gate.fault is None
    bench.start()
    bench.store.revoke("two")
    bench.tick()
    assert bench.lists("one", "two") == [True, True]
    assert gate.is_revoked(bench.subject("two")) or gate.generation
    assert gate.is_revoked(bench.subject("two"))
    assert gate.fault is None


def test_an_older_chain_that_is_put_back_is_replaced(bench: PublisherBench) -> None:
    """A gate that runs keeps what it has, one that starts is told by the next turn; nothing is done by hand."""
    older = bench.chain.read_bytes()
    bench.store.revoke("one")
    bench.tick()
    gate = bench.gate()
    assert gate.generation
    publish_bundle(bench.chain, older)
    assert gate.generation
    assert gate.is_revoked(bench.subject("one"))
    assert gate.fault is not None
    fresh = bench.gate()
    assert fresh.fault is not None
    bench.tick()
    assert fresh.generation == gate.generation
    assert [each.fault for each in (gate, fresh)] == [None, None]
    assert fresh.is_revoked(bench.subject("one"))


@pytest.mark.parametrize("spoil", ["removed", "foreign", "broken"])
def test_a_chain_that_is_spoiled_is_written_again(bench: PublisherBench, spoil: str) -> None:
    """Under a higher generation, so that whoever saw something else goes over."""
    bench.store.revoke("one")
    bench.tick()
    gate = bench.gate()
    before = gate.generation
    bench.chain.unlink()
    if spoil == "foreign":
        publish_bundle(bench.chain, b"x.y.z AA\n")
    if spoil == "broken":
        publish_bundle(bench.chain, b"\n")
    bench.tick()
    assert gate.generation > before
    assert gate.fault is None
    assert gate.is_revoked(bench.subject("one"))


def test_the_first_version_that_is_put_back_is_refused(bench: PublisherBench) -> None:
    """By a gate that had the chain once, also after a restart without any chain."""
    assert bench.gate().generation
    bench.chain.unlink()
    gate = bench.gate()
    with pytest.raises(Exception, match="clinic"):
        _ = gate.generation
    assert gate.fault is not None
    bench.tick()
    assert gate.generation


def restored(bench: PublisherBench, ticks: int = 3) -> ChainReader:
    """Return a gate of before, after the service's files were put back."""
    kept = {each: each.read_bytes() for each in bench.directory.rglob("*") if each.is_file()}
    for number in range(ticks):
        bench.store.revoke(f"lost{number}")
        bench.tick()
    reader = bench.reader()
    for path in bench.directory.rglob("*"):
        if path.is_file():
            path.unlink()
    for path, data in kept.items():
        publish_bundle(path, data)
    bench.store.revoked.clear()
    bench.start()
    bench.tick()
    return reader


def test_a_service_that_was_put_back_goes_on_above_its_gates(bench: PublisherBench) -> None:
    """A gate says how far it is, and gets a chain of a higher generation."""
    bench.now -= timedelta(days=1)
    reader = restored(bench)
    assert reader.bundle is not None
    was = reader.bundle.generation
    assert bench.told(reader) == []
    bench.tick()
    assert reader.take(bench.told(reader))
    assert reader.bundle.generation > was
    assert bench.told(reader) == []
    bench.store.revoke("one")
    bench.tick()
    assert reader.take(bench.told(reader))
    assert reader.bundle.is_revoked(bench.subject("one"))


def test_another_line_of_the_same_generation_heals_too(bench: PublisherBench) -> None:
    """Two services that were one: each drew the number, and gates of one ask the other."""
    bench.now -= timedelta(days=1)
    reader = restored(bench, ticks=1)
    bench.store.revoke("other")
    bench.tick()
    assert reader.bundle is not None
    here = bench.reader().bundle
    assert here is not None
    assert (here.generation, bench.reader().tip == reader.tip) == (reader.bundle.generation, False)
    assert bench.told(reader) == []
    bench.tick()
    assert reader.take(bench.told(reader))
    assert reader.bundle.is_revoked(bench.subject("other"))


def test_a_gate_cannot_raise_the_number_without_end(bench: PublisherBench) -> None:
    """What it claims counts up to a bound."""
    generation = bench.first.generation
    for claimed in (10**15, generation + MOST_LIFTED + 1):
        answer = bench.publisher.chain_after("clinic", "A" * 43, claimed, seconds=0)
        assert asyncio.run(answer) is None
        bench.tick()
        assert bench.first.generation == generation
    answer = bench.publisher.chain_after("clinic", "A" * 43, generation + MOST_LIFTED, seconds=0)
    assert asyncio.run(answer) is None
    bench.tick()
    assert bench.first.generation == generation + MOST_LIFTED + 2


def test_a_gate_that_lost_its_chain_gets_one_that_all_gates_take(bench: PublisherBench) -> None:
    """It says one less than it had: a service that is as far gives what it has, one that was put back goes above that."""
    had = bench.first.generation
    lost = bench.publisher.chain_after("clinic", "A" * 43, had - 1, seconds=0)
    answer = asyncio.run(lost)
    assert answer is not None
    assert answer.generation == had
    bench.now -= timedelta(days=1)
    reader = restored(bench)
    assert reader.bundle is not None
    was = reader.bundle.generation
    lost = bench.publisher.chain_after("clinic", "A" * 43, was - 1, seconds=0)
    assert asyncio.run(lost) is None
    bench.tick()
    assert bench.first.generation > was


def test_a_gate_beside_a_service_that_was_put_back(bench: PublisherBench) -> None:
    """Its floor says how far it was."""
    bench.now -= timedelta(days=1)
    floor = bench.first.generation + 500
    raise_floor(bench.path, Floor(2, floor))
    bench.start()
    bench.tick()
    gate = bench.gate()
    assert gate.generation > floor
    assert gate.fault is None


def test_more_than_can_be_listed_cuts_all_off(tmp_path: Path) -> None:
    """Tokens of before are refused until the last of them has ended; the first version stays as it is."""
    bench = PublisherBench(tmp_path, bounds=PublisherBounds(named=10, listed=20))
    bench.now += timedelta(hours=1)
    bench.tick()
    before = bench.path.read_bytes()
    bench.store.revoke(*(f"n{number}" for number in range(21)), at=bench.now)
    bench.tick()
    bundle = bench.reader().bundle
    assert bundle is not None
    at = int(bench.now.timestamp())
    for issued, cut in ((at, True), (at + 1, False)):
        assert bundle.is_cut(_issued(issued)) is cut
    assert bench.path.read_bytes() == before
    bench.store.revoke("later", at=bench.now)
    bench.tick()
    assert bench.lists("later") == [True]
    assert bench.path.read_bytes() == before
    bench.start()
    bench.tick()
    bundle = bench.reader().bundle
    assert bundle is not None
    assert bundle.is_cut(_issued(at))
    bench.now += timedelta(hours=2)
    bench.tick()
    bundle = bench.reader().bundle
    assert bundle is not None
    assert bundle.cuts == ()
    assert bench.first.revoked == frozenset()


def _issued(at: int) -> TokenClaims:
    return replace(CLAIMS, issued_at=at)


def test_more_than_the_first_version_names(tmp_path: Path) -> None:
    """It stays as it is, the chain goes on, and once there is room it comes after."""
    bench = PublisherBench(tmp_path, bounds=PublisherBounds(named=10))
    bench.now += timedelta(hours=1)
    bench.store.revoke(*(f"n{number}" for number in range(10)), at=bench.now)
    bench.tick()
    before = bench.first
    bench.store.revoke("one", at=bench.now)
    bench.tick()
    assert bench.lists("one") == [True]
    assert bench.first == before
    bench.now += timedelta(hours=2)
    bench.tick()
    here = bench.reader().bundle
    assert here is not None
    assert (bench.first.revoked, bench.first.generation) == (frozenset(), here.generation)


def test_many_names_are_prepared_while_others_come(tmp_path: Path) -> None:
    """Each pause lets one more come and one be forgotten; all that are held then are listed."""
    bench = PublisherBench(tmp_path)
    bench.tick()
    everyone = RevokedSubjects()
    names = [base64url.encode(number.to_bytes(32, "big")) for number in range(5000)]
    everyone.add((each, float(at)) for at, each in enumerate(names[:3000]))
    coming = iter(range(3000, 5000))

    def pause() -> None:
        at = next(coming, None)
        if at is not None:
            everyone.add([(names[at], float(at))])
            everyone.forget(at - 3000.0)

    signer = bench.keyring.bundle_signer()
    path = tmp_path / "other.jws"
    chain = ChainWriter(path, signer.verification_key(), bench.entropy.token_bytes, pause)
    state = replace(bench.first, generation=bench.first.generation + 9)
    chain.prepare(everyone)
    end = everyone.end
    assert end > 3010
    chain.write(state, everyone, signer)
    bundle = bench.reader(chain_path(path).read_bytes().split(b"\n")[:-1]).bundle
    assert bundle is not None
    assert bundle.generation == state.generation
    assert all(bundle.is_revoked(each) for each in names[everyone.first : everyone.end])


def test_no_line_keeps_a_secret_that_was_rotated_out(bench: PublisherBench, tmp_path: Path) -> None:
    """Gates are told at once by a change; a snapshot then takes the place of all lines, also after a restart."""
    bench.tick()
    signer, nobody, path = bench.keyring.bundle_signer(), RevokedSubjects(), tmp_path / "other.jws"

    def begun() -> ChainWriter:
        return ChainWriter(path, signer.verification_key(), bench.entropy.token_bytes, lambda: None)

    chain, state = begun(), bench.first
    secret = state.secrets[0]
    state = replace(state, secrets=(secret,))
    chain.write(state, nobody, signer)
    added = replace(secret, epoch=secret.epoch + 1)
    for secrets, due in (((secret, added), False), ((added,), True)):
        state = replace(state, generation=state.generation + 1, secrets=secrets)
        chain.write(state, nobody, signer)
        assert chain.is_snapshot_due(nobody) is due
        assert begun().is_snapshot_due(nobody) is due
    chain.prepare(nobody)
    chain.write(replace(state, generation=state.generation + 1), nobody, signer)
    assert len(chain_path(path).read_bytes().splitlines()) == 1
    assert not chain.is_snapshot_due(nobody)


@given(st.lists(st.one_of(st.integers(0, 50), st.none()), max_size=40))
def test_names_are_held_in_order_until_they_are_forgotten(steps: list[int | None]) -> None:
    """Numbers stay with their names, whatever times come and whatever is forgotten."""
    subjects = RevokedSubjects()
    model: list[tuple[str, float]] = []
    first = count = 0
    for step in steps:
        if step is None:
            middle = model[len(model) // 2][1] if model else 0.0
            subjects.forget(middle)
            while model and model[0][1] < middle:
                del model[0]
                first += 1
        else:
            name = base64url.encode(count.to_bytes(32, "big"))
            subjects.add([(name, float(step))])
            model.append((name, max(float(step), model[-1][1] if model else 0.0)))
            count += 1
        assert list(subjects) == [each for each, _ in model]
        assert (subjects.first, subjects.end, len(subjects)) == (first, count, len(model))


def test_a_lifetime_of_before_counts_for_an_hour(tmp_path: Path) -> None:
    """Over restarts too; nobody knows what was before the first one, so that the longest is assumed."""
    path, now = tmp_path / "window.json", 1_000_000.0
    first = TokenWindow(path, 300)
    assert first.seconds(now) == 3720
    assert TokenWindow(path, 300).seconds(now + KEPT_SECONDS - 1) == 3720
    assert first.seconds(now + KEPT_SECONDS) == 420
    now += KEPT_SECONDS
    assert TokenWindow(path, 300).seconds(now) == 420
    assert TokenWindow(path, 900).seconds(now) == 1020
    shorter = TokenWindow(path, 60)
    assert shorter.seconds(now + 10) == 1020
    assert TokenWindow(path, 60).seconds(now + 20) == 1020
    assert shorter.seconds(now + 10 + KEPT_SECONDS) == 180
    # A restart doesn't begin the hour anew.
    assert TokenWindow(path, 60).seconds(now + 10 + KEPT_SECONDS) == 180


def test_two_changes_of_the_lifetime_within_an_hour(tmp_path: Path) -> None:
    """The longest of them counts."""
    path, now = tmp_path / "window.json", 1_000_000.0
    TokenWindow(path, 30).seconds(now)
    now += KEPT_SECONDS
    for lifetime in (1800, 600, 30):
        now += 1
        assert TokenWindow(path, lifetime).seconds(now) == 1920


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"v":1,"lifetime":"300","longer":300,"until":0}',
        b'{"v":2,"lifetime":300,"longer":300,"until":0}',
        b'{"v":1,"lifetime":-1,"longer":300,"until":0}',
        b"x" * 300,
    ],
)
def test_a_note_of_the_lifetime_that_cannot_be_read(tmp_path: Path, data: bytes) -> None:
    """The longest is assumed: too long costs bytes, too short would let revoked ones in."""
    path = tmp_path / "window.json"
    publish_bundle(path, data)
    assert TokenWindow(path, 300).seconds(1_000_000.0) == 3720


def test_a_note_of_the_lifetime_from_a_clock_that_ran_ahead(tmp_path: Path) -> None:
    """It counts for an hour, and no longer."""
    path = tmp_path / "window.json"
    publish_bundle(path, b'{"v":1,"lifetime":300,"longer":99999,"until":99999999}')
    window = TokenWindow(path, 300)
    assert window.seconds(1_000_000.0) == 3720
    assert window.seconds(1_000_000.0 + KEPT_SECONDS) == 420


def test_a_note_of_the_lifetime_that_cannot_be_written(tmp_path: Path) -> None:
    """The window is right all the same; it is written as soon as that is possible."""
    path = tmp_path / "none" / "window.json"
    window = TokenWindow(path, 300)
    assert [window.seconds(1_000_000.0 + each) for each in (0, KEPT_SECONDS)] == [3720, 420]
    path.parent.mkdir()
    window.seconds(1_000_001.0 + KEPT_SECONDS)
    assert TokenWindow(path, 300).seconds(1_000_001.0 + KEPT_SECONDS) == 420


def test_a_gate_of_this_process_is_told_to_look(bench: PublisherBench) -> None:
    """It needn't wait for its next look: the publication says when the files may have changed."""
    times = iter(range(1_000_000))
    gate = GateBundleFile(
        bench.path, bench.path.with_name("signer.jwk"), lambda: next(times) / 1_000_000
    )
    bench.publisher.on_news(gate.look_soon)
    before = gate.generation
    bench.store.revoke("thief")
    bench.tick()
    assert gate.generation > before
    assert gate.is_revoked(bench.subject("thief"))
