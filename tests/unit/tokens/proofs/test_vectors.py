"""Hold the three numbers of each set of published vectors: nothing is accepted that mustn't be."""

import re
from pathlib import Path

import pytest
from scripts import vector_counts
from scripts.vector_judge import Counts

from watchword.reasons import MalformedError, Reason

# By set: rejected as it must, accepted as it must, outside of our profile (and refused).
EXPECTED = {
    "RFC 9421 appendix B, whole": (0, 0, 6),
    "RFC 9421 appendix B, signatures": (612, 2, 4),
    "RFC 9421 B.2 mutated, our profile": (17, 2, 1),
    "RFC 9449 DPoP": (12, 2, 2),
    "RFC 9180 HPKE, base mode": (1398, 12, 24),
    "Wycheproof json_web_signature_test": (39, 2, 360),
    "Wycheproof json_web_key_test": (6, 0, 20),
    "Wycheproof json_web_crypto_test": (14, 1, 68),
    "own JWT attacks": (85, 1, 4),
    "Wycheproof ecdsa p1363 P-256": (89, 173, 0),
    "Wycheproof hmac-sha256": (54, 30, 90),
}


@pytest.mark.skipif(not vector_counts.VECTORS.is_dir(), reason="the shared vectors aren't there")
def test_three_numbers_for_each_set(capsys: pytest.CaptureFixture[str]) -> None:
    """0 wrong accepts, 0 wrong refusals, 0 foreign exceptions, and no case is left out."""
    found = vector_counts.counts()
    assert [case for row in found for case in row.wrong] == []
    assert [row.name for row in found if not row.adds_up] == []
    assert {row.name: (row.rejected, row.accepted, row.outside) for row in found} == EXPECTED
    assert vector_counts.main() == 0
    assert "0 wrong accepts" in capsys.readouterr().out


def test_the_page_shows_these_numbers() -> None:
    """The table in docs/proofs.md is the one that is held here, and its rows add up."""
    page = (Path(__file__).parents[4] / "docs" / "proofs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert {name: tuple(map(int, numbers)) for name, _, *numbers in rows} == EXPECTED
    assert all(int(size) == sum(map(int, numbers)) for _, size, *numbers in rows)


def test_what_goes_wrong_is_counted_as_wrong() -> None:
    """An accept that mustn't be, a refusal that mustn't be, a foreign exception, a missing case."""

    def refuse() -> bool:
        raise MalformedError.because(Reason.PROOF_MALFORMED)

    def break_() -> bool:
        raise IndexError

    counts = Counts("made up", 6)
    counts.judge("yes", "reject", lambda: True)
    counts.judge("no", "accept", refuse, lambda: False)
    counts.judge("broken", "reject", break_)
    counts.judge("other", "outside", refuse, lambda: True)
    assert counts.wrong == ["yes: accepted", "no: refused", "broken: IndexError", "other: accepted"]
    counts.judge("right", "reject", refuse)
    assert not counts.adds_up
    counts.judge("right", "accept", refuse, lambda: True)
    assert (counts.rejected, counts.accepted, counts.outside, counts.adds_up) == (1, 1, 0, True)
