"""Show when a pin set is published, when not, and what is left behind either way."""

import shutil
from pathlib import Path

import pytest
import yaml
from tests.unit.adapters.ordinary_user import ordinary_user
from tests.unit.apps.pins_servers import HOST, new_key, server
from tests.unit.apps.pins_yard import APP, DAY, Yard, yard

from watchword.adapters.live_chain import Place
from watchword.adapters.pin_workspace import WorkspaceError, read_public_key, write_key
from watchword.adapters.pin_workspace import new_key as new_signing_key
from watchword.apps.pins.checks import check
from watchword.apps.pins.publication import Judged, publish, release, withdraw_release
from watchword.apps.pins.root_lists import Changes, accept, another_pin_key
from watchword.apps.pins.session import (
    NotNowError,
    PinsError,
    ProbeOptions,
    edit,
    next_version,
    probe,
    read_lists,
)
from watchword.apps.settings.template import TEMPLATE
from watchword.pins.installed import accept_set, fresh, judge
from watchword.pins.interface import PinRole
from watchword.reasons import Reason


def version_of(judged: tuple[Judged, ...]) -> int:
    """Return the version that was published."""
    (one,) = judged
    assert one.permit is not None
    return one.draft.version


def reasons(judged: tuple[Judged, ...]) -> set[Reason]:
    """Return what was in the way; nothing was published then."""
    (one,) = judged
    assert one.permit is None
    return {each.reason for each in one.against if each.blocks}


def without_backup(yard_: Yard) -> None:
    """Pin the current key alone."""
    edit(
        yard_.config,
        lambda _, pinned: pinned.with_keys(HOST, (pinned.named(HOST, "current"),)),
    )


def test_an_app_takes_what_is_published(tmp_path: Path) -> None:
    """The set verifies by what an app version ships with, and the server passes by it."""
    with yard(tmp_path) as made:
        release(made.config, APP, "4.1.0", made.now, "alice@test")
        version = version_of(made.publish())
        (builtin,) = made.session().fleet(APP)
        data = made.workspace.read_set(APP, version)
        installed = accept_set(fresh(builtin), data, made.now)
        chain = made.looks()[HOST].results[0].chain
        found = judge(installed, HOST, chain, made.now)
        assert found.passes
        assert not found.mismatch
        assert judge(installed, HOST, (bytes(32), *chain[1:]), made.now).mismatch


def test_no_backup_is_refused_and_forcing_is_written_down(tmp_path: Path) -> None:
    """Nothing is published or logged when refused; when forced, by whom and why stands in the log."""
    with yard(tmp_path) as made:
        without_backup(made)
        before = made.workspace.log.read()
        assert reasons(made.publish()) == {Reason.PINS_PUBLISH_BACKUP}
        assert made.workspace.set_versions(APP) == ()
        assert made.workspace.log.read() == before
        version_of(made.publish(why="the safe with the backup is in Zurich, until Monday"))
        step = made.workspace.log.read()[-1]
        assert (step.actor, step.action, step.subject) == ("alice@test", "publish", APP)
        assert step.reason == "the safe with the backup is in Zurich, until Monday"
        (forced,) = step.detail["forced"]
        assert forced.startswith("pins.publish_backup")


def test_a_live_key_that_isnt_pinned_is_refused(tmp_path: Path) -> None:
    """The set would lock out every app that enforces it."""
    with yard(tmp_path) as made:
        version_of(made.publish())
        made.write(mode="enforce", report_first="1s")
        made.show(new_key())
        assert Reason.PINS_PUBLISH_LOCKOUT in reasons(made.publish(after=10))


def test_enforce_comes_after_report(tmp_path: Path) -> None:
    """A host is reported on for as long as the file says, counted from the set that it was first in."""
    with yard(tmp_path, mode="enforce") as made:
        assert reasons(made.publish()) == {Reason.PINS_PUBLISH_UNTRIED}
        made.write(mode="report", report_first="7d")
        version_of(made.publish())
        version_of(made.publish(after=4 * DAY))
        made.write(mode="enforce", report_first="7d")
        assert reasons(made.publish(after=6.9 * DAY)) == {Reason.PINS_PUBLISH_UNTRIED}
        version_of(made.publish(after=7.1 * DAY))


