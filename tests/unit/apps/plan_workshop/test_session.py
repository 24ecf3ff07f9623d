"""One workshop for all who sit at it: answers, the way back, the file beside them, and the next start."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.machine import patience
from tests.unit.apps.plan_workshop.test_ends import Noon

from watchword.adapters.answer_journal import AnswerJournal, BusyError, JournalError
from watchword.adapters.text_file import TextFileError, replace_text_file
from watchword.apps.plan.workshop.session import (
    THE_FILE,
    Workshop,
    WorkshopError,
    journal_directory,
    moves,
    turns,
)
from watchword.plan.service import Question
from watchword.plan.workshop import ConflictError, SetEntry, SetValue

COAT = ("assets", "one-session", "impact")
CAR = ("assets", "record-store", "impact")
WORSE = SetValue(COAT, 1, 5)

Open = Callable[[], Workshop]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a copy of the example with the coat and the car."""
    return Path(shutil.copy("examples/coat-and-car.yaml", tmp_path / "watchword.yaml"))


@pytest.fixture
def begin(file: Path) -> Iterator[Open]:
    """Return what opens the workshop; the one before is closed, as at the end of a process."""
    opened: list[Workshop] = []

    def start() -> Workshop:
        for each in opened:
            each.close()
        journal = AnswerJournal(journal_directory(file), file)
        try:
            opened.append(Workshop(file, journal, Noon()))
        except BaseException:
            journal.close()
            raise
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def impact(workshop: Workshop, name: str = "one-session") -> Any:
    """Return an asset's impact as it was answered."""
    return workshop.state().section["assets"][name]["impact"]


def places(workshop: Workshop) -> list[str]:
    """Return the protections in the order of the plan."""
    planned = workshop.plan()
    assert planned is not None
    return [each.protection.id for each in planned.plan.items]


def test_an_answer_plans_anew_and_what_moved_is_told(begin: Open) -> None:
    """With a coat that is worth as much as the car, what protects the coat moves up."""
    workshop = begin()
    before = workshop.plan()
    assert before is not None
    assert places(workshop)[0] == "PR-B01"
    workshop.answer([WORSE], "ann", "one-session: impact 5")
    after = workshop.plan()
    assert after is not None
    assert workshop.previous() == before
    moved = {each.protection: (each.before, each.after) for each in moves(before.plan, after.plan)}
    assert moved["PR-A08"] == (3, 1)
    assert turns(before.plan, after.plan) == []


def test_an_answer_is_taken_back_and_given_again(begin: Open) -> None:
    """Undo and redo lead there and back, and a new answer ends the redo."""
    workshop = begin()
    workshop.answer([WORSE], "ann", "worse")
    assert impact(workshop) == 5
    assert len(workshop.undo("bob").undone) == 1
    assert impact(workshop) == 1
    workshop.redo("bob")
    assert impact(workshop) == 5
    workshop.undo("bob")
    workshop.answer([SetValue(CAR, 5, 4)], "ann", "less")
    with pytest.raises(WorkshopError, match="no answer to give again"):
        workshop.redo("ann")


def test_nothing_to_take_back_is_said(begin: Open) -> None:
    """The first undo of all has nothing to undo."""
    with pytest.raises(WorkshopError, match="no answer to take back"):
        begin().undo("ann")


def test_two_answers_to_one_question_are_noticed(begin: Open) -> None:
    """The second of two tabs is told, and its answer isn't taken."""
    workshop = begin()
    workshop.answer([WORSE], "ann", "worse")
    with pytest.raises(ConflictError):
        workshop.answer([SetValue(COAT, 1, 3)], "bob", "a little worse")
    assert impact(workshop) == 5
    assert len(workshop.state().done) == 1


