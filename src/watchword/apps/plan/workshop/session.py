"""Hold one workshop: what was answered, what the plan is then, and the file that stays the truth.

All tabs and people share one :class:`Workshop`.  An answer is in the journal before anybody is told that it counts, and in
the file once somebody saves.  A change of the file from outside is taken in beside the answers; where both say something
else on one point, both are shown until somebody chooses.
"""

import difflib
import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from watchword.adapters.answer_journal import AnswerJournal, JournalError
from watchword.adapters.keyring.private_file import Stamp, stamp_of
from watchword.adapters.system import TimeLimit
from watchword.adapters.text_file import TextFileError, read_text_file, replace_text_file
from watchword.apps.plan.commands import plan_of as planned_of
from watchword.apps.plan.workshop.firmness import Firmness
from watchword.apps.plan.workshop.section import SECTION, PlanFile, SectionError
from watchword.apps.settings.document import MAX_BYTES, Document
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.plan import PlanSettings, plan_of
from watchword.apps.settings.sections import Configuration
from watchword.plan.interface import Deadline
from watchword.plan.outcome import Exposure, Plan
from watchword.plan.service import Question
from watchword.plan.workshop import (
    Answer,
    ConflictError,
    Edit,
    Key,
    Section,
    SetEntry,
    SetValue,
    apply,
    difference,
    inverse,
    merge,
    renamed,
    value_at,
)
from watchword.ports import Clock
from watchword.reasons import ExitCode, WatchwordError

FORMAT: Final = 1
NO_BUDGET: Final = -1
"""Asks for the plan without the section's budget."""

MOST_KEPT: Final = 12
"""Plans that are kept to be compared: the newest."""

MOST_SECTIONS: Final = 200
"""Answers for which a page may be open and still be sent."""

MAX_NAME: Final = 60
"""Most characters of the name of somebody who answers."""

THE_FILE: Final = "the file"
"""Who answers where the file was changed from outside."""


class WorkshopError(WatchwordError):
    """Report what a person asked for and can't be had; the text says what to do."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Conflict:
    """Hold one point on which the file says something else than the answers.

    :param mine: what was answered; :param theirs: what the file says now.
    """

    key: Key
    mine: Any
    theirs: Any
    edit: Edit


@dataclass(frozen=True, slots=True)
class State:
    """Hold one moment of the workshop.

    :param revision: grows with each answer.
    :param faults: what `watchword plan` would refuse; none where there is a plan, and none where nothing is answered yet.
    :param unsaved: whether the answers say something else than the file.
    :param trouble: why the file can't be read or written now; empty where it can.
    :param conflicts: what the file says against the answers; nothing is saved before somebody chose.
    :param done: answers in order, the newest last; :param undone: those that can be given again, the next one last.
    """

    revision: int
    section: Section
    faults: tuple[Fault, ...]
    unsaved: bool
    trouble: str
    conflicts: tuple[Conflict, ...]
    done: tuple[Answer, ...]
    undone: tuple[Answer, ...]

    def faults_of(self, *key: str) -> list[Fault]:
        """Return the faults of one place of the section and of what stands below it."""
        path = ".".join((SECTION, *key))
        return [
            each for each in self.faults if (each.path + ".").startswith((path + ".", path + "["))
        ]


@dataclass(frozen=True, slots=True)
class Moved:
    """Hold how one protection's place changed; None for a place that it hasn't."""

    protection: str
    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Turned:
    """Hold how one asset's exposure today changed; None for an asset that is new or gone."""

    asset: str
    before: Exposure | None
    after: Exposure | None


@dataclass(frozen=True, slots=True)
class Planned:
    """Hold one plan and what it was made from.

    :param stable: whether it says how firm each place is; else that is being worked out.
    """

    revision: int
    question: Question
    plan: Plan
    settings: PlanSettings
    stable: bool


@dataclass(frozen=True, slots=True)
class _Given:
    """Hold an answer, and what takes it back."""

    answer: Answer
    back: tuple[Edit, ...]


