"""Show what the keeper of secrets gives out: while the store answers, while it is away, and while others write."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from tests.unit.broker.simulators import MemoryStore

from watchword.broker.interface import InjectedValue, SecretValue, StoredSecret, added, rotated
from watchword.broker.keeper import DELIVERY_AGE_SECONDS, SecretKeeper
from watchword.reasons import MalformedError, Reason, RefusedError, UnavailableError

NOW = 1_800_000_000.0
ONE, TWO, THREE = (SecretValue(f"key-{each}") for each in ("one", "two", "three"))
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one test's work."""
    return asyncio.run(work)


async def ready(store: MemoryStore | None = None) -> tuple[SecretKeeper, MemoryStore]:
    """Return a keeper that has read a store with two versions of ``maps``, which overlap."""
    store = store or MemoryStore()
    store.held["maps"] = StoredSecret(rotated(added("maps", ONE, NOW), TWO, 600, NOW), 4)
    keeper = SecretKeeper(store, {"maps"})
    await keeper.refresh(NOW)
    return keeper, store


def injected(keeper: SecretKeeper, now: float = NOW) -> dict[str, InjectedValue]:
    """Return what is injected for ``maps``."""
    return keeper.injected(["maps"], now)


def test_the_newest_version_is_injected() -> None:
    """One value of each name that is asked for and has one."""

    async def work() -> None:
        keeper, _ = await ready()
        assert keeper.injected(["maps", "push"], NOW) == {"maps": InjectedValue(2, TWO)}
        assert keeper.injected([], NOW) == {}
        assert keeper.read_at == NOW
        assert keeper.trouble is None
        assert list(keeper.known()) == ["maps"]

    run(work())


def test_a_store_that_is_away_takes_nothing_away() -> None:
    """The last good reading goes on being injected; the trouble is told, and gone once the store is back."""

    async def work() -> None:
        keeper, store = await ready()
        store.away = True
        with pytest.raises(UnavailableError) as caught:
            await keeper.refresh(NOW + 5)
        assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
        assert "away" in (keeper.trouble or "")
        assert keeper.read_at == NOW
        assert injected(keeper, NOW + 5) == {"maps": InjectedValue(2, TWO)}
        store.away = False
        await keeper.refresh(NOW + 6)
        assert keeper.trouble is None
        assert keeper.read_at == NOW + 6

    run(work())


def test_what_has_ended_is_injected_no_more_while_the_store_is_away() -> None:
    """The end of an overlap comes by the clock, without a reading."""

    async def work() -> None:
        keeper, store = await ready()
        await keeper.revoke("maps", 2, NOW)
        store.away = True
        assert injected(keeper, NOW + 599) == {"maps": InjectedValue(1, ONE)}
        assert injected(keeper, NOW + 600) == {}

    run(work())


def test_nothing_is_delivered_before_the_first_reading() -> None:
    """Nor of a secret without a value; both are told as a want, not as a refusal."""

    async def work() -> None:
        with pytest.raises(UnavailableError) as caught:
            SecretKeeper(MemoryStore(), ()).deliverable("maps", NOW)
        assert caught.value.reason is Reason.SECRET_UNAVAILABLE
        keeper, _ = await ready()
        with pytest.raises(UnavailableError) as caught:
            keeper.deliverable("push", NOW)
        assert caught.value.reason is Reason.SECRET_UNAVAILABLE
        assert keeper.deliverable("maps", NOW).value == TWO

    run(work())


def test_deliveries_wait_when_the_reading_is_old() -> None:
    """Somebody may have revoked it since; what a phone has can't be called back."""

    async def work() -> None:
        keeper, _ = await ready()
        assert keeper.deliverable("maps", NOW + DELIVERY_AGE_SECONDS).number == 2
        with pytest.raises(UnavailableError) as caught:
            keeper.deliverable("maps", NOW + DELIVERY_AGE_SECONDS + 1)
        assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE

    run(work())