def test_answers_are_there_again_at_the_next_start(begin: Open, file: Path) -> None:
    """A process that ends without saving loses nothing, and the file is as it was."""
    before = file.read_bytes()
    begin().answer([WORSE], "ann", "worse")
    again = begin()
    assert impact(again) == 5
    assert again.state().unsaved
    assert [each.by for each in again.state().done] == ["ann"]
    assert file.read_bytes() == before
    again.undo("ann")
    assert impact(begin()) == 1


def test_saving_writes_the_section_and_nothing_else(begin: Open, file: Path) -> None:
    """One line of the file differs afterwards; the next start has nothing unsaved."""
    workshop, before = begin(), file.read_text()
    workshop.answer([WORSE], "ann", "worse")
    assert "-      impact: 1\n+      impact: 5\n" in workshop.diff()
    assert not workshop.save(workshop.seen(), "ann").unsaved
    assert file.read_text() == before.replace("impact: 1", "impact: 5")
    assert not begin().state().unsaved


def test_nobody_saves_over_what_was_not_looked_at(begin: Open, file: Path) -> None:
    """A change of the file between the page and the button is told first."""
    workshop = begin()
    workshop.answer([WORSE], "ann", "worse")
    seen = workshop.seen()
    file.write_text(file.read_text() + "\n# a note\n")
    with pytest.raises(WorkshopError, match="has changed since"):
        workshop.save(seen, "ann")
    workshop.save(workshop.seen(), "ann")
    assert file.read_text().endswith("\n# a note\n")


def test_changes_from_outside_are_taken_in(begin: Open, file: Path) -> None:
    """What doesn't contradict an answer is merged, and stands in the record."""
    workshop = begin()
    workshop.answer([WORSE], "ann", "worse")
    file.write_text(file.read_text().replace("impact: 5", "impact: 4"))
    state = workshop.state()
    assert (state.section["assets"]["record-store"]["impact"], impact(workshop)) == (4, 5)
    assert state.done[-1].by == THE_FILE
    assert not state.conflicts


@pytest.mark.parametrize(("take_file", "left"), [(True, 3), (False, 5)])
def test_a_contradiction_waits_for_a_choice(
    begin: Open, file: Path, take_file: bool, left: int
) -> None:
    """Both sides are shown, nothing is saved before somebody chose, and the choice holds."""
    workshop = begin()
    workshop.answer([WORSE], "ann", "worse")
    file.write_text(file.read_text().replace("impact: 1", "impact: 3"))
    (conflict,) = workshop.state().conflicts
    assert (conflict.mine, conflict.theirs) == (5, 3)
    with pytest.raises(WorkshopError, match="choose first"):
        workshop.save(workshop.seen(), "ann")
    workshop.choose(conflict.key, file=take_file, by="bob")
    assert impact(workshop) == left
    workshop.save(workshop.seen(), "bob")
    assert f"impact: {left}\n" in file.read_text()


@pytest.mark.parametrize(("take_file", "left"), [(True, 3), (False, 5)])
def test_a_contradiction_waits_over_the_next_start(
    begin: Open, file: Path, take_file: bool, left: int
) -> None:
    """Neither it nor the choice is forgotten with the process: else the next one would save over the file."""
    workshop = begin()
    workshop.answer([WORSE], "ann", "worse")
    file.write_text(file.read_text().replace("impact: 1", "impact: 3"))
    assert workshop.state().conflicts
    again = begin()
    (conflict,) = again.state().conflicts
    assert (conflict.mine, conflict.theirs) == (5, 3)
    again.choose(conflict.key, file=take_file, by="bob")
    last = begin()
    assert not last.state().conflicts
    last.save(last.seen(), "bob")
    assert f"impact: {left}\n" in file.read_text()
    assert not begin().state().unsaved


def test_an_answer_that_agrees_with_the_file_settles_the_contradiction(
    begin: Open, file: Path
) -> None:
    """What is shown as ours is what the answers say now, and agreement needs no choice."""
    workshop = begin()
    workshop.answer([WORSE], "ann", "worse")
    file.write_text(file.read_text().replace("impact: 1", "impact: 3"))
    assert workshop.state().conflicts
    (conflict,) = workshop.answer([SetValue(COAT, 5, 4)], "ann", "less").conflicts
    assert (conflict.mine, conflict.theirs) == (4, 3)
    assert not workshop.answer([SetValue(COAT, 4, 3)], "ann", "agreed").conflicts
    assert not workshop.state().unsaved


