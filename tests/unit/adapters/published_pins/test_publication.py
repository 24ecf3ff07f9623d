"""Follow a workspace as the service does: forwards, and never back."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from tests.unit.adapters.published_pins.workspaces import Bench, versions
from tests.unit.pins.builders import APP, NOW, entry, key, pin_set, roots_data

from watchword.adapters.published_pins import FAULT_SECONDS, ROOTS
from watchword.pins.installed import DAY
from watchword.pins.sets import sign_set


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return an empty workspace."""
    return Bench(tmp_path)


def test_nothing_is_published_before_the_first_set(bench: Bench) -> None:
    """An empty workspace, or none at all, is no fault."""
    pins = bench.started()
    for _ in range(2):
        pins.refresh(NOW)
        assert (versions(pins), pins.roots, dict(pins.faults)) == ([None], None, {})
        bench.forget("roots", "sets")


def test_newest_set_is_handed_out_as_it_was_signed(bench: Bench) -> None:
    """Of several the newest, byte for byte, with the root lists that lead to it; for other apps too."""
    first, second = bench.roots(), bench.roots(2)
    bench.publish(1)
    data = bench.publish(12, root_version=2)
    bench.publish(3, app="clinic-ios")
    pins = bench.started()
    pins.refresh(NOW)
    found = pins.newest(APP)
    assert found is not None
    assert found.data == data
    assert versions(pins, [APP, "clinic-ios", "nobody"]) == [12, 3, None]
    assert [pins.root_list(each) for each in (0, 1, 2, 3)] == [None, first, second, None]
    assert pins.apps == {APP, "clinic-ios"}
    assert not pins.faults


def test_change_is_followed_at_the_next_look(bench: Bench) -> None:
    """A set that is published later is handed out at the next look, without a start."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    pins.refresh(NOW)
    pins.refresh(NOW + 0.5)
    bench.publish(2)
    pins.refresh(NOW + 1)
    assert versions(pins) == [2]
    bench.roots(2)
    bench.publish(5, root_version=2)
    bench.publish(1, app="clinic-ios")
    pins.refresh(NOW + 1.5)
    assert versions(pins, [APP, "clinic-ios"]) == [5, 1]


def test_file_that_is_written_over_is_seen(bench: Bench) -> None:
    """Bytes that change in their place are read again, and refused where they don't hold."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    for at in (0, 1, 2):
        pins.refresh(NOW + at)
    bench.put(1, b"junk")
    pins.refresh(NOW + 3)
    assert "1.jws" in pins.faults[APP]
    assert versions(pins) == [1]


def test_older_workspace_changes_nothing(bench: Bench) -> None:
    """A copy of last week is put back: what was handed out still is, and the fault says so until it is mended."""
    bench.roots()
    bench.publish(5)
    copy = bench.copied()
    newest = bench.publish(7)
    pins = bench.started()
    pins.refresh(NOW)
    bench.put_back(copy)
    pins.refresh(NOW + 10)
    assert versions(pins) == [7]
    assert "got version 5, expected 7" in pins.faults[APP]
    assert "what was handed out before still is" in pins.faults[APP]
    bench.put(7, newest)
    pins.refresh(NOW + 20)
    assert not pins.faults


def test_older_workspace_changes_nothing_after_a_start(bench: Bench) -> None:
    """The floor outlives the process: the service hands out what it kept, which is newer."""
    bench.roots()
    bench.publish(5)
    copy = bench.copied()
    newest = bench.publish(7)
    bench.started().refresh(NOW)
    bench.put_back(copy)
    pins = bench.started()
    assert versions(pins) == [7]
    pins.refresh(NOW)
    found = pins.newest(APP)
    assert found is not None
    assert found.data == newest
    assert APP in pins.faults


@pytest.mark.parametrize("gone", [("sets",), ("sets", "roots"), (f"sets/{APP}",)])
def test_workspace_that_is_gone_changes_nothing(bench: Bench, gone: tuple[str, ...]) -> None:
    """Also without its files what was handed out is, before and after a start."""
    bench.roots()
    bench.publish(5)
    pins = bench.started()
    pins.refresh(NOW)
    bench.forget(*gone)
    for each in (pins, bench.started()):
        each.refresh(NOW + 10)
        assert versions(each) == [5]
        assert each.faults


def test_older_root_lists_change_nothing(bench: Bench) -> None:
    """A workspace without the newest root list is an older copy."""
    bench.roots()
    second = bench.roots(2)
    bench.publish(1)
    pins = bench.started()
    pins.refresh(NOW)
    bench.forget("roots/2.json")
    pins.refresh(NOW + 10)
    assert pins.root_list(2) == second
    assert "expected 2 or a later one" in pins.faults[ROOTS]


