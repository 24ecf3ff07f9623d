"""Test how pins are brought up to date: what is taken, what is kept, and when the service is asked."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.client.pinning.simulators import Phone, Publishing, key, pin_set, roots_data, signed
from tests.unit.pins.builders import APP, HOST, NOW, builtin, spki

from watchword.client.pinning import FilePinStore, PinUpdater, StoreError
from watchword.client.pinning.installation import (
    FIRST_PAUSE,
    INTERVAL,
    MAX_PAUSE,
    STALE_INTERVAL,
    Kept,
)
from watchword.pins.interface import Basis
from watchword.pins.roots import read_roots
from watchword.reasons import Reason


def version(updater: PinUpdater) -> int:
    """Return the version of the set that is installed."""
    held = updater.keeper.installed.set
    return 0 if held is None else held.version


def second_roots(**changes: object) -> bytes:
    """Return the second root list, signed by keys of the first."""
    return roots_data(version=2, **changes)  # type: ignore[arg-type]


def test_a_newer_set_is_taken_and_survives_a_restart(tmp_path: Path) -> None:
    """What was fetched is judged by at once, and after a restart without a network too."""
    service = Publishing(newest_set=signed(pin_set(2)))
    phone = Phone(service, FilePinStore(tmp_path / "pins.json"))
    updater = phone.started()
    before = updater.keeper.generation
    update = updater.update()
    assert update is not None
    assert (update.changed, update.fault) == (True, "")
    assert version(updater) == 2
    assert updater.keeper.generation != before
    service.down = True
    again = phone.started()
    assert (version(again), again.fault) == (2, "")


def test_root_lists_are_walked_and_kept(tmp_path: Path) -> None:
    """A new pin key is known after the walk, and its set is taken; a restart walks the same way."""
    service = Publishing(
        lists={2: second_roots(pin_keys=("pin2",))}, newest_set=signed(pin_set(3), "pin2")
    )
    phone = Phone(service, FilePinStore(tmp_path / "pins.json"))
    updater = phone.started()
    assert updater.update() is not None
    assert (updater.keeper.installed.roots.version, version(updater)) == (2, 3)
    again = phone.started()
    assert (again.keeper.installed.roots.version, version(again), again.fault) == (2, 3, "")


def test_a_list_that_withdraws_counts_without_a_new_set(tmp_path: Path) -> None:
    """Who keeps the new set back doesn't keep a stolen pin key alive."""
    service = Publishing(lists={2: second_roots(pin_keys=("pin2",))})
    phone = Phone(service, FilePinStore(tmp_path / "pins.json"))
    updater = phone.started()
    chain = (spki("A"), spki("root"))
    assert updater.keeper.judge(HOST, chain).basis is Basis.PINS
    updater.update()
    assert updater.keeper.withholds(HOST)
    assert phone.started().keeper.withholds(HOST)


def test_a_list_that_withdraws_counts_though_the_set_after_it_is_refused(tmp_path: Path) -> None:
    """A service that still hands out the thief's set can't keep its key alive either."""
    service = Publishing(lists={2: second_roots(pin_keys=("pin2",))}, newest_set=signed(pin_set(7)))
    phone = Phone(service, FilePinStore(tmp_path / "pins.json"))
    updater = phone.started()
    update = updater.update()
    assert update is not None
    assert (update.changed, update.reason) == (True, Reason.PINS_SET_KEY)
    assert updater.keeper.withholds(HOST)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: signed(pin_set(1)), Reason.PINS_SET_OLD),
        (
            lambda: signed(pin_set(3, hard_expiry=NOW + 1, soft_expiry=NOW + 1)),
            Reason.PINS_SET_EXPIRED,
        ),
        (lambda: signed(pin_set(3, app="another-app")), Reason.PINS_SET_APP),
        (lambda: signed(pin_set(3), "stranger"), Reason.PINS_SET_KEY),
        (lambda: signed(pin_set(3))[:-4] + b"AAAA", Reason.PINS_SET_SIGNATURE),
        (lambda: b"{}", Reason.PINS_SET_MALFORMED),
    ],
    ids=["rolled-back", "frozen", "swapped", "foreign-key", "changed", "garbage"],
)
def test_what_is_refused_changes_nothing(data: object, reason: Reason, tmp_path: Path) -> None:
    """A set from the past, one of another app, or one of a stranger: the app goes on by what it has, and says why."""
    service = Publishing(newest_set=signed(pin_set(2)))
    phone = Phone(service, FilePinStore(tmp_path / "pins.json"))
    updater = phone.started()
    updater.update()
    phone.now = NOW + 2
    installed = updater.keeper.installed
    service.newest_set = data()  # type: ignore[operator]
    update = updater.update()
    assert update is not None
    assert (update.changed, update.reason) == (False, reason)
    assert updater.keeper.installed == installed
    assert version(phone.started()) == 2


