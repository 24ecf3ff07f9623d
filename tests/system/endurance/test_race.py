"""Let processes race for one challenge."""

from pathlib import Path

from tests.system.endurance.enrolling_process import enrolment_on, packed
from tests.system.endurance.test_kill import start
from tests.unit.enrolment.simulators import NOW, SimulatedPhone

from watchword.adapters.sqlite import SqliteStore
from watchword.vocabulary import Purpose

ROUNDS = 50
PROCESSES = 4


def test_exactly_one_of_four_processes_wins(tmp_path: Path) -> None:
    """Four processes send four phones' enrolments with one challenge at once: one is enrolled."""
    path = tmp_path / "watchword.db"
    store = SqliteStore(path)
    enrolment = enrolment_on(store)
    racers = [start(path, "requests") for _ in range(PROCESSES)]
    for _ in range(ROUNDS):
        challenge, _seconds = enrolment.challenge("clinic-ios", Purpose.ENROL, NOW)
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write(packed(SimulatedPhone().enrolment(challenge)) + "\n")
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.flush()
        outcomes = []
        for racer in racers:
            assert racer.stdout is not None
            outcomes.append(racer.stdout.readline().strip())
        assert sorted(outcomes) == ["challenge.used"] * (PROCESSES - 1) + ["won"]
    for racer in racers:
        racer.communicate()
        assert racer.returncode == 0
    store.close()
