"""The steps of App Attest: numbered as on the format's page, each saying what was wanted and found."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.attestation import forge, forge_receipts

from watchword.attestation.interface import Examination, Expected, Step
from watchword.attestation.registry import examine
from watchword.reasons import Reason

PAGE = Path(__file__).parents[4] / "docs" / "formats" / "app_attest.md"
VENDOR = forge_receipts.signers()
KEY = forge.p256()
EXPECTED = Expected(forge.BINDING, forge.APPLE_APP)


def judged(apple: forge.Apple, expected: Expected = EXPECTED, **mutated: Any) -> Examination:
    """Examine an attestation with a good receipt, mutated elsewhere."""
    receipt = forge_receipts.receipt(VENDOR, forge.spki(KEY))
    evidence = apple.evidence(**{"key": KEY, "receipt": receipt, **mutated})
    return examine(evidence, expected, forge.trust(apple.anchor, VENDOR.anchor), forge.NOW)


def rows() -> dict[str, str]:
    """Return the page's table of steps: number, and what it is refused as."""
    section = PAGE.read_text(encoding="utf-8").split("## Attestation, step by step")[1]
    table = section.split("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {row[0]: row[-1] for row in cells[2:]}


def test_steps_are_those_of_the_page_in_its_order(apple: forge.Apple) -> None:
    """Every step of the page is carried out, and none that isn't there."""
    found = judged(apple)
    assert found.refusals == ()
    assert [step.number for step in found.steps] == list(rows())
    assert all(step.checked for step in found.steps)
    assert all(step.title and step.wanted and step.found for step in found.steps)


@pytest.mark.parametrize(
    ("number", "mutated"),
    [
        ("1", {"leaf": {"ca": True}}),
        ("1", {"leaf": {"days": (-9, -1)}}),
        ("2-4", {"binding": b"other"}),
        ("5", {"key_id": b"other"}),
        ("6", {"app_id": "TEAM123456.org.example.other", "receipt": b"receipt"}),
        ("7", {"counter": 1}),
        ("8", {"aaguid": b"appattestdevelop", "receipt": b"receipt"}),
        ("9", {"credential_id": b"other"}),
        ("10", {"receipt": None}),
        ("11", {"receipt": forge_receipts.receipt(VENDOR, forge.spki(forge.p256()))}),
    ],
)
def test_each_deviation_is_refused_in_its_step(
    apple: forge.Apple, number: str, mutated: dict[str, Any]
) -> None:
    """The step that fails is the one of the page, under a reason that the page names there."""
    found = judged(apple, **mutated)
    (reason, *_) = [
        refusal.reason for step in found.steps if step.number == number for refusal in step.refusals
    ]
    assert f"`{reason.code}`" in rows()[number]
    others = {step.number for step in found.steps if step.refusals} - {number}
    # Another key id is another credential id too; nothing else hangs together.
    assert others == ({"9"} if number == "5" else set())


def test_unreadable_evidence_is_step_0(apple: forge.Apple) -> None:
    """Nothing else can be carried out then."""
    found = judged(apple, members={"fmt": "packed"})
    assert [step.number for step in found.steps] == ["0"]
    assert f"`{found.refusals[0].reason.code}`" in rows()["0"]
    short = judged(apple, x5c=[b"x"])
    assert short.refusals[0].reason is Reason.ATTESTATION_CHAIN_LENGTH
    assert f"`{short.refusals[0].reason.code}`" in rows()["0"]


def test_steps_without_an_expectation_are_unchecked(apple: forge.Apple) -> None:
    """Left out is said as such, not shown as held."""
    found = judged(apple, Expected(None, None))
    unchecked = {step.number: step.found for step in found.steps if not step.checked}
    assert unchecked == {"2-4": "no binding expected", "6": "no app expected"}


def test_steps_name_no_device(apple: forge.Apple) -> None:
    """Neither keys, nor their ids, nor Apple's token stand in what people are shown."""

    def text(step: Step) -> str:
        return f"{step.title} {step.wanted} {step.found} {step.refusals}"

    mutations: list[dict[str, Any]] = [
        {},
        {"key_id": b"other"},
        {"credential_id": b"other"},
        {"binding": b"other"},
    ]
    for mutated in mutations:
        shown = " ".join(text(step) for step in judged(apple, **mutated).steps)
        assert "dG9rZW4=" not in shown
        assert not re.search(r"[0-9a-f]{16}", shown)


def test_page_says_what_to_do_about_every_reason_it_names() -> None:
    """No reason is left without advice, and none is made up."""
    text = PAGE.read_text(encoding="utf-8")
    advice, rest = text.split("## Every reason, and what to do")[1].split("\n## ", 1)
    codes = {reason.code for reason in Reason}
    named = {code for code in re.findall(r"`([a-z_]+\.[a-z_]+)`", text) if code in codes}
    advised = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", advice))
    assert advised <= codes
    assert advised == named
    assert rest
    assert {reason.code for reason in Reason if reason.code.startswith("app_attest.")} <= advised
