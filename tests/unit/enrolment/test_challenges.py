"""Which challenges count: on every path of a clock, and over a store that forgets, none is used twice."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.enrolment.simulators import ISSUER, NOW, SeededEntropy

from watchword.enrolment.interface import CHALLENGE_SECONDS
from watchword.enrolment.statement import Challenges, OneEpoch, epoch_key
from watchword.reasons import Reason, RefusedError
from watchword.vocabulary import Purpose

KEY = bytes(range(32))
MARGIN = timedelta(hours=1)


class MemoryEpochs:
    """Implement the epochs in memory."""

    def __init__(self) -> None:
        """Begin with the first epoch."""
        self.number = 1
        self.forgotten = 0

    def begin(self, now: datetime) -> None:
        """Begin the next one."""
        del now
        self.number += 1
        self.forgotten = 0


class Uses:
    """Record uses as the store does, and forget them as the service does."""

    def __init__(self) -> None:
        """Begin with nothing used."""
        self.epochs = MemoryEpochs()
        self.challenges = Challenges(ISSUER, KEY, self.epochs)
        self.entropy = SeededEntropy()
        self._used: dict[bytes, datetime] = {}

    def make(self, now: datetime) -> bytes:
        """Return a challenge."""
        return self.challenges.make("clinic-ios", Purpose.ENROL, now, self.entropy)

    def use(self, made: bytes, now: datetime) -> bool:
        """Use a challenge; tell whether it passed."""
        try:
            use = self.challenges.check(made, "clinic-ios", Purpose.ENROL, now)
        except RefusedError:
            return False
        return self._used.setdefault(use.nonce, use.expires_at) is use.expires_at

    def forget(self, now: datetime) -> None:
        """Forget what expired an hour ago."""
        before = now - MARGIN
        self.epochs.forgotten = max(self.epochs.forgotten, int(before.timestamp()) + 1)
        self._used = {nonce: at for nonce, at in self._used.items() if at >= before}


def reason_of(uses: Uses, made: bytes, now: datetime) -> Reason:
    """Return why a challenge is refused."""
    with pytest.raises(RefusedError) as caught:
        uses.challenges.check(made, "clinic-ios", Purpose.ENROL, now)
    return caught.value.refusals[0].reason


steps = st.lists(
    st.one_of(
        st.tuples(st.just("jump"), st.integers(-40_000, 40_000)),
        st.tuples(st.sampled_from(["make", "use all", "forget"]), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_no_challenge_is_used_twice_on_any_path_of_the_clock(path: list[tuple[str, int]]) -> None:
    """However far it jumps, and whatever is forgotten meanwhile."""
    uses, now = Uses(), NOW
    made: list[bytes] = [uses.make(now)]
    passed: list[bytes] = []
    for what, seconds in path:
        now += timedelta(seconds=seconds)
        if what == "make":
            made.append(uses.make(now))
        elif what == "use all":
            passed += [each for each in made if uses.use(each, now)]
        elif what == "forget":
            uses.forget(now)
    assert len(passed) == len(set(passed))
    # And nobody is locked out, wherever the clock is by now.
    assert uses.use(uses.make(now), now)


def test_what_may_have_been_forgotten_is_refused() -> None:
    """A clock that ran two hours ahead and is set right brings no used challenge back."""
    uses = Uses()
    made = uses.make(NOW)
    assert uses.use(made, NOW)
    uses.forget(NOW + timedelta(hours=2))
    assert reason_of(uses, made, NOW + timedelta(seconds=1)) is Reason.CHALLENGE_EXPIRED
    fresh = uses.make(NOW + timedelta(seconds=1))
    assert reason_of(uses, made, NOW + timedelta(seconds=2)) is Reason.CHALLENGE_UNKNOWN
    assert uses.use(fresh, NOW + timedelta(seconds=2))


def test_forgetting_in_time_begins_no_epoch() -> None:
    """While the clock goes on as it should every challenge is good for its whole life."""
    uses = Uses()
    for minutes in range(0, 600, 4):
        now = NOW + timedelta(minutes=minutes)
        made = uses.make(now)
        uses.forget(now)
        assert uses.use(made, now + timedelta(seconds=CHALLENGE_SECONDS - 1))
    assert uses.epochs.number == 1


def test_each_epoch_has_a_key_of_its_own() -> None:
    """The first one is the service's own key, as the protocol's vectors have it."""
    assert epoch_key(KEY, OneEpoch().number) == KEY
    keys = {epoch_key(KEY, number) for number in (0, 1, 2, 2**62)}
    assert len(keys) == 4
    assert all(len(key) == 32 for key in keys)


def test_nothing_is_shown() -> None:
    """A key in a log is a key lost."""
    assert KEY.hex()[:8] not in repr(Challenges(ISSUER, KEY, OneEpoch()))
    assert repr(Challenges(ISSUER, KEY, OneEpoch())) == "Challenges(...)"