class Workshop:
    """Keep the answers of one file's workshop; every method may be called from any thread."""

    def __init__(self, file: Path, journal: AnswerJournal, clock: Clock) -> None:
        """Open the workshop of a file, with the answers that were not saved when it ended last.

        :param file: a ``watchword.yaml``, or one for the plan alone; it may not be there yet.
        :raises WorkshopError: when the file can't be read as YAML, or its section not be edited.
        :raises JournalError: when the answers of last time can't be read.
        """
        self.file = file
        self._journal = journal
        self._clock = clock
        self._lock = threading.RLock()
        self._revision = 0
        self._done: list[_Given] = []
        self._undone: list[_Given] = []
        self._conflicts: tuple[Conflict, ...] = ()
        self._trouble = ""
        self._plans: dict[tuple[int, Question], Planned] = {}
        self._firmness = Firmness(self._lock)
        self._read: tuple[tuple[int, date], PlanSettings | ConfigurationError] | None = None
        self._measured: tuple[date, Stamp | None] | None = None
        self._previous: Planned | None = None
        self._sections: dict[int, Section] = {}
        try:
            self._seen = PlanFile.parse(file, read_text_file(file, MAX_BYTES))
        except (TextFileError, ConfigurationError, SectionError) as error:
            raise WorkshopError(str(error)) from None
        self._section: dict[str, Any] = dict(self._seen.section)
        self._base: Section = self._seen.section
        self._resume()
        self._sections[self._revision] = self._section

    # What was answered.

    def state(self) -> State:
        """Return the workshop as it is now, after a look at the file."""
        with self._lock:
            self._look()
            return self._state()

    def _state(self) -> State:
        return State(
            revision=self._revision,
            section=self._section,
            faults=self._faults(),
            unsaved=self._section != self._seen.section,
            trouble=self._trouble,
            conflicts=self._conflicts,
            done=tuple(each.answer for each in self._done),
            undone=tuple(each.answer for each in self._undone),
        )

    def answer(self, edits: Sequence[Edit], by: str, said: str) -> State:
        """Take an answer; it is on the disk when this returns.

        :param edits: say what stood there when the question was asked.
        :param by: who answers; :param said: in a sentence, for the meeting's record.
        :raises ConflictError: when somebody else answered meanwhile; nothing is changed.
        :raises JournalError: when it can't be kept; nothing is changed.
        """
        with self._lock:
            self._look()
            self._take(Answer(tuple(edits), by[:MAX_NAME], said, self._clock.now()))
            return self._state()

    def rename(self, old: str, new: str, by: str) -> State:
        """Give an asset another name, also in the scenarios.

        :raises ConflictError: when it is there no more, or the name is taken.
        """
        with self._lock:
            return self.answer(renamed(self._section, old, new), by, f"{old} is called {new}")

    def undo(self, by: str) -> State:
        """Take the newest answer back.

        :raises WorkshopError: when there is none.
        """
        with self._lock:
            self._look()
            if not self._done:
                raise WorkshopError("got no answer to take back")
            section = apply(self._section, self._done[-1].back)
            self._note(undo=by)
            self._undone.append(self._done.pop())
            self._now(section)
            return self._state()

    def redo(self, by: str) -> State:
        """Give the answer again that was taken back last.

        :raises WorkshopError: when there is none.
        """
        with self._lock:
            self._look()
            if not self._undone:
                raise WorkshopError("got no answer to give again")
            section = apply(self._section, self._undone[-1].answer.edits)
            self._note(redo=by)
            self._done.append(self._undone.pop())
            self._now(section)
            return self._state()

    def _take(self, answer: Answer) -> None:
        section = apply(self._section, answer.edits)
        if section == self._section:
            return
        # The way back depends on what stood there.
        given = _Given(answer, inverse(self._section, answer.edits))
        self._journal.append({"answer": _written(answer)})
        self._done.append(given)
        self._undone.clear()
        self._now(section)

    def _note(self, **step: Any) -> None:
        self._journal.append({**step, "at": self._clock.now().isoformat()})

    def section_at(self, revision: int) -> Section:
        """Return the section that a page showed.

        :raises WorkshopError: when that was too many answers ago.
        """
        with self._lock:
            if revision == self._revision:
                return self._section
            if revision not in self._sections:
                raise WorkshopError(
                    "this page is too old: load it again, and answer once more; nothing was changed"
                )
            return self._sections[revision]

    def _now(self, section: dict[str, Any]) -> None:
        """Let the answers say this."""
        self._section = section
        self._conflicts = tuple(
            replace(each, mine=mine)
            for each in self._conflicts
            if (mine := value_at(section, each.key)) != each.theirs
        )
        self._changed()

    def _changed(self) -> None:
        self._previous = self._plans.get((self._revision, Question())) or self._previous
        self._revision += 1
        self._firmness.drop()
        self._sections[self._revision] = self._section
        while len(self._sections) > MOST_SECTIONS:
            del self._sections[next(iter(self._sections))]

    # The file.

    def diff(self) -> str:
        """Return what saving would change, as a unified diff; empty where nothing.

        :raises SectionError: when the section can't be changed in place.
        """
        with self._lock:
            self._look()
            before, after = self._seen.raw, self._seen.with_section(self._section)
            old, new = (each.decode("utf-8").splitlines(keepends=True) for each in (before, after))
            return "".join(difflib.unified_diff(old, new, str(self.file), str(self.file)))

    def seen(self) -> str:
        """Return the digest of the file as it was seen last: what a page with a diff was made for."""
        return hashlib.sha256(self._seen.raw).hexdigest()

    def save(self, seen: str, by: str) -> State:
        """Write the section into the file.

        :param seen: :meth:`seen` when the diff was shown: nobody saves over what he hasn't looked at.
        :raises WorkshopError: when the file has changed since, can't be read, or a conflict waits for a choice.
        :raises SectionError: when the section can't be changed in place; nothing is written.
        :raises TextFileError: when the disk refuses; the file is as it was.
        """
        with self._lock:
            self._look()
            if self._trouble:
                raise WorkshopError(f"nothing was saved: {self._trouble}")
            if self._conflicts:
                raise WorkshopError(
                    "nothing was saved: choose first where the file says something else"
                )
            if seen != self.seen():
                raise WorkshopError(
                    "nothing was saved: the file has changed since, look at the changes again"
                )
            data = self._seen.with_section(self._section)
            replaced = None
            if data != self._seen.raw:
                replaced = replace_text_file(self.file, data, expected=self._seen.raw)
                self._seen = PlanFile.parse(self.file, data)
            self._base = self._seen.section
            # Without this step the next start finds that the file says what was answered.
            with suppress(JournalError):
                self._note(saved=by)
            if replaced is not None:
                raise WorkshopError(
                    f"saved, but somebody else wrote {self.file} in the same moment: what that said is in {replaced}; compare both"
                )
            return self._state()

    def choose(self, key: Key, *, file: bool, by: str) -> State:
        """Settle one conflict.

        :param file: take what the file says; else the answer stays.
        :raises WorkshopError: when there is no such conflict any more.
        """
        with self._lock:
            self._look()
            found = next((each for each in self._conflicts if each.key == key), None)
            if found is None:
                raise WorkshopError("got no such conflict any more; look at the page again")
            if file:
                said = f"{'.'.join(key)}: as the file says"
                self._take(Answer((self._as_file(found),), by, said, self._clock.now()))
            self._note(chosen=list(key))
            self._settled(key)
            self._changed()
            return self._state()

    def _settled(self, key: Key) -> None:
        self._conflicts = tuple(each for each in self._conflicts if each.key != key)

    def _as_file(self, found: Conflict) -> Edit:
        """Return what makes the answers say what the file says on one point."""
        if isinstance(found.edit, SetEntry):
            return SetEntry(found.key, None, found.edit.value)
        whole = found.key[:2]
        if found.key[0] == "assets" and value_at(self._section, whole) is None:
            # One member alone would be half an asset.
            return SetValue(whole, None, value_at(self._base, whole))
        return SetValue(found.key, value_at(self._section, found.key), found.theirs)

    def _look(self) -> None:
        """Take in what somebody else wrote into the file."""
        try:
            raw = read_text_file(self.file, MAX_BYTES)
            if raw != self._seen.raw:
                found = PlanFile.parse(self.file, raw)
                self._take_in(found.section)
                self._seen = found
        except (TextFileError, ConfigurationError, SectionError, JournalError) as error:
            # Its last good state and the answers stay; it may be half written at this moment.  What can't be kept in the
            # journal isn't taken in either: the next look tries again.
            self._trouble = str(error)
            return
        self._trouble = ""

    def _take_in(self, theirs: Section) -> None:
        if theirs != self._base:
            merged = merge(self._base, self._section, theirs)
            if edits := difference(self._section, merged.section):
                said = "the file was changed from outside"
                self._take(Answer(edits, THE_FILE, said, self._clock.now()))
            if changed := difference(self._base, theirs):
                self._note(file=_edits_written(changed))
            self._follow(theirs)
        self._changed()

    def _follow(self, theirs: Section) -> None:
        """Hold the answers against another state of the file: what contradicts them waits for a choice."""
        found = merge(self._base, self._section, theirs).conflicts
        kept = [each for each in self._conflicts if each.key not in {one.key for one in found}]
        self._conflicts = (
            *kept,
            *(
                Conflict(each.key, value_at(self._section, each.key), each.value, each)
                for each in found
            ),
        )
        self._base = theirs

    def _resume(self) -> None:
        """Give again what was answered before the last end, on the section that it was answered on."""
        steps = list(self._journal.steps())
        if not steps or steps[0].get("v") != FORMAT:
            if steps:
                raise JournalError(
                    f"{self._journal.path}: got format {steps[0].get('v')}, expected {FORMAT}: finish with the version that wrote it, "
                    "or move it away to start without its answers"
                )
            self._journal.begin({"v": FORMAT, "file": str(self.file), "base": dict(self._base)})
            return
        journal, self._journal = self._journal, _Silent()
        try:
            self._section = dict(steps[0]["base"])
            self._base = steps[0]["base"]
            for step in steps[1:]:
                self._again(step)
        except (LookupError, TypeError, ValueError, ConflictError) as error:
            raise JournalError(
                f"{journal.path}: got a step that doesn't fit the ones before it ({error}); move this file away to start "
                "without the answers in it"
            ) from None
        finally:
            self._journal = journal
        if self._section == self._seen.section:
            self._base = self._seen.section
        self._take_in(self._seen.section)

    def _again(self, step: Mapping[str, Any]) -> None:
        if "answer" in step:
            self._take(_read(step["answer"]))
        elif "undo" in step:
            self._undone.append(self._done.pop())
            self._now(apply(self._section, self._undone[-1].back))
        elif "redo" in step:
            self._done.append(self._undone.pop())
            self._now(apply(self._section, self._done[-1].answer.edits))
        elif "file" in step:
            self._follow(apply(self._base, _edits_read(step["file"])))
        elif "chosen" in step:
            self._settled(tuple(step["chosen"]))
        elif "saved" in step:
            self._base = self._section
        else:
            raise ValueError("an unknown step")

    def close(self) -> None:
        """Let another process open the workshop; what isn't saved is there again then."""
        self._firmness.close()
        self._journal.close()

    # The plan.

    def _settings(self) -> PlanSettings | ConfigurationError | None:
        """Return what a plan of the answers is made from, or what is wrong with them; None where nothing is answered yet."""
        if not self._section.get("assets"):
            return None
        # To find all ways in takes a third of the time of a plan, and each page asks several times.
        key = (self._revision, self._clock.now().date())
        if self._read is None or self._read[0] != key:
            data = {"version": 1, **self._seen.data, SECTION: self._section}
            found: PlanSettings | ConfigurationError
            try:
                found = plan_of(Configuration(self.file, Document(data)), key[1])
            except ConfigurationError as error:
                found = error
            self._read = key, found
        return self._read[1]

    def _faults(self) -> tuple[Fault, ...]:
        found = self._settings()
        return found.faults if isinstance(found, ConfigurationError) else ()

    def plan(self, question: Question | None = None) -> Planned | None:
        """Return the plan of the answers, at once; how firm each place is comes later, beside the requests.

        :param question: what is asked beyond the answers; None takes the budget of the section.
        :returns: None while the answers make no plan: :attr:`State.faults` says why.
        :raises WatchwordError: when the observations can't be read.
        """
        with self._lock:
            question = question or Question()
            settings = self._settings()
            if not isinstance(settings, PlanSettings):
                return None
            self._measure(settings)
            key = (self._revision, question)
            if (kept := self._plans.get(key)) is not None:
                return kept
            made = self._made(self._revision, question, settings, TimeLimit(-1), stable=False)
            self._keep(key, made)
            if question == Question():
                self._firmness.ask(lambda deadline: self._shake(key, settings, deadline))
            return made

    def _measure(self, settings: PlanSettings) -> None:
        """Forget the plans of these answers where something was observed since, or another day began."""
        found = (self._clock.now().date(), stamp_of(settings.observations))
        if found != self._measured:
            self._measured = found
            for key in [each for each in self._plans if each[0] == self._revision]:
                del self._plans[key]

    def _made(
        self,
        revision: int,
        question: Question,
        settings: PlanSettings,
        limit: Deadline,
        *,
        stable: bool,
    ) -> Planned:
        budget = settings.budget if question.budget is None else question.budget
        asked = replace(question, budget=None if budget == NO_BUDGET else budget)
        plan, reading = planned_of(settings, asked, self._clock.now(), limit)
        plan = replace(plan, unreadable=len(reading.faults))
        return Planned(revision, question, plan, settings, stable)

    def _shake(self, key: tuple[int, Question], settings: PlanSettings, deadline: Deadline) -> None:
        # The plan without it is shown already, and the next request tells what is wrong.
        with suppress(WatchwordError):
            made = self._made(*key, settings, deadline, stable=True)
            with self._lock:
                if key in self._plans:
                    self._keep(key, made)

    def settle(self, seconds: float) -> bool:
        """Wait until it is known how firm each place is; tell whether that is so after ``seconds`` at most."""
        return self._firmness.settle(seconds)

    def _keep(self, key: tuple[int, Question], made: Planned) -> None:
        self._plans[key] = made
        while len(self._plans) > MOST_KEPT:
            del self._plans[next(iter(self._plans))]

    def previous(self) -> Planned | None:
        """Return the plan before the newest answer, None where there was none."""
        return self._previous

    def earlier(self) -> list[Planned]:
        """Return the plans of earlier answers that are still kept, the oldest first."""
        with self._lock:
            return [each for each in self._plans.values() if each.question == Question()]

    def whole(self) -> Planned | None:
        """Return the plan without a budget, None while the answers make none."""
        with self._lock:
            planned = self.plan()
            if planned is None or planned.settings.budget is None:
                return planned
            key = (self._revision, Question(budget=NO_BUDGET))
            if key not in self._plans:
                made = self._made(*key, planned.settings, TimeLimit(-1), stable=False)
                self._keep(key, made)
            return self._plans[key]

    def of_file(self) -> Planned | None:
        """Return the plan that the file makes as it stands, None where it makes none."""
        try:
            settings = plan_of(
                Configuration(self.file, Document(dict(self._seen.data))), self._clock.now().date()
            )
        except ConfigurationError:
            return None
        return self._made(-1, Question(), settings, TimeLimit(-1), stable=False)