def test_a_host_that_was_gone_is_reported_on_anew(tmp_path: Path) -> None:
    """What was pinned a year ago says nothing of the apps that would refuse it now."""
    other = "other.example.com"
    with yard(tmp_path) as made:

        def write(**modes: str) -> None:
            hosts = {name: {"apps": [APP], "mode": mode} for name, mode in modes.items()}
            pins = {"report_first": "7d", "hosts": hosts}
            made.config.write_text(TEMPLATE + yaml.safe_dump({"pins": pins}))

        edit(made.config, lambda _, pinned: pinned.with_keys(other, pinned.of(HOST)))
        write(**{HOST: "report", other: "report"})
        version_of(made.publish())
        write(**{HOST: "report"})
        version_of(made.publish(after=DAY))
        write(**{HOST: "report", other: "report"})
        version_of(made.publish(after=5 * DAY))
        write(**{HOST: "enforce", other: "enforce"})
        refused = made.publish(after=8 * DAY)
        untried = [
            each.host for each in refused[0].against if each.reason is Reason.PINS_PUBLISH_UNTRIED
        ]
        assert untried == [other]


def test_a_supported_app_version_isnt_locked_out(tmp_path: Path) -> None:
    """What shipped with other pins has none in common with the draft; once it is withdrawn, that is no objection."""
    with yard(tmp_path) as made:
        made.write(mode="enforce", report_first="1s")
        version_of(made.publish(why="a test"))
        release(made.config, APP, "4.1.0", made.now, "alice@test")
        edit(made.config, lambda _, pinned: pinned.with_keys(HOST, ()))
        key = new_key()
        made.show(key)
        made.pin(key, PinRole.CURRENT)
        made.pin(new_key(), PinRole.BACKUP)
        assert reasons(made.publish(after=10)) == {Reason.PINS_PUBLISH_FLEET}
        made.workspace.drop_builtin(APP, "4.1.0")
        version_of(made.publish(after=20))


def test_an_expired_root_list_publishes_nothing(tmp_path: Path) -> None:
    """No app would take it, so that it can't be forced either; a new list mends it."""
    with yard(tmp_path, expires=100 * DAY) as made:
        assert Reason.PINS_ROOTS_EXPIRED in reasons(made.publish(after=101 * DAY))
        assert reasons(made.publish(after=101 * DAY, why="must be")) == {Reason.PINS_ROOTS_EXPIRED}
        made.accept(made.next_roots(Changes()))
        version_of(made.publish(after=101 * DAY))


def test_a_key_that_no_list_names_signs_nothing(tmp_path: Path) -> None:
    """The key in the workspace is another than the list's."""
    with yard(tmp_path) as made:
        made.workspace.key.unlink()
        made.workspace.public_key.unlink()
        write_key(made.workspace.key, new_signing_key())
        with pytest.raises(PinsError, match="expected one that root list 1 names"):
            made.publish()
        assert made.workspace.set_versions(APP) == ()


def test_versions_grow_though_the_directory_came_from_a_backup(tmp_path: Path) -> None:
    """Sets, log and all are put back: the next version is higher than any that apps have seen."""
    with yard(tmp_path) as made:
        version_of(made.publish())
        backup = tmp_path / "backup"
        shutil.copytree(made.workspace.directory, backup)
        last = [version_of(made.publish(after=seconds)) for seconds in (100, 200, 300)][-1]
        shutil.rmtree(made.workspace.directory)
        backup.rename(made.workspace.directory)
        assert made.session().published(APP) is not None
        assert version_of(made.publish(after=400)) > last


def test_versions_grow_whatever_the_clock_says(tmp_path: Path) -> None:
    """Within a second, and when it goes back; and sets that are gone still count by the log."""
    with yard(tmp_path) as made:
        first = version_of(made.publish())
        second = version_of(made.publish())
        third = version_of(made.publish(after=-30))
        assert first < second < third
        shutil.rmtree(made.workspace.directory / "sets" / APP)
        assert version_of(made.publish(after=-30)) > third
        assert version_of(made.publish(above=10**15)) == 10**15 + 1