def test_what_cannot_be_kept_of_the_file_is_not_lost(begin: Open, file: Path) -> None:
    """With a journal that can't be written a change from outside waits; saving doesn't undo it."""
    workshop = begin()
    workshop.answer([WORSE], "ann", "worse")
    (journal,) = journal_directory(file).glob("*.jsonl")
    kept = journal.rename(journal.with_suffix(".kept"))
    journal.mkdir()
    file.write_text(file.read_text().replace("impact: 5", "impact: 4"))
    assert "can't be kept" in workshop.state().trouble
    with pytest.raises(WorkshopError, match="nothing was saved"):
        workshop.save(workshop.seen(), "ann")
    journal.rmdir()
    kept.rename(journal)
    assert impact(workshop, "record-store") == 4
    assert not workshop.state().trouble
    workshop.save(workshop.seen(), "ann")
    assert "impact: 4" in file.read_text()


@pytest.mark.parametrize(
    "value", [10**30, float("nan"), {"a": {"b": {"c": {"d": {"e": {}}}}}}, "x" * 9_000_000]
)
def test_what_could_not_be_read_again_is_not_taken(begin: Open, value: Any) -> None:
    """One answer that no journal holds would keep the next start from all the others."""
    workshop = begin()
    with pytest.raises(JournalError, match="nothing was changed"):
        workshop.answer([SetValue(COAT, 1, value)], "ann", "")
    assert impact(workshop) == 1
    workshop.answer([WORSE], "ann", "worse")
    assert impact(begin()) == 5


def test_saving_often_keeps_the_journal_small(begin: Open, file: Path) -> None:
    """A save is a word in it, not the whole section: else a large plan would fill it in a morning."""
    workshop = begin()
    (journal,) = journal_directory(file).glob("*.jsonl")
    before = journal.stat().st_size
    for _ in range(10):
        workshop.save(workshop.seen(), "ann")
    assert journal.stat().st_size - before < 1000


def test_what_is_observed_meanwhile_counts(begin: Open, file: Path) -> None:
    """A scan beside the workshop makes the same answers another plan."""
    workshop = begin()
    first = workshop.plan()
    assert workshop.plan() is first
    observations = file.parent / ".watchword" / "observations.jsonl"
    observations.write_text("no line of ours\n")
    later = workshop.plan()
    assert later is not None
    assert later.plan.unreadable == 1


def test_nothing_is_worked_on_after_the_end(begin: Open) -> None:
    """A thread inside the solver would abort the process at its end."""
    workshop = begin()
    workshop.plan()
    workshop.close()
    assert workshop.settle(0)
    assert "firmness" not in {each.name for each in threading.enumerate()}


def test_an_asset_that_both_changed_comes_back_whole(begin: Open, file: Path) -> None:
    """Here it was taken out, outside a number of it was changed: the choice of the file brings all of it back."""
    workshop = begin()
    state = workshop.state()
    gone = [SetValue(("assets", "one-session"), state.section["assets"]["one-session"], None)]
    entries = [each for each in state.section["scenarios"]["add"] if each["asset"] == "one-session"]
    workshop.answer(
        [*gone, *(SetEntry(("scenarios", "add"), each, None) for each in entries)], "ann", "out"
    )
    file.write_text(file.read_text().replace("impact: 1", "impact: 3"))
    (conflict,) = workshop.state().conflicts
    workshop.choose(conflict.key, file=True, by="ann")
    assert workshop.state().section["assets"]["one-session"] == {
        "kind": "data",
        "impact": 3,
        "because": "one user logs in again, and support says sorry",
        "lives_in": ["app", "backend"],
        "traits": ["account"],
        "quantities": {"users": 1},
    }


