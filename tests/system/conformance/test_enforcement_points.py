"""Start each enforcement point for real and hold it to the whole corpus."""

import asyncio
from pathlib import Path

import pytest
from tests.system.conformance.results import recorded, result
from tests.unit.conformance.enforcement_points import (
    ENFORCEMENT_POINTS,
    behind,
    corpus_rows,
    deployed,
)

from watchword.vocabulary import ReplayMode
from watchword_conformance.corpus import load_corpus
from watchword_conformance.runner import NoTargetError, Row, run

CASES = load_corpus().cases


def differed(rows: list[Row]) -> list[tuple[str, tuple[str, ...]]]:
    """Return what nobody declared."""
    return [(row.case.id, row.faults) for row in rows if row.outcome == "differed"]


@pytest.mark.parametrize("name", ENFORCEMENT_POINTS)
def test_point_decides_as_the_corpus_says(name: str, tmp_path: Path) -> None:
    """Everything is as it must be or as it is declared, in exactly the numbers of the page.

    After a change that is meant: python -m scripts.pages engines --run
    """
    rows = corpus_rows(name, deployed(tmp_path))
    assert differed(rows) == []
    assert len(rows) == len(CASES) > 700
    assert result(name, rows) == recorded()[name]


@pytest.mark.parametrize(
    ("name", "replay"),
    [
        ("proxy", ReplayMode.SHARED),
        ("proxy", ReplayMode.AFFINE),
        ("wsgi-gunicorn", ReplayMode.SHARED),
        ("wsgi-granian", ReplayMode.AFFINE),
        ("caddy", ReplayMode.AFFINE),
        ("nginx-authz", ReplayMode.SHARED),
        ("nginx-authz", ReplayMode.AFFINE),
        ("envoy", ReplayMode.SHARED),
        ("envoy", ReplayMode.AFFINE),
    ],
)
def test_point_decides_alike_in_every_replay_mode(
    name: str, replay: ReplayMode, tmp_path: Path
) -> None:
    """Where used proofs are kept changes no decision."""
    store = tmp_path / "used" if replay is ReplayMode.SHARED else None
    assert differed(corpus_rows(name, deployed(tmp_path, replay), store=store)) == []


def test_a_gate_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """Neither a missing gate nor a missing API is taken for a refusal."""

    async def main() -> None:
        async with behind() as upstream:
            with pytest.raises(NoTargetError, match="no gate"):
                await run(deployed(tmp_path), "http://127.0.0.1:1", upstream, cases=CASES[:3])
        with pytest.raises(NoTargetError, match="no conformance upstream"):
            await run(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:1", cases=CASES[:1])

    asyncio.run(main())