def test_versions_are_times_that_people_can_read() -> None:
    """And more where that isn't new."""
    assert next_version([], 1795749301) == 20261127031501
    assert next_version([7, 20261127031501], 1795749301) == 20261127031502


def test_of_two_at_once_one_wins(tmp_path: Path) -> None:
    """While one looks at the servers another one publishes: nothing is published on top of it."""
    with yard(tmp_path) as made:
        inner: list[int] = []

        class Race(list[str | None]):
            """Publish within the first handshake of the other."""

            def append(self, name: str | None) -> None:
                """Take note of a handshake."""
                super().append(name)
                if len(self) == 1:
                    inner.append(version_of(made.publish()))

        made.running.names = Race()
        made.show_again()
        with pytest.raises(NotNowError, match="another publish came first"):
            made.publish(after=5)
        assert list(made.workspace.set_versions(APP)) == inner


def test_what_was_cut_short_is_told_of_and_skipped() -> None:
    """The step was logged, its set couldn't be written: no version is used twice, none goes untold."""
    with ordinary_user() as place, yard(place) as made:
        sets = made.workspace.directory / "sets"
        sets.chmod(0o500)
        with pytest.raises(WorkspaceError, match="Permission denied"):
            made.publish()
        sets.chmod(0o700)
        logged = made.workspace.log.read()[-1].detail["version"]
        assert made.workspace.set_versions(APP) == ()
        assert version_of(made.publish()) > logged
        assert [each.code for each in made.check().findings if each.code == "log"] == []


def test_a_set_that_the_log_doesnt_tell_of_is_found(tmp_path: Path) -> None:
    """Somebody cut the log's end off, which its chain alone can't show."""
    with yard(tmp_path) as made:
        version_of(made.publish())
        log = made.workspace.log.path
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
        assert [each.code for each in made.check().findings if each.code == "log"] == ["log"]


def test_after_the_loss_of_the_pin_key(tmp_path: Path) -> None:
    """A new key, a list that names it instead and raises the floor: old sets still read, new ones are taken."""
    with yard(tmp_path) as made:
        release(made.config, APP, "4.1.0", made.now, "alice@test")
        old = read_public_key(made.workspace.public_key).kid
        first = version_of(made.publish())
        another_pin_key(made.workspace, made.now, "alice@test")
        new = read_public_key(made.workspace.public_key)
        changes = Changes(add_pin_keys=[new], remove_pin_keys=[old], floors={APP: first + 1})
        made.accept(made.next_roots(changes), why="pin key stolen")
        published = made.session().published(APP)
        assert published is not None
        assert published.version == first
        second = version_of(made.publish())
        assert second > first
        assert made.session().published(APP).key == new.kid  # type: ignore[union-attr]
        assert [each.version for each in read_lists(made.workspace)] == [1, 2]


def test_a_name_below_that_shows_another_key_is_seen(tmp_path: Path) -> None:
    """A host that includes its subdomains locks apps out of them; what --resolve names of them is looked at."""
    below = f"pay.{HOST}"
    (tmp_path / "below").mkdir()
    with yard(tmp_path) as made, server(tmp_path / "below") as other:
        other_key = new_key()
        other.show(other_key, made.authority.issue(other_key, below))
        hosts = {HOST: {"apps": [APP], "mode": "report", "include_subdomains": True}}
        made.write(hosts=hosts)
        version_of(made.publish())
        hosts[HOST]["mode"] = "enforce"
        made.write(hosts=hosts)
        named = {**made.probe_options.named, below: [Place(below, "127.0.0.1", other.port)]}
        vantage = ProbeOptions(named, made.probe_options.ca, 5)
        found = publish(made.config, vantage, made.now + 8 * DAY, "alice@test", apps=(APP,))
        assert reasons(found) == {Reason.PINS_PUBLISH_LOCKOUT}
        assert [each.host for each in found[0].against if each.blocks] == [below]
        looks = probe(made.session().file.pins.looked_at((APP,), named), vantage)
        told = check(made.session(), (APP,), looks, made.now)
        assert [(each.code, each.subject) for each in told.findings if each.subject == below] == [
            ("not-pinned", below)
        ]