def test_changes_between_two_starts_are_merged(begin: Open, file: Path) -> None:
    """Unsaved answers meet a file that somebody edited meanwhile."""
    begin().answer([WORSE], "ann", "worse")
    file.write_text(file.read_text().replace("impact: 5", "impact: 4"))
    again = begin()
    assert (impact(again), impact(again, "record-store")) == (5, 4)
    assert not again.state().conflicts


@pytest.mark.parametrize("broken", ["plan: [", "plan: {a: &x 1, b: *x}", "- 1\n", "\x00"])
def test_a_broken_file_changes_nothing_and_is_told(begin: Open, file: Path, broken: str) -> None:
    """Answers go on, nothing is saved, and a mended file is followed again."""
    workshop, whole = begin(), file.read_text()
    file.write_text(broken)
    state = workshop.answer([WORSE], "ann", "worse")
    assert str(file) in state.trouble
    assert impact(workshop) == 5
    with pytest.raises(WorkshopError, match="nothing was saved"):
        workshop.save(workshop.seen(), "ann")
    file.write_text(whole)
    assert not workshop.state().trouble
    assert workshop.plan() is not None


def test_a_directory_in_the_place_of_the_file_is_told(begin: Open, file: Path) -> None:
    """Nothing is lost where the file became something else."""
    workshop = begin()
    file.unlink()
    file.mkdir()
    state = workshop.answer([WORSE], "ann", "worse")
    assert "no regular file" in state.trouble
    with pytest.raises(WorkshopError, match="nothing was saved"):
        workshop.save(workshop.seen(), "ann")


def test_a_file_that_is_gone_is_made_anew(begin: Open, file: Path) -> None:
    """Removed from outside, its assets are taken as removed; undo brings them back, and saving makes the file."""
    workshop = begin()
    file.unlink()
    assert not workshop.state().section
    workshop.undo("ann")
    workshop.save(workshop.seen(), "ann")
    assert "record-store:" in file.read_text()


def test_a_second_workshop_says_where_the_first_one_is(file: Path) -> None:
    """Two processes never write one journal."""
    journal = AnswerJournal(journal_directory(file), file)
    journal.announce("http://127.0.0.1:8765/")
    with pytest.raises(BusyError, match=r"open already at http://127\.0\.0\.1:8765/"):
        AnswerJournal(journal_directory(file), file)
    journal.close()
    AnswerJournal(journal_directory(file), file).close()


def test_half_a_line_of_a_killed_process_is_cut_off(begin: Open, file: Path) -> None:
    """At most the answer under way is lost."""
    workshop = begin()
    workshop.answer([WORSE], "ann", "worse")
    workshop.answer([SetValue(CAR, 5, 4)], "ann", "less")
    (journal,) = journal_directory(file).glob("*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-7])
    again = begin()
    assert (impact(again), impact(again, "record-store")) == (5, 5)
    again.answer([SetValue(CAR, 5, 3)], "ann", "less")
    assert impact(begin(), "record-store") == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{}\n", "doesn't fit|got format"),
        (b"no json\n", r":2: .*JSON"),
        (b'{"undo": "ann"}\n', "doesn't fit"),
        (b'{"answer": {"edits": 1}}\n', "doesn't fit"),
    ],
)
def test_a_journal_that_says_something_else_is_refused(
    begin: Open, file: Path, line: bytes, said: str
) -> None:
    """What can't be given again isn't guessed; the text says how to start without it."""
    begin()
    (journal,) = journal_directory(file).glob("*.jsonl")
    journal.write_bytes(journal.read_bytes() + line)
    with pytest.raises(JournalError, match=said):
        begin()


def test_a_journal_of_a_newer_version_is_left_alone(begin: Open, file: Path) -> None:
    """An older version doesn't cut off what a newer one wrote."""
    begin()
    (journal,) = journal_directory(file).glob("*.jsonl")
    journal.write_text(json.dumps({"v": 2}) + "\n")
    with pytest.raises(JournalError, match="got format 2, expected 1"):
        begin()