def test_deliveries_wait_when_the_clock_was_set_back() -> None:
    """The age of the reading isn't known then: it mustn't be young for hours while the store is away."""

    async def work() -> None:
        keeper, _ = await ready()
        assert keeper.deliverable("maps", NOW - DELIVERY_AGE_SECONDS).number == 2
        with pytest.raises(UnavailableError) as caught:
            keeper.deliverable("maps", NOW - DELIVERY_AGE_SECONDS - 1)
        assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
        await keeper.refresh(NOW - 7200)
        assert keeper.deliverable("maps", NOW - 7200).number == 2

    run(work())


def test_a_secret_of_which_nothing_counts_is_revoked() -> None:
    """It is neither delivered nor injected."""

    async def work() -> None:
        keeper, _ = await ready()
        assert await keeper.revoke("maps", None, NOW) == (1, 2)
        with pytest.raises(RefusedError) as caught:
            keeper.deliverable("maps", NOW)
        assert caught.value.reason is Reason.SECRET_REVOKED
        assert injected(keeper) == {}

    run(work())


def test_what_was_changed_here_counts_at_once() -> None:
    """Without waiting for the next reading: added, rotated, revoked."""

    async def work() -> None:
        store = MemoryStore()
        keeper = SecretKeeper(store, {"maps"})
        await keeper.refresh(NOW)
        assert (await keeper.add("maps", ONE, NOW)).number == 1
        assert injected(keeper) == {"maps": InjectedValue(1, ONE)}
        assert (await keeper.rotate("maps", TWO, 60, NOW)).number == 2
        assert injected(keeper) == {"maps": InjectedValue(2, TWO)}
        assert await keeper.revoke("maps", 2, NOW) == (2,)
        assert injected(keeper) == {"maps": InjectedValue(1, ONE)}
        assert store.held["maps"] == keeper.known()["maps"]

    run(work())


def test_a_secret_is_added_once() -> None:
    """Also when two do it at the same time: the value of one of them stays."""

    async def work() -> None:
        keeper, store = await ready()
        with pytest.raises(RefusedError) as caught:
            await keeper.add("maps", THREE, NOW)
        assert caught.value.reason is Reason.SECRET_EXISTS
        other = SecretKeeper(store, ())
        results = await asyncio.gather(
            keeper.add("push", ONE, NOW), other.add("push", TWO, NOW), return_exceptions=True
        )
        (lost,) = (each for each in results if isinstance(each, RefusedError))
        assert lost.reason is Reason.SECRET_EXISTS
        assert len(store.held["push"].record.versions) == 1

    run(work())


def test_of_two_rotations_at_once_one_is_done() -> None:
    """The other one is told so, and no value is lost or counted twice."""

    async def work() -> None:
        keeper, store = await ready()
        other = SecretKeeper(store, ())
        results = await asyncio.gather(
            keeper.rotate("maps", THREE, 60, NOW),
            other.rotate("maps", SecretValue("key-four"), 60, NOW),
            return_exceptions=True,
        )
        (lost,) = (each for each in results if isinstance(each, RefusedError))
        assert lost.reason is Reason.SECRET_CONFLICT
        assert [each.number for each in store.held["maps"].record.versions] == [1, 2, 3]

    run(work())


def test_a_rotation_names_what_its_caller_saw() -> None:
    """Who looked at an older state rotates nothing; who looked at this one does."""

    async def work() -> None:
        keeper, store = await ready()
        with pytest.raises(RefusedError) as caught:
            await keeper.rotate("maps", THREE, 0, NOW, expected=1)
        assert caught.value.reason is Reason.SECRET_CONFLICT
        assert store.writes == 0
        assert (await keeper.rotate("maps", THREE, 0, NOW, expected=2)).number == 3

    run(work())


def test_what_is_not_there_is_unknown() -> None:
    """A secret without a value can be neither rotated nor revoked, nor a version that it hasn't."""

    async def work() -> None:
        keeper, store = await ready()
        for call in (
            keeper.rotate("push", ONE, 0, NOW),
            keeper.revoke("push", None, NOW),
            keeper.revoke("maps", 7, NOW),
        ):
            with pytest.raises(RefusedError) as caught:
                await call
            assert caught.value.reason is Reason.SECRET_UNKNOWN
        assert store.writes == 0

    run(work())


