"""Test what pins promise over random histories; `python -m scripts.pin_histories` plays 50,000 of them."""

import pytest
from scripts.pin_histories import BrokenPromiseError, play, play_many

EACH = 250


@pytest.mark.parametrize("first", range(0, 4 * EACH, EACH))
def test_no_history_breaks_a_promise(first: int) -> None:
    """No lock-out without a forced step, no rollback, no freeze beyond its limit; and the histories aren't idle."""
    histories = list(play_many(EACH, first))
    assert sum(len(each.published) for each in histories) > EACH
    assert sum(len(each.lists) for each in histories) > EACH
    assert sum(len(each.forged) for each in histories) > EACH
    assert any(each.forced for each in histories)
    assert sum(not each.forced for each in histories) > EACH // 2


def test_history_is_the_same_for_a_seed() -> None:
    """A broken one can be played again."""
    assert play(7).steps == play(7).steps != play(8).steps


def test_broken_promise_tells_the_story() -> None:
    """Which promise, and every step up to there."""
    history = play(3)
    with pytest.raises(BrokenPromiseError, match=r"promise 4: as a test\n  publish 1"):
        history.broken(4, "as a test")