class _Silent(AnswerJournal):
    """Keep nothing: what is given again stands in the journal already."""

    def __init__(self) -> None:
        """Open no file."""

    def append(self, step: Mapping[str, Any]) -> None:
        """Keep nothing."""


def moves(before: Plan | None, after: Plan) -> list[Moved]:
    """Return what changed its place between two plans, in the order of the newer one."""
    if before is None:
        return []
    old = {each.protection.id: each.place for each in before.items}
    new = {each.protection.id: each.place for each in after.items}
    names = {each.protection.id: each.protection.name for each in (*before.items, *after.items)}
    return [
        Moved(each, names[each], old.get(each), new.get(each))
        for each in [*new, *(each for each in old if each not in new)]
        if old.get(each) != new.get(each)
    ]


def turns(before: Plan | None, after: Plan) -> list[Turned]:
    """Return which assets stand otherwise today than before."""
    if before is None:
        return []
    old = {each.asset.id: each.now for each in before.assets}
    new = {each.asset.id: each.now for each in after.assets}
    return [
        Turned(each, old.get(each), new.get(each))
        for each in [*new, *(each for each in old if each not in new)]
        if old.get(each) != new.get(each)
    ]


def _written(answer: Answer) -> dict[str, Any]:
    return {
        "by": answer.by,
        "said": answer.said,
        "at": answer.at.isoformat(),
        "edits": _edits_written(answer.edits),
    }


def _edits_written(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    return [
        {
            "list": isinstance(each, SetEntry),
            "key": list(each.key),
            "before": each.before,
            "value": each.value,
            "at": each.at if isinstance(each, SetEntry) else None,
        }
        for each in edits
    ]


def _read(members: Mapping[str, Any]) -> Answer:
    return Answer(
        _edits_read(members["edits"]),
        str(members["by"]),
        str(members["said"]),
        datetime.fromisoformat(members["at"]),
    )


def _edits_read(written: Sequence[Mapping[str, Any]]) -> tuple[Edit, ...]:
    edits: list[Edit] = []
    for each in written:
        key = tuple(str(part) for part in each["key"])
        if each["list"]:
            edits.append(SetEntry(key, each["before"], each["value"], each["at"]))
        else:
            edits.append(SetValue(key, each["before"], each["value"]))
    return tuple(edits)


def journal_directory(file: Path) -> Path:
    """Return where the answers of a file's workshop are kept: beside it, private."""
    return Path(os.path.realpath(file)).parent / ".watchword" / "workshop"