def test_many_threads_answer_and_each_answer_counts_once(begin: Open) -> None:
    """Ten people write scenarios at once; all of them are there, in the record too."""
    workshop = begin()

    def write(number: int) -> None:
        entry = {"asset": "record-store", "steps": ["MT-B03"], "because": f"way {number}"}
        workshop.answer([SetEntry(("scenarios", "add"), None, entry)], f"p{number}", "a way")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(workshop.state().section["scenarios"]["add"]) == 4 + 10
    assert {each.by for each in workshop.state().done} == {f"p{number}" for number in range(10)}


def test_a_page_that_is_too_old_is_told(begin: Open) -> None:
    """A form of another run isn't guessed at."""
    with pytest.raises(WorkshopError, match="too old"):
        begin().section_at(99)


def test_what_if_and_budget_are_questions_of_their_own(begin: Open) -> None:
    """A question changes no answer; the whole list is known beside a budget."""
    workshop = begin()
    asked = workshop.plan(Question(added=frozenset({"PR-B01"})))
    assert asked is not None
    assert "PR-B01" not in [each.protection.id for each in asked.plan.items]
    workshop.answer([SetValue(("budget",), None, 6)], "ann", "budget: effort 6")
    planned, whole = workshop.plan(), workshop.whole()
    assert planned is not None
    assert whole is not None
    assert planned.plan.effort <= 6 < whole.plan.effort


def test_faults_stand_at_their_field(begin: Open) -> None:
    """A wrong member makes no plan, and its fault is found by its key."""
    workshop = begin()
    state = workshop.answer([SetValue(("assets", "one-session", "kind"), "data", "cat")], "ann", "")
    assert workshop.plan() is None
    (fault,) = state.faults_of("assets", "one-session", "kind")
    assert "'data'" in fault.expected
    assert not state.faults_of("assets", "one")


def test_how_firm_each_place_is_comes_beside(begin: Open) -> None:
    """The first plan is there at once and unshaken; the shaken one takes its place."""
    workshop = begin()
    first = workshop.plan()
    assert first is not None
    assert workshop.settle(patience(60))
    later = workshop.plan()
    assert later is not None
    assert later.stable
    assert later.plan.items[0].stability is not None


def test_a_file_that_changed_in_the_last_moment_is_not_replaced(tmp_path: Path) -> None:
    """The last look before writing decides."""
    file = tmp_path / "a.yaml"
    file.write_text("one")
    with pytest.raises(TextFileError, match="changed by somebody else"):
        replace_text_file(file, b"two", expected=b"other")
    assert file.read_text() == "one"


def test_what_was_kept_of_somebody_else_stays(tmp_path: Path) -> None:
    """An earlier text beside the file is somebody's; a name that a killed process left isn't."""
    file, kept = tmp_path / "a.yaml", tmp_path / "a.yaml.replaced"
    file.write_text("one")
    kept.write_text("somebody's")
    assert replace_text_file(file, b"two", expected=b"one") is None
    assert (file.read_text(), kept.read_text()) == ("two", "somebody's")
    assert len(list(tmp_path.iterdir())) == 2
    kept.unlink()
    kept.hardlink_to(file)
    replace_text_file(file, b"three", expected=b"two")
    assert [each.name for each in tmp_path.iterdir()] == ["a.yaml"]


def test_mode_and_links_stay(tmp_path: Path) -> None:
    """A link is followed, and what it leads to keeps its mode."""
    file, link = tmp_path / "a.yaml", tmp_path / "link.yaml"
    file.write_text("one")
    file.chmod(0o640)
    link.symlink_to(file)
    replace_text_file(link, b"two", expected=b"one")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("two", 0o640)
    assert link.is_symlink()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.yaml", "link.yaml"]