def test_a_withdrawal_is_written_down_first(tmp_path: Path) -> None:
    """A log that can't be written keeps the version; one that isn't there leaves no step."""
    with yard(tmp_path) as made:
        release(made.config, APP, "4.1.0", made.now, "alice@test")
        with pytest.raises(WorkspaceError):
            withdraw_release(made.config, APP, "4.2.0", made.now, "alice@test")
        assert "withdraw" not in [each.action for each in made.workspace.log.read()]
        made.workspace.log.path.write_text("damaged\n")
        with pytest.raises(WorkspaceError):
            withdraw_release(made.config, APP, "4.1.0", made.now, "alice@test")
        assert made.workspace.builtins() == (f"{APP}-4.1.0",)


@pytest.mark.parametrize("content", [None, b"", b"{}"], ids=["gone", "empty", "another"])
def test_a_new_pin_key_is_made_whatever_is_left_of_the_old_one(
    content: bytes | None, tmp_path: Path
) -> None:
    """At 3 a.m. the public half may be what the disk lost, and nothing of the old key is written over."""
    with yard(tmp_path) as made:
        old = made.workspace.key.read_bytes()
        made.workspace.public_key.unlink()
        if content is not None:
            made.workspace.public_key.write_bytes(content)
        kid = another_pin_key(made.workspace, made.now, "alice@test")
        assert read_public_key(made.workspace.public_key).kid == kid
        assert old in [each.read_bytes() for each in made.workspace.directory.glob("pin-key-*.pem")]


def test_the_log_tells_where_it_was_looked(tmp_path: Path) -> None:
    """A server that is named in the place of the real one objects to nothing; who named it stands in the log."""
    with yard(tmp_path) as made:
        made.publish()
        detail = made.workspace.log.read()[-1].detail
        assert detail["resolve"] == [f"{HOST}=127.0.0.1:{made.running.port}"]
        assert detail["cafile"] == str(tmp_path / "ca.pem")
        assert detail["report_first"] == 7 * DAY


def test_nothing_stale_is_shipped(tmp_path: Path) -> None:
    """A version that ships with an expired set is unpinned, or closed, from its first start on; by an expired list it takes no other."""
    with yard(tmp_path, expires=30 * DAY) as made:
        made.publish()
        with pytest.raises(NotNowError, match=r"soft expiry.*watchword pins publish"):
            release(made.config, APP, "4.1.0", made.now + 15 * DAY, "alice@test")
        with pytest.raises(NotNowError, match="root list 1 has expired"):
            release(made.config, APP, "4.1.0", made.now + 31 * DAY, "alice@test")
        assert made.workspace.builtins() == ()
        made.publish(after=15 * DAY)
        release(made.config, APP, "4.1.0", made.now + 16 * DAY, "alice@test")


def test_a_list_that_names_another_key_than_ours_withdraws_nothing(tmp_path: Path) -> None:
    """The wrong file at `root rotate` would withdraw every set, with nothing to be published in its place; there is no way back."""
    with yard(tmp_path) as made:
        made.publish()
        old = tuple(made.session().roots.pin_keys)
        stranger = new_signing_key().verification_key()
        wrong = made.next_roots(Changes(add_pin_keys=[stranger], remove_pin_keys=old))
        with pytest.raises(NotNowError, match="doesn't name the key of this workspace"):
            made.accept(wrong)
        assert made.workspace.root_versions() == (1,)
        file = tmp_path / "roots.json"
        accept(made.config, file, made.now, "alice@test", "the workspace moves tomorrow")
        assert made.workspace.root_versions() == (1, 2)
        (forced,) = made.workspace.log.read()[-1].detail["forced"]
        assert "withdraws version" in forced


def test_a_list_that_only_adds_a_key_or_renews_is_brought_in(tmp_path: Path) -> None:
    """What is published goes on to count, whatever key is in the workspace by now."""
    with yard(tmp_path) as made:
        made.publish()
        another_pin_key(made.workspace, made.now, "alice@test")
        made.accept(made.next_roots(Changes()))
        assert made.workspace.root_versions() == (1, 2)