def test_other_workspace_is_told(bench: Bench) -> None:
    """Root keys that were made anew are another trust: nobody's phone would follow."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    pins.refresh(NOW)
    bench.forget("roots/1.json", f"sets/{APP}")
    bench.roots(keys=("root4", "root5", "root6"), by=("root4", "root5"), pin_keys=("pin3",))
    bench.publish(9, by="pin3")
    pins.refresh(NOW + 10)
    assert versions(pins) == [1]
    assert "another list than was handed out" in pins.faults[ROOTS]
    assert str(bench.kept) in pins.faults[ROOTS]
    assert "pins.set_key" in pins.faults[APP]


BAD = {
    "empty": b"",
    "junk": b"\x00" * 1000,
    "too large": b"a" * (400 * 1024),
    "another key": sign_set(pin_set(2, key=key("thief").kid), key("thief")),
    "another app": sign_set(pin_set(2, app="clinic-ios"), key("pin1")),
    "another version": sign_set(pin_set(3), key("pin1")),
    "expired": sign_set(pin_set(2, issued_at=1, soft_expiry=2, hard_expiry=NOW), key("pin1")),
    "of the future": sign_set(
        pin_set(2, issued_at=NOW + 2 * DAY, soft_expiry=NOW + 3 * DAY), key("pin1")
    ),
    "later root list": sign_set(pin_set(2, root_version=2), key("pin1")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_set_changes_nothing(bench: Bench, name: str) -> None:
    """Whatever is put in the newest set's place is told, and the one before it is handed out."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    pins.refresh(NOW)
    bench.put(2, BAD[name])
    pins.refresh(NOW + 10)
    assert versions(pins) == [1]
    assert "2.jws" in pins.faults[APP]
    assert len(pins.faults[APP]) < 500
    bench.put(4, sign_set(pin_set(4), key("pin1")))
    pins.refresh(NOW + 20)
    assert (versions(pins), dict(pins.faults)) == ([4], {})


def test_copy_under_a_higher_number_is_no_newer_set(bench: Bench) -> None:
    """The very bytes of the set that is handed out, as the newest file, are told: the newest one may be lost."""
    bench.roots()
    data = bench.publish(1)
    pins = bench.started()
    pins.refresh(NOW)
    bench.put(2, data)
    pins.refresh(NOW + 10)
    assert versions(pins) == [1]
    assert "2.jws: got another version in it" in pins.faults[APP]


def test_pipe_in_the_place_of_a_file_holds_nothing_up(bench: Bench) -> None:
    """Reading a pipe that nobody writes to would never end."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    pins.refresh(NOW)
    os.mkfifo(bench.workspace.directory / "sets" / APP / "2.jws")
    os.mkfifo(bench.workspace.directory / "roots" / "2.json")
    pins.refresh(NOW + 10)
    assert versions(pins) == [1]
    assert "2.jws: got something else than a file" in pins.faults[APP]
    assert "2.json: got something else than a file" in pins.faults[ROOTS]


@pytest.mark.parametrize(
    ("version", "data"),
    [
        (2, b"junk"),
        (2, roots_data(2, keys=("root4",), threshold=1, by=("root4",))),
        (2, roots_data(2, by=("root1",))),
        (3, roots_data(3)),
        (2, roots_data(3)),
    ],
)
def test_bad_root_list_changes_nothing(bench: Bench, version: int, data: bytes) -> None:
    """A list that the one before it doesn't vouch for isn't handed out, and sets go on."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    pins.refresh(NOW)
    bench.workspace.add_roots(version, data)
    bench.publish(2)
    pins.refresh(NOW + 10)
    assert pins.root_list(2) is None
    assert versions(pins) == [2]
    assert ROOTS in pins.faults


def test_withdrawn_set_is_handed_out_no_more(bench: Bench) -> None:
    """After the loss of a pin key its sets don't count, however high; a thief's number blocks no genuine one."""
    bench.roots()
    bench.publish(2**53 - 1)
    pins = bench.started()
    pins.refresh(NOW)
    assert versions(pins) == [2**53 - 1]
    bench.roots(2, pin_keys=("pin2",))
    pins.refresh(NOW + 10)
    assert versions(pins) == [None]
    assert "withdrawn by root list 2" in pins.faults[APP]
    assert APP in pins.apps
    bench.forget(f"sets/{APP}/{2**53 - 1}.jws")
    bench.publish(8, by="pin2", root_version=2)
    pins.refresh(NOW + 20)
    assert (versions(pins), dict(pins.faults)) == ([8], {})
    again = bench.started()
    again.refresh(NOW + 30)
    assert (versions(again), dict(again.faults)) == ([8], {})


