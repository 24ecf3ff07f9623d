"""Show the steps of a rotation: what is live decides."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.apps.pins_servers import HOST, new_key
from tests.unit.apps.pins_yard import APP, Yard, yard

from watchword.apps.pins.publication import release
from watchword.apps.pins.rotations import RotationStep, rotation_step
from watchword.apps.pins.session import NotNowError, PinnedKey, PinnedKeys, Probe, edit
from watchword.pins.interface import Pin, PinRole


def stepped(made: Yard, look: Probe | None = None) -> RotationStep:
    """Return the next step, and take it."""
    seen = look or made.looks()[HOST]
    taken = rotation_step(made.session(), made.session().pinned, seen, made.now)
    edit(made.config, lambda _, pinned: pinned.with_keys(HOST, taken.keys))
    return taken


def roles(made: Yard) -> list[str]:
    """Return the roles of the pinned keys."""
    return [each.pin.role.value for each in made.session().pinned.of(HOST)]


def test_a_planned_swap_from_start_to_end(tmp_path: Path) -> None:
    """Each time it says the one thing to do; the key moves once it is live, and not before."""
    with yard(tmp_path) as made:
        made.publish()
        assert "To plan a swap" in stepped(made).then[0]
        following = new_key()
        made.pin(following, PinRole.NEXT)
        assert stepped(made).then == ("watchword pins publish",)
        made.publish(after=1)
        waiting = stepped(made)
        assert "every app that is in use has it by" in waiting.said[1]
        assert waiting.then[0].startswith("Deploy the certificate of the next key")
        assert not waiting.moved
        made.show(following)
        taken = stepped(made)
        assert taken.moved
        assert roles(made) == ["current", "backup"]
        assert taken.then == ("watchword pins publish",)
        made.publish(after=2)
        assert made.check(after=3).findings == ()


def test_the_backup_takes_over_and_a_new_one_is_asked_for(tmp_path: Path) -> None:
    """After a loss: what is live everywhere is current, and the lost key isn't pinned any more."""
    with yard(tmp_path) as made:
        made.publish()
        backup = new_key()
        edit(made.config, lambda _, p: p.with_keys(HOST, (p.named(HOST, "current"),)))
        made.pin(backup, PinRole.BACKUP)
        made.show(backup)
        taken = stepped(made)
        assert taken.moved
        assert roles(made) == ["current"]
        assert taken.then[0].startswith("A backup is missing")


def test_a_swap_that_comes_too_early_is_told(tmp_path: Path) -> None:
    """An app version that enforces the old keys until its first fetch would be locked out."""
    with yard(tmp_path) as made:
        made.publish()
        made.write(mode="enforce", report_first="1s")
        made.publish(after=10)
        release(made.config, APP, "4.1.0", made.now, "alice@test")
        made.pin(new_key(), PinRole.NEXT)
        made.publish(after=20)
        taken = stepped(made)
        assert not taken.moved
        assert any("Not yet: " in line and "4.1.0" in line for line in taken.said)
        assert taken.then[-1].startswith("Wait until they have fetched it")


def test_a_key_that_nobody_pinned_is_no_rotation(tmp_path: Path) -> None:
    """It says what to do if it is yours, and what it is if it isn't; nothing is changed."""
    with yard(tmp_path) as made:
        made.publish()
        before = made.session().pinned
        made.show(new_key())
        with pytest.raises(NotNowError, match=r"isn't pinned.*If it isn't, somebody is in between"):
            stepped(made)
        assert made.session().pinned == before


def test_places_must_agree(tmp_path: Path) -> None:
    """In the middle of a roll-out, with a place that is silent, or a chain that doesn't hold, nothing moves."""
    with yard(tmp_path) as made:
        result = made.looks()[HOST].results[0]
        other = replace(result, chain=(bytes(32),))
        with pytest.raises(NotNowError, match="got 2 different keys at 2 places"):
            stepped(made, Probe(HOST, (result, other)))
        with pytest.raises(NotNowError, match="not every place answered: no"):
            stepped(made, Probe(HOST, (result,), ("no answer",)))
        with pytest.raises(NotNowError, match="not every place answered: none"):
            stepped(made, Probe(HOST))
        bad = replace(result, fault="expired")
        with pytest.raises(NotNowError, match="the chain doesn't hold: expired"):
            stepped(made, Probe(HOST, (bad,)))


def test_a_host_behind_a_cdn_needs_no_rotation(tmp_path: Path) -> None:
    """Pinned by its authority, its own key may be any."""
    with yard(tmp_path) as made:
        root = made.looks()[HOST].results[0].chain[-1]
        keys = PinnedKeys({HOST: (PinnedKey(Pin(root, PinRole.CA)),)})
        edit(made.config, lambda _, __: keys)
        taken = stepped(made)
    assert not taken.moved
    assert "pinned by its authority" in taken.said[0]
