"""Uses of challenges that came with tokens: many in a row, each once over all nodes, and none forgotten while it counts."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest
from tests.store_contract.entries import audit, instance, reason_of, run, use
from tests.store_contract.instances import Reopened
from tests.unit.enrolment.simulators import NOW

from watchword.adapters.challenge_log import FORGET_SECONDS, ChallengeLog
from watchword.adapters.store import Connection, EngineStore
from watchword.ports import ChallengeUse
from watchword.reasons import Reason, RefusedError, UnavailableError


def uses(count: int, name: str = "") -> Sequence[ChallengeUse]:
    """Return uses of so many challenges."""
    return [use(f"{name}{number}".encode()) for number in range(count)]


async def used(store: EngineStore, asked: Sequence[ChallengeUse]) -> list[bool]:
    """Use challenges at the same time; return of each whether it was unused."""
    found = await asyncio.gather(
        *(store.use_challenge(each, NOW) for each in asked), return_exceptions=True
    )
    assert all(each is None or isinstance(each, RefusedError) for each in found), found
    return [each is None for each in found]


def pages(store: EngineStore) -> int:
    """Return how many rows the log has."""
    rows = run(
        lambda: store.database.read(
            lambda connection: connection.execute("SELECT number FROM challenge_pages").fetchall()
        )
    )
    return len(rows)


def test_a_challenge_is_used_alone_and_once(store: EngineStore) -> None:
    """Those at the same time too, of which the extent tells; nothing else is written."""
    run(lambda: store.enrol(use(), instance(), audit()))
    before, trail = run(store.extent)[0], run(store.newest_audit)
    asked = [use(b"%d" % (number % 20)) for number in range(40)]
    assert run(lambda: used(store, asked)).count(True) == 20
    assert run(store.extent)[0] > before
    assert run(store.newest_audit) == trail
    assert reason_of(lambda: store.use_challenge(use(b"1"), NOW)) is Reason.CHALLENGE_USED
    # What the transactions of the store know is another kind of challenge.
    assert run(lambda: used(store, [use()])) == [True]


def test_many_uses_at_the_same_time_are_few_rows(store: EngineStore) -> None:
    """One for the first, one for those that came while it was written."""
    assert run(lambda: used(store, uses(600))).count(True) == 600
    assert pages(store) <= 3


def test_of_several_stores_one_finds_a_challenge_unused(
    store: EngineStore, reopened: Reopened
) -> None:
    """1,000 challenges, each shown to three nodes at the same time."""
    stores = [store, reopened(), reopened()]
    asked = uses(1000)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda each: asyncio.run(used(each, asked)), stores))
    assert [sum(each) for each in zip(*found, strict=True)] == [1] * 1000
    assert pages(store) <= 12
    for each in stores[1:]:
        each.close()


def test_uses_outlive_the_process(store: EngineStore, reopened: Reopened) -> None:
    """The next one reads them before it adds its own, in as many pieces as it takes."""
    for number in range(7):
        run(lambda number=number: used(store, uses(3, f"{number}-")))  # type: ignore[misc]
    assert pages(store) > 3
    with closing(reopened()) as again:
        assert run(lambda: used(again, uses(3, "2-"))) == [False] * 3
        log = ChallengeLog(again.database, pages_at_once=3)
        assert run(lambda: log.add(use(b"6-2"), NOW)) is False
        assert run(lambda: log.add(use(b"7-0"), NOW)) is True


def test_a_page_that_nobody_heard_of_counts(store: EngineStore, reopened: Reopened) -> None:
    """A commit whose answer was lost is a use all the same."""
    run(lambda: used(store, uses(1)))
    with closing(reopened()) as other:
        run(lambda: used(other, uses(5, "other")))
    assert run(lambda: used(store, [*uses(5, "other"), use(b"new")])) == [False] * 5 + [True]


def test_what_ended_is_forgotten_and_counts_as_used(store: EngineStore) -> None:
    """A clock that is set back finds no challenge unused of which nothing is known."""
    log = ChallengeLog(store.database)
    later = NOW + timedelta(seconds=300 + FORGET_SECONDS + 120)
    assert run(lambda: log.add(use(b"one"), NOW)) is True
    assert log.known == 1
    assert run(lambda: log.add(use(b"two", seconds=1000), later)) is True
    assert log.known == 1
    assert run(lambda: log.add(use(b"three"), NOW)) is False
    assert run(lambda: log.add(use(b"two", seconds=1000), NOW)) is False


def test_pages_are_dropped_and_their_number_stays(store: EngineStore, reopened: Reopened) -> None:
    """The last page is kept for its number, so that an older copy has a smaller one."""
    for number in range(3):
        run(lambda number=number: used(store, uses(2, f"{number}-")))  # type: ignore[misc]
    before = run(store.extent)[0]
    assert run(lambda: store.forget_expired(NOW + timedelta(seconds=299))) == 0
    assert run(lambda: store.forget_expired(NOW + timedelta(seconds=301))) >= 1
    assert pages(store) == 1
    assert run(store.extent)[0] == before
    with closing(reopened()) as again:
        run(lambda: used(again, uses(1, "again")))
        assert run(again.extent)[0] > before


@pytest.mark.parametrize("kept", [1, 2])
def test_an_older_copy_that_went_on_is_read_again(
    store: EngineStore, reopened: Reopened, kept: int
) -> None:
    """What this node knows it keeps, and it learns what others wrote into the copy, under whatever numbers."""
    for number in range(3):
        run(lambda number=number: used(store, uses(1, f"{number}-")))  # type: ignore[misc]

    def put_back(connection: Connection) -> None:
        connection.execute("DELETE FROM challenge_pages WHERE number > ?", (kept,))

    run(lambda: store.database.write(put_back))
    with closing(reopened()) as other:
        run(lambda: used(other, uses(1, "other")))
    asked = [*uses(1, "0-"), *uses(1, "2-"), *uses(1, "other"), use(b"new")]
    assert run(lambda: used(store, asked)) == [False, False, False, True]
    assert pages(store) == kept + 2


def test_more_than_memory_is_meant_for_is_refused(store: EngineStore) -> None:
    """The client then asks for a challenge, whose use the store keeps itself."""
    log = ChallengeLog(store.database, most_known=3)
    for each in uses(3):
        assert run(lambda each=each: log.add(each, NOW)) is True  # type: ignore[misc]
    assert reason_of(lambda: log.add(use(b"4"), NOW)) is Reason.CHALLENGE_SUPERSEDED
    assert run(lambda: log.add(use(b"2"), NOW)) is False


def test_a_store_that_is_gone_uses_nothing(store: EngineStore) -> None:
    """Whoever waits is told, and nothing is taken for recorded."""
    store.close()
    with pytest.raises(UnavailableError):
        run(lambda: store.use_challenge(use(), NOW))
