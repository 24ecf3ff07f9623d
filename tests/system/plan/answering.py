"""Answer the questions of a workshop without end: what is killed at any moment to see what is lost.

Run: ``python -m tests.system.plan.answering FILE FIRST``; each step is told once it is done.
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from watchword.adapters.answer_journal import AnswerJournal
from watchword.adapters.system import SystemClock
from watchword.apps.plan.workshop.session import Workshop, journal_directory
from watchword.plan.workshop import Key, SetValue, value_at

KEY: Final[Key] = ("assets", "records", "because")
APART: Final = 999
"""Numbers between two runs; a multiple of three, so that each begins with two answers before it takes one back."""


def steps(first: int) -> Iterator[tuple[str, int]]:
    """Yield what is done, and the number that stands in the answer then.

    :param first: number of the first answer; one more than a multiple of three.
    """
    for number in itertools.count(first):
        yield "answer", number
        if number % 3 == 0:
            yield "undo", number - 1
            yield "redo", number
        if number % 4 == 0:
            yield "save", number


def main(file: Path, first: int) -> None:
    """Do one step after another, until this process is killed."""
    workshop = Workshop(file, AnswerJournal(journal_directory(file), file), SystemClock())
    for kind, number in steps(first):
        if kind == "answer":
            before = value_at(workshop.state().section, KEY)
            workshop.answer([SetValue(KEY, before, f"answer {number}")], "child", str(number))
        elif kind == "undo":
            workshop.undo("child")
        elif kind == "redo":
            workshop.redo("child")
        else:
            workshop.save(workshop.seen(), "child")
        print(kind, number, flush=True)  # noqa: T201 - what the parent waits for.


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
