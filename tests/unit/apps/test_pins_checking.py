"""Show what a check finds, what it proves, and what it makes metrics of."""

import _thread
import contextlib
import dataclasses
import socket
import threading
from pathlib import Path

import pytest
from tests.unit.apps.pins_servers import HOST, new_key, server, silent
from tests.unit.apps.pins_yard import APP, DAY, Yard, yard

from watchword.adapters.live_chain import Place
from watchword.adapters.metrics import exposition
from watchword.adapters.system import SystemClock
from watchword.apps.pins.checks import (
    METRICS_MARK,
    Check,
    Weight,
    check,
    metrics_of,
    observation_of,
)
from watchword.apps.pins.session import ProbeOptions, edit, probe
from watchword.observations import State
from watchword.pins.interface import PinRole
from watchword.vocabulary import Environment


def bad(found: Check) -> list[str]:
    """Return the codes of what is bad."""
    return [each.code for each in found.of(Weight.BAD)]


def codes(found: Check) -> set[str]:
    """Return all codes."""
    return {each.code for each in found.findings}


def state(found: Check, *, after: float = 0, within: int | None = None) -> State | None:
    """Return what a check proves, some seconds after now."""
    at = SystemClock().now()
    observation = observation_of(
        found,
        api="clinic",
        at=at.fromtimestamp(at.timestamp() + after, at.tzinfo),
        environment=Environment.PROD,
        generation=None,
        within=within,
    )
    return None if observation is None else observation.state


def enforced(made: Yard) -> None:
    """Publish a set that is enforced."""
    made.publish()
    made.write(mode="enforce", report_first="1s")
    made.publish(after=10)


def test_nothing_to_find_proves_the_protection(tmp_path: Path) -> None:
    """Enforced, a backup, the live key inside, and no expiry near: of a run on this machine."""
    with yard(tmp_path) as made:
        enforced(made)
        found = made.check(after=20)
        assert found.findings == ()
        observation = observation_of(
            found,
            api="clinic",
            at=SystemClock().now(),
            environment=Environment.LAB,
            generation="ab" * 32,
            within=None,
        )
    assert observation is not None
    assert observation.state is State.PROVEN
    assert (observation.protection, observation.key) == ("PR-C03", "live:pins.expiry_days")
    assert (observation.target, observation.generation) == ("api:clinic", "ab" * 32)
    assert observation.loopback
    assert observation.detail.startswith("90 days")


def test_before_anything_is_published(tmp_path: Path) -> None:
    """It says what is missing, and that the protection is absent."""
    with yard(tmp_path) as made:
        found = made.check()
    assert codes(found) == {"unpublished"}
    assert bad(found) == []
    assert state(found) is State.ABSENT


def test_report_mode_is_there_and_without_effect(tmp_path: Path) -> None:
    """Nothing is refused yet, so that it stops nobody."""
    with yard(tmp_path) as made:
        made.publish()
        assert state(made.check()) is State.BROKEN


@pytest.mark.parametrize(
    ("within", "after", "expected"),
    [
        (30 * DAY, 0, []),
        (30 * DAY, 61 * DAY, ["set-expires"]),
        (100 * DAY, 0, ["set-expires"]),
        (310 * DAY, 0, ["certificate-expires", "set-expires"]),
        (400 * DAY, 0, ["roots-expire", "certificate-expires", "set-expires"]),
        (None, 89 * DAY, []),
        (None, 91 * DAY, ["set-expired"]),
        (None, 301 * DAY, ["certificate-expired", "set-expired"]),
        (None, 366 * DAY, ["roots-expired", "certificate-expired", "set-expired"]),
    ],
)
def test_what_expires_within_fails_a_ci(
    tmp_path: Path, within: int | None, after: float, expected: list[str]
) -> None:
    """The set, the certificate, the root list; without --fail-within only what has expired."""
    with yard(tmp_path) as made:
        made.publish()
        assert bad(made.check(after=after, within=within)) == expected


def test_a_set_past_its_soft_expiry_warns(tmp_path: Path) -> None:
    """Apps ask at every start from then on, and in time it is late."""
    with yard(tmp_path) as made:
        made.publish()
        found = made.check(after=15 * DAY)
    assert [each.code for each in found.of(Weight.WARN)] == ["set-soft"]


def test_a_backup_that_isnt_published_is_bad(tmp_path: Path) -> None:
    """With the key lost, apps would be locked out; a forced set stays bad until it is mended."""
    with yard(tmp_path) as made:
        current = made.session().pinned.named(HOST, "current")
        edit(made.config, lambda _, pinned: pinned.with_keys(HOST, (current,)))
        made.publish(why="a test")
        found = made.check()
    assert bad(found) == ["backup-missing"]
    assert state(found) is State.BROKEN