def test_set_signed_anew_under_another_key_is_taken(bench: Bench) -> None:
    """The same version under a second pin key is the same set, with another tag."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    pins.refresh(NOW)
    before = pins.newest(APP)
    bench.put(1, sign_set(pin_set(1, key=key("pin2").kid), key("pin2")))
    pins.refresh(NOW + 10)
    after = pins.newest(APP)
    assert before is not None
    assert after is not None
    assert before.tag != after.tag
    assert not pins.faults
    bench.put(1, sign_set(pin_set(1, entry("other.example.com")), key("pin1")))
    pins.refresh(NOW + 20)
    assert pins.newest(APP) == after
    assert "pins.set_differs" in pins.faults[APP]


def test_early_set_is_taken_when_its_time_has_come(bench: Bench) -> None:
    """A fault that time mends is mended without a change of any file."""
    bench.roots()
    bench.publish(1, issued_at=NOW + DAY + 5, soft_expiry=NOW + 3 * DAY)
    pins = bench.started()
    for at in (0, 1, 2, 3):
        pins.refresh(NOW + at)
        assert "pins.set_early" in pins.faults[APP]
    pins.refresh(NOW + 5 + FAULT_SECONDS)
    assert versions(pins) == [1]


class Busy(float):
    """Be a time at which somebody publishes while it is looked at."""

    meanwhile: Callable[[], object]

    def __ge__(self, other: float) -> bool:
        """Compare, after the other one has published."""
        self.meanwhile()
        return float(self) >= other


def test_set_that_comes_during_a_look_is_seen_by_the_next(bench: Bench) -> None:
    """What changes after a file was read and before the look ends isn't taken for seen."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    now = Busy(NOW)
    now.meanwhile = lambda: 2 in bench.workspace.set_versions(APP) or bench.publish(2)
    pins.refresh(now)
    assert versions(pins) == [1]
    pins.refresh(NOW + 0.5)
    assert versions(pins) == [2]


def test_disk_that_refuses_keeps_the_set_before(bench: Bench) -> None:
    """What can't be kept isn't handed out: it would be forgotten at the next start. It is once there's room."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    pins.refresh(NOW)
    folder = bench.kept / "sets"
    folder.rename(folder.with_name("aside"))
    folder.write_bytes(b"in the way")
    bench.publish(2)
    pins.refresh(NOW + 10)
    assert versions(pins) == [1]
    assert "sets" in pins.faults[APP]
    folder.unlink()
    pins.refresh(NOW + 10 + FAULT_SECONDS)
    assert (versions(pins), dict(pins.faults)) == ([2], {})


@pytest.mark.parametrize("part", ["roots/1.json", f"sets/{APP}.jws"])
@pytest.mark.parametrize("damage", [b"", b"junk"])
def test_damaged_floor_is_told_and_not_begun_anew(bench: Bench, part: str, damage: bytes) -> None:
    """Without what was handed out nobody knows what is older: nothing is, until a person has decided."""
    bench.roots()
    bench.publish(1)
    bench.started().refresh(NOW)
    (bench.kept / part).write_bytes(damage)
    pins = bench.started()
    for at in (0, 10):
        pins.refresh(NOW + at)
        assert versions(pins) == [None]
        (fault,) = pins.faults.values()
        assert f"move {bench.kept} away" in fault
    bench.kept.rename(bench.kept.with_name("old"))
    again = bench.started()
    again.refresh(NOW)
    assert (versions(again), dict(again.faults)) == ([1], {})


def test_floor_without_root_lists_is_told(bench: Bench) -> None:
    """Half of what was kept is as good as none."""
    bench.roots()
    bench.publish(1)
    bench.started().refresh(NOW)
    (bench.kept / "roots/1.json").unlink()
    pins = bench.started()
    pins.refresh(NOW)
    assert versions(pins) == [None]
    assert "sets without root lists" in pins.faults[ROOTS]


def test_floor_is_for_this_user_alone(bench: Bench) -> None:
    """What others could write to isn't believed."""
    bench.roots()
    bench.publish(1)
    bench.started().refresh(NOW)
    file = bench.kept / "sets" / f"{APP}.jws"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    pins = bench.started()
    assert "0600" in pins.faults[APP]


def test_a_fault_is_logged_when_it_comes_and_when_it_is_mended(bench: Bench) -> None:
    """Once each, however often it is looked at."""
    bench.roots()
    bench.publish(1)
    pins = bench.started()
    bench.put(2, b"junk")
    with structlog.testing.capture_logs() as lines:
        for at in (0, 10, 20):
            pins.refresh(NOW + at)
        bench.put(2, sign_set(pin_set(2), key("pin1")))
        for at in (30, 40):
            pins.refresh(NOW + at)
    told = [(each["event"], each.get("what")) for each in lines]
    assert told == [
        ("pins not followed", APP),
        ("pins handed out", None),
        ("pins followed again", APP),
    ]