def test_a_service_that_is_away_changes_nothing_and_is_asked_ever_less() -> None:
    """Pauses double up to a bound; the first success ends that."""
    service = Publishing(down=True)
    phone = Phone(service)
    updater = phone.started()
    pauses = []
    for _ in range(14):
        assert updater.is_due()
        assert updater.update_if_due() is not None
        assert updater.update_if_due() is None
        start = phone.now
        while not updater.is_due():
            phone.now += FIRST_PAUSE
        pauses.append(phone.now - start)
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == MAX_PAUSE
    assert version(updater) == 1
    service.down = False
    updater.update()
    assert not updater.is_due()


def test_the_service_is_asked_at_the_start_and_then_now_and_then() -> None:
    """More often once the set is past its soft expiry, and never in a loop."""
    service = Publishing()
    phone = Phone(service)
    updater = phone.started()
    assert updater.update_if_due() is not None
    phone.now += INTERVAL - 1
    assert not updater.is_due()
    phone.now += 1
    assert updater.is_due()
    phone.now = pin_set().soft_expiry
    updater.update()
    assert not updater.is_due()
    phone.now += STALE_INTERVAL
    assert updater.is_due()


def test_a_version_beside_a_token_makes_an_update_due() -> None:
    """A newer one only, and not while updates fail: a hint must not turn into a flood."""
    service = Publishing()
    updater = Phone(service).started()
    updater.update()
    updater.hear(1)
    assert not updater.is_due()
    updater.hear(2)
    assert updater.is_due()
    service.down = True
    updater.update()
    updater.hear(3)
    assert not updater.is_due()


def test_a_clock_that_is_set_back_puts_nothing_off() -> None:
    """A phone whose clock was years ahead doesn't wait for years."""
    phone = Phone(Publishing())
    phone.now = NOW + 10 * MAX_PAUSE
    updater = phone.started()
    updater.update()
    phone.now = NOW
    assert updater.is_due()


def test_the_etag_spares_a_set_until_the_roots_change() -> None:
    """A service that has nothing newer sends nothing; after a new root list the set is fetched anew."""
    service = Publishing(newest_set=signed(pin_set(2)), etag='"2"')
    updater = Phone(service).started()
    updater.update()
    updater.update()
    assert service.asked[-1] == 'set/"2"'
    service.lists[2] = second_roots(pin_keys=("pin1", "pin2"))
    updater.update()
    assert service.asked[-1] == "set/None"


def test_a_store_that_holds_an_older_set_rolls_nothing_back(tmp_path: Path) -> None:
    """An update of the app brings a newer set than the store's: the package's counts."""
    store = FilePinStore(tmp_path / "pins.json")
    store.save(Kept(1, (), signed(pin_set(2)), 2))
    assert version(Phone(store=store, first=pin_set(5)).started()) == 5
    assert version(Phone(store=store, first=pin_set(1)).started()) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"roots_version":1,"roots":[],"set":null}',
        b'{"roots_version":1,"roots":["x"],"set":null,"seen":1}',
        b'{"roots_version":1,"roots":[],"set":"x.y.z","seen":9}',
        b'{"roots_version":-1,"roots":[],"set":null,"seen":true}',
        b"\xff" * 100,
    ],
)
def test_a_broken_store_leaves_what_the_app_was_built_with(data: bytes, tmp_path: Path) -> None:
    """Nothing weaker than the package is ever trusted, the app is told, and the next update mends the file."""
    file = tmp_path / "pins.json"
    file.write_bytes(data)
    service = Publishing(newest_set=signed(pin_set(2)))
    phone = Phone(service, FilePinStore(file))
    updater = phone.started()
    assert version(updater) == 1
    assert updater.fault
    updater.update()
    assert version(phone.started()) == 2