def test_a_refused_revocation_withholds_nothing() -> None:
    """A version that doesn't exist yet isn't dead when it comes."""

    async def work() -> None:
        keeper, _ = await ready()
        with pytest.raises(RefusedError):
            await keeper.revoke("maps", 3, NOW)
        await keeper.rotate("maps", THREE, 0, NOW)
        assert injected(keeper) == {"maps": InjectedValue(3, THREE)}
        assert not keeper.is_withheld("maps", 3)
        await keeper.refresh(NOW + 1)
        assert injected(keeper) == {"maps": InjectedValue(3, THREE)}

    run(work())


@pytest.mark.parametrize("text", ["two\nlines", " ends-blank", "tab\tin", "snow ☃"])
def test_a_value_that_can_not_stand_in_a_header_is_not_kept(text: str) -> None:
    """Only where it goes there: what is delivered may have line breaks."""

    async def work() -> None:
        keeper, store = await ready()
        for call in (
            keeper.add("maps", SecretValue(text), NOW),
            keeper.rotate("maps", SecretValue(text), 0, NOW),
        ):
            with pytest.raises(MalformedError) as caught:
                await call
            assert caught.value.reason is Reason.SECRET_VALUE
            assert text not in str(caught.value)
        assert store.writes == 0
        await keeper.add("push", SecretValue(text), NOW)
        assert keeper.deliverable("push", NOW).value == SecretValue(text)

    run(work())


def test_what_somebody_put_into_the_backend_is_not_sent_unchecked() -> None:
    """A gate would refuse the whole bundle for it: it is left out, and told by its name alone."""

    async def work() -> None:
        keeper, store = await ready()
        store.held["maps"] = StoredSecret(added("maps", SecretValue("bad\nvalue"), NOW), 9)
        await keeper.refresh(NOW)
        assert injected(keeper) == {}
        assert keeper.trouble == "secret.value: can't be sent: maps version 1"

    run(work())


def test_a_failed_change_does_not_look_done() -> None:
    """Neither a new secret nor a new version shows while the store can't keep it."""

    async def work() -> None:
        keeper, store = await ready()
        store.away = True
        for call in (keeper.add("push", ONE, NOW), keeper.rotate("maps", THREE, 0, NOW)):
            with pytest.raises(UnavailableError) as caught:
                await call
            assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
        assert injected(keeper) == {"maps": InjectedValue(2, TWO)}
        assert list(keeper.known()) == ["maps"]

    run(work())


def test_a_revocation_that_is_not_kept_withholds_and_says_so() -> None:
    """The value leaves gates at once; the record shows no revocation, since none is durable."""

    async def work() -> None:
        keeper, store = await ready()
        store.away = True
        with pytest.raises(UnavailableError) as caught:
            await keeper.revoke("maps", 2, NOW)
        assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
        assert "forgets it" in str(caught.value)
        assert injected(keeper) == {"maps": InjectedValue(1, ONE)}
        assert keeper.deliverable("maps", NOW).number == 1
        assert keeper.is_withheld("maps", 2)
        assert not keeper.is_withheld("maps", 1)
        assert keeper.known()["maps"].record.versions[1].revoked_at is None
        with pytest.raises(UnavailableError):
            await keeper.refresh(NOW + 1)
        assert keeper.is_withheld("maps", 2)

    run(work())


def test_a_withheld_revocation_is_written_when_the_store_is_back() -> None:
    """By the next reading, without anybody repeating it; then nothing is withheld any more."""

    async def work() -> None:
        keeper, store = await ready()
        store.away = True
        with pytest.raises(UnavailableError):
            await keeper.revoke("maps", None, NOW)
        store.away = False
        await keeper.refresh(NOW + 2)
        versions = store.held["maps"].record.versions
        assert [(each.value, each.revoked_at) for each in versions] == [(None, int(NOW + 2))] * 2
        assert not keeper.is_withheld("maps", 1)
        await keeper.rotate("maps", THREE, 0, NOW + 2)
        assert injected(keeper, NOW + 2) == {"maps": InjectedValue(3, THREE)}

    run(work())


