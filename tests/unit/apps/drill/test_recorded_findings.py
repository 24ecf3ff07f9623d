"""What a drill records of what got through: which variants, so that the next plan can tell which are new."""

from datetime import UTC, datetime

from tests.unit.apps.drill_views import seed

from watchword.apps.drill.run import observations_of
from watchword.apps.observations.document import MAX_TITLE, from_json, to_json
from watchword.drill.judgements import Verdict
from watchword.drill.registry import ATTACKS
from watchword.observations import State

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_what_got_through_is_named_by_variant() -> None:
    """At the protection that had to stop it, and nothing where it holds; it can be read again."""
    report = seed.mixed()
    found = observations_of(report, AT, build=None, generation="ab" * 32)
    (broken,) = [each for each in found if each.state is State.BROKEN]
    served = [
        f"{result.attack.id}.{each.name}"
        for result in report.results
        if broken.protection in result.attack.protections
        for each in result.variants
        if each.verdict is Verdict.OPEN
    ]
    assert served
    assert list(broken.findings) == served
    assert all(not each.findings for each in found if each is not broken)
    assert from_json(to_json(broken)) == broken


def test_ids_of_variants_are_short_enough_to_be_kept_whole() -> None:
    """Two variants of one beginning would be one finding otherwise."""
    names = [f"{each.id}.{one.name}" for each in ATTACKS.values() for one in each.variants]
    assert max(map(len, names)) <= 64
    assert max(len(each.title) for each in ATTACKS.values()) < MAX_TITLE
