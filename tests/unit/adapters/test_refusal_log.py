"""Count refusals in bounded memory."""

from tests.unit.enrolment.simulators import MovableClock

from watchword.adapters.refusal_log import (
    MAX_DETAIL_CHARACTERS,
    MAX_PLACES,
    SAMPLES_PER_REASON,
    MemoryRefusalLog,
)
from watchword.reasons import Reason, Refusal

EXPIRED = Refusal(Reason.TOKEN_EXPIRED, "60 s ago")
MISSING = Refusal(Reason.TOKEN_MISSING)


def test_every_cause_is_counted_at_its_place() -> None:
    """Each cause of a refusal counts, apart for each place."""
    log = MemoryRefusalLog(MovableClock())
    log.record([EXPIRED, MISSING], "a")
    log.record([EXPIRED], "b")
    log.record([EXPIRED], "b")
    assert log.counts() == {
        (Reason.TOKEN_EXPIRED, "a"): 1,
        (Reason.TOKEN_MISSING, "a"): 1,
        (Reason.TOKEN_EXPIRED, "b"): 2,
    }


def test_flood_does_not_push_out_the_rare() -> None:
    """A hundred thousand refusals of one kind leave the one of another in the sample."""
    clock = MovableClock()
    log = MemoryRefusalLog(clock)
    log.record([EXPIRED], "rare")
    for _ in range(100_000):
        log.record([MISSING], "flood")
    assert len(log.samples()) == SAMPLES_PER_REASON + 1
    assert log.counts()[Reason.TOKEN_MISSING, "flood"] == 100_000
    assert log.samples()[-1].where == "rare" or log.samples()[0].where == "rare"


def test_samples_are_the_latest_newest_first() -> None:
    """The sample shows what happened last."""
    clock = MovableClock()
    log = MemoryRefusalLog(clock)
    for place in range(20):
        clock.advance(1)
        log.record([EXPIRED], str(place))
    assert [sample.where for sample in log.samples()] == [
        str(place) for place in range(19, 19 - SAMPLES_PER_REASON, -1)
    ]
    assert log.samples()[0].at == clock.now()


def test_places_are_bounded() -> None:
    """Whoever invents places can't grow the counters without end."""
    log = MemoryRefusalLog(MovableClock())
    for place in range(MAX_PLACES + 100):
        log.record([MISSING], str(place))
    assert len(log.counts()) == MAX_PLACES + 1
    assert log.counts()[Reason.TOKEN_MISSING, "other"] == 100


def test_details_are_bounded() -> None:
    """A long detail is cut."""
    log = MemoryRefusalLog(MovableClock())
    log.record([Refusal(Reason.TOKEN_EXPIRED, "x" * 10_000)], "a")
    assert len(log.samples()[0].refusals[0].detail) == MAX_DETAIL_CHARACTERS


def test_nothing_is_no_refusal() -> None:
    """An empty list of causes counts nothing."""
    log = MemoryRefusalLog(MovableClock())
    log.record([], "a")
    assert log.counts() == {}
    assert log.samples() == []