def test_a_withheld_revocation_covers_no_version_that_comes_later() -> None:
    """Not even one of the same second: who revokes a stolen key gives the next one right away."""

    async def work() -> None:
        keeper, store = await ready()
        store.away = True
        with pytest.raises(UnavailableError):
            await keeper.revoke("maps", None, NOW)
        store.away = False
        await keeper.rotate("maps", THREE, 3600, NOW)
        assert injected(keeper) == {"maps": InjectedValue(3, THREE)}
        await keeper.refresh(NOW)
        kept = store.held["maps"].record.versions
        assert [each.revoked_at is not None for each in kept] == [True, True, False]

    run(work())


def test_a_reading_beside_a_revocation_takes_nothing_from_it() -> None:
    """The call itself writes, and tells its caller what it did."""

    async def work() -> None:
        keeper, store = await ready()
        done, _ = await asyncio.gather(keeper.revoke("maps", 2, NOW), keeper.refresh(NOW))
        assert done == (2,)
        assert store.writes == 1

    run(work())


def test_before_the_first_reading_a_revocation_withholds_what_gates_have() -> None:
    """After a restart without a backend nobody knows numbers: all that was made until now is covered."""

    async def work() -> None:
        store = MemoryStore()
        _, store = await ready(store)
        keeper = SecretKeeper(store, {"maps"})
        store.away = True
        with pytest.raises(UnavailableError):
            await keeper.revoke("maps", None, NOW + 5)
        assert keeper.is_withheld("maps", 2)
        assert not keeper.is_withheld("push", 2)
        store.away = False
        other = SecretKeeper(store, {"maps"})
        await other.rotate("maps", THREE, 3600, NOW + 6)
        await keeper.refresh(NOW + 7)
        assert injected(keeper, NOW + 7) == {"maps": InjectedValue(3, THREE)}
        kept = store.held["maps"].record.versions
        assert [each.revoked_at is not None for each in kept] == [True, True, False]

    run(work())


def test_a_revocation_whose_answer_was_lost_is_found_done() -> None:
    """The write happened: the next reading shows it, and nothing is written twice."""

    async def work() -> None:
        keeper, store = await ready()
        store.loses_answers = True
        with pytest.raises(UnavailableError):
            await keeper.revoke("maps", 2, NOW)
        assert keeper.is_withheld("maps", 2)
        await keeper.refresh(NOW + 1)
        assert not keeper.is_withheld("maps", 2)
        assert store.writes == 1
        assert injected(keeper) == {"maps": InjectedValue(1, ONE)}

    run(work())


def test_a_revocation_wins_over_a_rotation_at_the_same_time() -> None:
    """It is written in the next try, and takes nothing of the new version."""

    async def work() -> None:
        keeper, store = await ready()
        other = SecretKeeper(store, ())
        _, done = await asyncio.gather(
            other.rotate("maps", THREE, 60, NOW), keeper.revoke("maps", 2, NOW)
        )
        assert done == (2,)
        versions = store.held["maps"].record.versions
        assert [each.value for each in versions] == [ONE, None, THREE]

    run(work())


def test_a_revocation_that_is_always_overtaken_is_a_conflict() -> None:
    """It ends after a few tries, and says that nothing was done."""

    async def work() -> None:
        keeper, store = await ready()

        class Busy(MemoryStore):
            async def read(self, name: str) -> StoredSecret | None:
                found = self.held[name]
                self.held[name] = replace(found, revision=found.revision + 1)
                return found

        busy = Busy()
        busy.held.update(store.held)
        keeper = SecretKeeper(busy, ())
        await keeper.refresh(NOW)
        with pytest.raises(RefusedError) as caught:
            await keeper.revoke("maps", 2, NOW)
        assert caught.value.reason is Reason.SECRET_CONFLICT
        assert not keeper.is_withheld("maps", 2)

    run(work())


def test_a_second_revocation_changes_nothing() -> None:
    """It tells that there was nothing left to revoke."""

    async def work() -> None:
        keeper, store = await ready()
        assert await keeper.revoke("maps", 1, NOW) == (1,)
        assert await keeper.revoke("maps", 1, NOW) == ()
        assert await keeper.revoke("maps", None, NOW) == (2,)
        assert store.writes == 2

    run(work())