def test_a_store_that_takes_nothing_costs_only_the_memory(tmp_path: Path) -> None:
    """A folder that is gone: the newer set counts until the restart, and the update says what went wrong."""
    service = Publishing(newest_set=signed(pin_set(2)))
    updater = Phone(service, FilePinStore(tmp_path / "gone" / "pins.json")).started()
    update = updater.update()
    assert update is not None
    assert update.changed
    assert "pins.json" in update.fault
    assert version(updater) == 2


def test_of_two_processes_the_slower_one_replaces_nothing_newer(tmp_path: Path) -> None:
    """A save of an older set is left out; a newer root list counts for more than any version of a set."""
    store = FilePinStore(tmp_path / "pins.json")
    newer, older = Kept(1, (), b"new", 7), Kept(1, (), b"old", 6)
    store.save(newer)
    store.save(older)
    assert store.load() == newer
    lost_key = Kept(2, (b"list",), b"set", 2)
    store.save(lost_key)
    assert store.load() == lost_key
    assert [each.name for each in sorted(tmp_path.iterdir())] == ["pins.json", "pins.json.lock"]


def test_too_many_root_lists_are_not_kept(tmp_path: Path) -> None:
    """The file is bounded."""
    store = FilePinStore(tmp_path / "pins.json")
    with pytest.raises(StoreError, match="65 root lists"):
        store.save(Kept(66, (b"x",) * 65))
    assert store.load() is None


def test_names_of_the_app_and_versions_stand_in_the_repr_alone() -> None:
    """A keeper names itself by app and versions."""
    assert repr(Phone().started().keeper) == f"PinKeeper(app={APP!r}, set=1, roots=1)"
    assert key("pin1").kid not in repr(Phone().started().keeper)


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "unanswered"])
def test_a_list_outlives_a_restart_though_nothing_came_after_it(
    refused: bool, tmp_path: Path
) -> None:
    """A thief who holds the next set back, or keeps handing out his own, doesn't get his key back by a restart of the app."""
    service = Publishing(lists={2: second_roots(pin_keys=("pin2",))}, newest_set=signed(pin_set(7)))
    if not refused:
        service.newest = Publishing(down=True).newest  # type: ignore[method-assign]
    phone = Phone(service, FilePinStore(tmp_path / "pins.json"))
    update = phone.started().update()
    assert update is not None
    assert update.fault
    phone.source = Publishing(newest_set=signed(pin_set(7)))
    again = phone.started()
    again.update()
    assert again.keeper.installed.roots.version == 2
    assert again.keeper.withholds(HOST)


def test_what_could_not_be_kept_is_kept_later(tmp_path: Path) -> None:
    """A disk that was full for an hour doesn't roll the app back at its next start."""
    service = Publishing(newest_set=signed(pin_set(2)))
    phone = Phone(service, FilePinStore(tmp_path / "gone" / "pins.json"))
    updater = phone.started()
    updater.update()
    assert not updater.is_due()
    updater.hear(3)
    assert updater.is_due()
    (tmp_path / "gone").mkdir()
    update = updater.update()
    assert update is not None
    assert (update.changed, update.fault) == (False, "")
    assert version(phone.started()) == 2


def test_lists_that_the_package_is_past_are_not_kept(tmp_path: Path) -> None:
    """An app that is updated over the years doesn't fill its store with the lists of all of them."""
    lists = {2: second_roots(), 3: roots_data(version=3)}
    store = FilePinStore(tmp_path / "pins.json")
    old = Phone(Publishing(lists={2: lists[2]}), store)
    old.started().update()
    packed = replace(builtin(), roots=read_roots(lists[2], builtin().roots))
    PinUpdater(
        packed, Publishing(lists=lists), clock=lambda: NOW, jitter=lambda: 0, store=store
    ).update()
    kept = store.load()
    assert kept is not None
    assert kept.lists == (lists[3],)
