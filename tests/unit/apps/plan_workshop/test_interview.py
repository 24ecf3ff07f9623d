"""The questions in the terminal: answers make a section, `back` takes one back, the end of the input keeps the rest."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from watchword.apps.cli.main import cli
from watchword.apps.plan.drafts import TEMPLATES, template_section
from watchword.apps.plan.interview import Prompt, Starts, interview
from watchword.apps.settings.plan import load_plan
from watchword.plan.interface import UNJUDGED

STARTS = Starts(TEMPLATES, template_section)
RECORDS = ["none", "Patient records", "data", "backend", "usual", ""]


def asked(*answers: str) -> tuple[dict[str, object], list[str], list[str]]:
    """Return the section, what was asked and what was told, for answers given one after the other."""
    left, questions, told = list(answers), list[str](), list[str]()

    def ask(prompt: Prompt) -> str | None:
        questions.append(prompt.ask)
        return left.pop(0) if left else None

    return interview(ask, told.append, STARTS), questions, told


def test_the_answers_make_a_section() -> None:
    """One asset, with its name as a file takes it."""
    section, _, told = asked(*RECORDS, "5", "everybody's history is out")
    assert section == {
        "assets": {
            "patient-records": {
                "kind": "data",
                "impact": 5,
                "because": "everybody's history is out",
                "lives_in": ["backend"],
            }
        }
    }
    assert told == []


def test_back_takes_the_last_answer_back() -> None:
    """Any question can be asked again, the first one too."""
    section, _, told = asked("back", "none", "Cars", "back", *RECORDS[1:], "4", "back", "2", "less")
    assert section["assets"] == {
        "patient-records": {"kind": "data", "impact": 2, "because": "less", "lives_in": ["backend"]}
    }
    assert told == ["This is the first question."]


def test_the_end_of_the_input_keeps_what_was_answered() -> None:
    """An impact that nobody gave stays a guess that says so."""
    section, _, _ = asked(*RECORDS)
    assert section["assets"] == {
        "patient-records": {
            "kind": "data",
            "impact": 3,
            "because": UNJUDGED,
            "lives_in": ["backend"],
        }
    }


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (["banks"], "one of bank, health"),
        (["none", "Records", "thing"], "one of data, service, use-case"),
        (["none", "Records", "data", "cloud"], "got cloud"),
        (["bank", "payments"], "isn't in the list yet"),
        ([*RECORDS, "likely"], "coats are stolen every night"),
    ],
)
def test_a_wrong_answer_is_told_and_asked_again(answers: list[str], said: str) -> None:
    """The message says what was got and what was expected."""
    _, questions, told = asked(*answers)
    assert said in told[0]
    assert questions[-1] == questions[-2]


def test_a_template_brings_its_assets_and_their_reasons() -> None:
    """Enter keeps what the template argues."""
    section, _, _ = asked("health", "", *[""] * 20)
    assert section == template_section("health")


@given(
    st.lists(st.text(max_size=12) | st.sampled_from([*RECORDS, "back", "5", "bank"]), max_size=25)
)
def test_no_answer_raises(answers: list[str]) -> None:
    """Whatever is typed, the section stays one."""
    section, _, _ = asked(*answers)
    assert set(section) <= {"assets", "scenarios", "budget"}


def test_the_command_writes_what_plans(tmp_path: Path) -> None:
    """The draft is a file that `watchword plan` takes; nothing is overwritten."""
    file = tmp_path / "answers.yaml"
    arguments = ["plan", "init", "--interview", "-o", str(file)]
    text = "\n".join([*RECORDS, "5", "out: for good"]) + "\n"
    done = CliRunner().invoke(cli, arguments, input=text)
    assert done.exit_code == 0, done.output
    assert load_plan(file).assets["patient-records"].because == "out: for good"
    assert CliRunner().invoke(cli, arguments, input=text).exit_code != 0


def test_the_command_without_an_answer_writes_nothing(tmp_path: Path) -> None:
    """An input that ends at once is no draft."""
    file = tmp_path / "answers.yaml"
    done = CliRunner().invoke(cli, ["plan", "init", "--interview", "-o", str(file)], input="")
    assert done.exit_code == 2
    assert not file.exists()


@pytest.mark.parametrize(
    "more", [["--template", "bank"], ["--openapi", "a.yaml"], ["--scan", "a.json"]]
)
def test_questions_and_files_do_not_go_together(more: list[str]) -> None:
    """One way to begin at a time."""
    done = CliRunner().invoke(cli, ["plan", "init", "--interview", *more])
    assert done.exit_code == 2
    assert "one of these alone" in done.output