@pytest.mark.parametrize("change", ["add", "rotate", "revoke"])
def test_a_reading_under_way_undoes_no_change(change: str) -> None:
    """What it had looked at before the change is older than the change."""

    async def work() -> None:
        keeper, store = await ready()
        store.gate = asyncio.Event()
        reading = asyncio.create_task(keeper.refresh(NOW + 1))
        await asyncio.sleep(0)
        if change == "add":
            await keeper.add("push", ONE, NOW)
        elif change == "rotate":
            await keeper.rotate("maps", THREE, 0, NOW)
        else:
            await keeper.revoke("maps", None, NOW)
        after = dict(keeper.known())
        store.gate.set()
        await reading
        assert dict(keeper.known()) == after == store.held

    run(work())


def test_of_two_readings_the_later_one_stays() -> None:
    """The earlier one comes back last, with what it saw before somebody else's change."""

    async def work() -> None:
        keeper, store = await ready()
        store.gate = slow = asyncio.Event()
        first = asyncio.create_task(keeper.refresh(NOW + 1))
        await asyncio.sleep(0)
        store.gate = None
        await SecretKeeper(store, ()).revoke("maps", None, NOW)
        await keeper.refresh(NOW + 2)
        assert injected(keeper) == {}
        slow.set()
        await first
        assert injected(keeper) == {}

    run(work())


def test_a_store_that_was_put_back_is_not_believed() -> None:
    """A backup from before a revocation would make the key alive; a new process may begin with it."""

    async def work() -> None:
        keeper, store = await ready()
        old = dict(store.held)
        await keeper.revoke("maps", 2, NOW)
        store.held = old
        with pytest.raises(UnavailableError) as caught:
            await keeper.refresh(NOW + 1)
        assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
        assert "backup" in (keeper.trouble or "")
        assert injected(keeper) == {"maps": InjectedValue(1, ONE)}
        again = SecretKeeper(store, ())
        await again.refresh(NOW + 2)
        assert injected(again) == {"maps": InjectedValue(2, TWO)}

    run(work())


@pytest.mark.parametrize(
    "change",
    [
        lambda keeper: keeper.rotate("maps", THREE, 3600, NOW + 1),
        lambda keeper: keeper.revoke("maps", 1, NOW + 1),
    ],
    ids=["rotate", "revoke"],
)
def test_a_store_that_was_put_back_is_not_changed(
    change: Callable[[SecretKeeper], Awaitable[object]],
) -> None:
    """The change would count as the newest state, and a version that was revoked be alive for the overlap."""

    async def work() -> None:
        keeper, store = await ready()
        old = dict(store.held)
        await keeper.revoke("maps", 2, NOW)
        store.held = dict(old)
        with pytest.raises(UnavailableError) as caught:
            await change(keeper)
        assert caught.value.reason is Reason.SECRET_STORE_UNAVAILABLE
        assert store.held == old

    run(work())


def test_a_withheld_revocation_outlives_a_deletion_in_the_store() -> None:
    """What an administrator deletes there he can undelete; nobody who revoked it has asked for that."""

    async def work() -> None:
        keeper, store = await ready()
        store.away = True
        with pytest.raises(UnavailableError):
            await keeper.revoke("maps", None, NOW)
        store.away, deleted = False, dict(store.held)
        store.held.clear()
        await keeper.refresh(NOW + 1)
        store.held = deleted
        await keeper.refresh(NOW + 2)
        assert injected(keeper, NOW + 2) == {}
        assert [each.value for each in store.held["maps"].record.versions] == [None, None]

    run(work())


def test_a_secret_that_is_gone_from_the_store_is_injected_no_more() -> None:
    """An administrator of the backend took it out."""

    async def work() -> None:
        keeper, store = await ready()
        store.held.clear()
        await keeper.refresh(NOW + 1)
        assert injected(keeper) == {}
        assert keeper.known() == {}

    run(work())


def test_no_value_shows() -> None:
    """Neither in representations nor in the text of a refusal."""

    async def work() -> None:
        keeper, store = await ready()
        store.away = True
        shown = [repr(keeper.known()), repr(keeper), repr(injected(keeper)), repr(store.held)]
        for call in (keeper.rotate("maps", THREE, 0, NOW), keeper.revoke("maps", 2, NOW)):
            try:
                await call
            except UnavailableError as error:
                shown.append(f"{error!r} {error}")
        assert len(shown) == 6
        assert not any("key-" in each for each in shown)

    run(work())