def test_another_key_at_one_of_two_places(tmp_path: Path) -> None:
    """The place is named, with what it does to apps; the protection is broken."""
    with yard(tmp_path) as made, server(tmp_path) as other:
        key = new_key()
        other.show(key, made.authority.issue(key, HOST, days=300))
        place = Place(HOST, "127.0.0.1", other.port)
        made.publish()
        named = {HOST: [*made.probe_options.named[HOST], place]}
        looks = probe([HOST], ProbeOptions(named, made.probe_options.ca))
        found = check(made.session(), (APP,), looks, made.now)
    (finding,) = found.of(Weight.BAD)
    assert finding.code == "not-pinned"
    assert str(place) in finding.text
    assert "apps report it" in finding.text
    assert codes(found) == {"not-pinned", "differs"}
    assert state(found) is State.BROKEN


def test_a_place_that_never_answers_proves_nothing(tmp_path: Path) -> None:
    """Neither good nor bad is recorded where a host wasn't seen."""
    with yard(tmp_path) as made, silent() as port:
        enforced(made)
        named = {HOST: [*made.probe_options.named[HOST], Place(HOST, "127.0.0.1", port)]}
        looks = probe([HOST], ProbeOptions(named, made.probe_options.ca, 0.3))
        found = check(made.session(), (APP,), looks, made.now + 20)
    assert bad(found) == ["unreachable"]
    assert state(found) is None


def test_a_chain_that_doesnt_hold_is_bad(tmp_path: Path) -> None:
    """An interceptor's, or an authority that nobody named."""
    with yard(tmp_path) as made:
        enforced(made)
        looks = probe([HOST], ProbeOptions(made.probe_options.named, None))
        found = check(made.session(), (APP,), looks, made.now + 20)
    assert bad(found) == ["chain"]
    assert state(found) is State.BROKEN


def test_a_draft_says_what_isnt_published_yet(tmp_path: Path) -> None:
    """In words: which key is new, which changed its role, which is gone."""
    with yard(tmp_path) as made:
        made.publish()
        made.pin(new_key(), PinRole.NEXT)
        (note,) = made.check().of(Weight.NOTE)
        assert "is new (next)" in note.text
        backup = made.session().pinned.named(HOST, "backup")
        edit(
            made.config,
            lambda _, pinned: pinned.with_keys(
                HOST, tuple(each for each in pinned.of(HOST) if each != backup)
            ),
        )
        made.write(mode="enforce")
        (note,) = made.check().of(Weight.NOTE)
    assert f"{backup.pin} is gone (backup)" in note.text
    assert "report becomes enforce" in note.text


def test_metrics_say_what_an_alert_needs(tmp_path: Path) -> None:
    """Expiry as a time, whether each place is pinned, and backups."""
    with yard(tmp_path) as made:
        made.publish()
        found = made.check()
        page = exposition(metrics_of(made.session(), found, made.now)).decode()
        other = dataclasses.replace(found.probes[HOST].results[0], chain=(bytes(32),))
        look = dataclasses.replace(found.probes[HOST], results=(other,))
        wrong = dataclasses.replace(found, probes={HOST: look})
        broken = exposition(metrics_of(made.session(), wrong, made.now)).decode()
    assert page.startswith(METRICS_MARK)
    live = f'watchword_pins_live_pinned{{app="{APP}",host="{HOST}",place="'
    assert live in page
    assert [line[-3:] for line in page.splitlines() if line.startswith(live)] == ["1.0"]
    assert [line[-3:] for line in broken.splitlines() if line.startswith(live)] == ["0.0"]
    assert f'watchword_pins_backup{{app="{APP}",host="{HOST}"}} 1.0' in page
    assert f'watchword_pins_set_expiry_timestamp_seconds{{app="{APP}"}}' in page


def test_ctrl_c_is_not_held_up_by_silent_servers() -> None:
    """Of many servers that never answer those are waited for that are asked already; the others aren't asked any more."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listening.accept()[0])
                    if len(taken) == 17:  # The first have given up: all others wait for their turn.
                        _thread.interrupt_main()

        threading.Thread(target=take, daemon=True).start()
        places = [Place(HOST, "127.0.0.1", listening.getsockname()[1])] * 128
        with pytest.raises(KeyboardInterrupt):
            probe([HOST], ProbeOptions({HOST: places}, None, 0.3))
        assert len(taken) < len(places) / 2
        listening.shutdown(socket.SHUT_RDWR)
    for each in taken:
        each.close()
