"""Kill the workshop at any moment: what was acknowledged is there at the next start, and the file is whole."""

import itertools
import random  # noqa: TID251 - seeded: the same moments each time, as far as a machine repeats them.
import re
import subprocess
import sys
from pathlib import Path

from tests.system.plan.answering import APART, KEY, steps

from watchword.adapters.answer_journal import AnswerJournal
from watchword.adapters.system import SystemClock
from watchword.apps.plan.workshop.session import Workshop, journal_directory
from watchword.plan.workshop import value_at

ROUNDS = 12
MOST_STEPS = 25
FILE = """\
# What we run.
version: 1
plan:   # what we protect
  assets:
    records:   # all of them
      kind: data
      impact: 5
      because: answer 0   # as of today
      lives_in: [backend]  # never in the app
# The end.
"""


def number_of(text: str) -> int:
    """Return the number that stands in an answer."""
    found = re.search(r"answer (\d+)", text)
    assert found is not None
    return int(found[1])


def told_until_killed(file: Path, first: int, count: int) -> list[tuple[str, int]]:
    """Let a process answer, kill it as soon as it told of so many steps, and return all that it told of."""
    command = [sys.executable, "-m", "tests.system.plan.answering", str(file), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(count)]
        process.kill()
        lines += process.stdout.readlines()
    words = [line.split() for line in lines if line.endswith("\n")]
    return [(kind, int(number)) for kind, number in words]


def test_whatever_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    """At most the step under way is lost; the file is as it was saved, comments and all, and nothing lies beside it."""
    file = tmp_path / "watchword.yaml"
    file.write_text(FILE, encoding="utf-8")
    draw, saved, found = random.Random(25), 0, 0
    for run in range(ROUNDS):
        first = run * APART + 1
        told = told_until_killed(file, first, draw.randint(1, MOST_STEPS))
        done = list(itertools.islice(steps(first), len(told) + 1))
        assert told == done[:-1]
        *_, last, under_way = done

        text = file.read_text("utf-8")
        assert re.sub(r"answer \d+", "answer 0", text) == FILE
        saved = next((number for kind, number in reversed(told) if kind == "save"), saved)
        assert number_of(text) in {saved, *([under_way[1]] if under_way[0] == "save" else [])}
        saved = number_of(text)

        workshop = Workshop(file, AnswerJournal(journal_directory(file), file), SystemClock())
        found = number_of(value_at(workshop.state().section, KEY))
        assert found in {last[1], under_way[1]}
        assert not workshop.state().conflicts
        workshop.close()
    workshop = Workshop(file, AnswerJournal(journal_directory(file), file), SystemClock())
    workshop.save(workshop.seen(), "somebody")
    workshop.close()
    assert number_of(file.read_text("utf-8")) == found
    left = {each.name for each in tmp_path.iterdir()}
    assert {each for each in left if ".replaced" not in each} == {"watchword.yaml", ".watchword"}
