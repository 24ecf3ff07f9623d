"""Show what a run proves, and what it doesn't."""

from hypothesis import given
from hypothesis import strategies as st

from watchword.drill.findings import findings_of
from watchword.drill.interface import Attack, Variant
from watchword.drill.judgements import AttackResult, Finding, VariantResult, Verdict
from watchword.observations import State

KEY = "live:shield.rejected_unattested"


def attack(name: str, protection: str = "PR-B01", technique: str = "MT-B03") -> Attack:
    """Return an attack with two variants."""
    variants = tuple(Variant(each, lambda _: []) for each in ("one", "two"))
    return Attack(name, name, (technique,), {protection: KEY}, (), "S.", "M.", "B.", variants)


def result(of: Attack, *verdicts: Verdict) -> AttackResult:
    """Return how it ended."""
    variants = tuple(
        VariantResult(variant.name, verdict, "")
        for variant, verdict in zip(of.variants, verdicts, strict=True)
    )
    ran = [each for each in verdicts if each is not Verdict.NOT_RUN]
    bad = (Verdict.OPEN, Verdict.ABSENT, Verdict.UNSURE)
    worst = next((each for each in bad if each in ran), None)
    return AttackResult(of, worst or (Verdict.STOPPED if ran else Verdict.NOT_RUN), variants, 0.0)


FIRST, SECOND = attack("first"), attack("second")
STOPPED, OPEN, UNSURE, NOT_RUN = Verdict.STOPPED, Verdict.OPEN, Verdict.UNSURE, Verdict.NOT_RUN


def finding(*results: AttackResult, complete: bool = True) -> Finding:
    """Return what two attacks on one protection say of it."""
    (found,) = findings_of(results, (FIRST, SECOND), complete=complete)
    return found


def test_all_stopped_proves() -> None:
    """Also where a variant couldn't be run here."""
    first, second = result(FIRST, STOPPED, STOPPED), result(SECOND, STOPPED, NOT_RUN)
    assert finding(first, second).state is State.PROVEN
    assert finding(first, result(SECOND, NOT_RUN, NOT_RUN)).state is State.PROVEN


def test_a_choice_of_attacks_proves_nothing() -> None:
    """Whoever leaves the attack out that succeeds would prove anything."""
    assert finding(result(FIRST, STOPPED, STOPPED)).state is None


def test_an_interrupted_run_proves_nothing_and_keeps_bad_news() -> None:
    """What was served was served."""
    good = result(FIRST, STOPPED, STOPPED), result(SECOND, STOPPED, STOPPED)
    assert finding(*good, complete=False).state is None
    assert finding(result(FIRST, OPEN, OPEN), complete=False).state is State.ABSENT


def test_unsure_proves_nothing() -> None:
    """Neither that it holds nor that it doesn't."""
    assert finding(result(FIRST, STOPPED, UNSURE), result(SECOND, STOPPED, STOPPED)).state is None


def test_what_a_deployment_has_not_got_is_bad_news() -> None:
    """Nothing had to be tried to know it; beside what holds it says nothing, and proves nothing."""
    absent = [result(each, Verdict.ABSENT, Verdict.ABSENT) for each in (FIRST, SECOND)]
    assert finding(*absent).state is State.ABSENT
    assert finding(absent[0], complete=False).state is State.ABSENT
    assert finding(absent[0], result(SECOND, STOPPED, STOPPED)).state is None
    assert finding(absent[0], result(SECOND, OPEN, OPEN)).state is State.ABSENT


def test_nothing_run_proves_nothing() -> None:
    """No attack, no proof."""
    not_run = [result(each, NOT_RUN, NOT_RUN) for each in (FIRST, SECOND)]
    assert finding(*not_run).state is None


def test_one_served_is_broken_and_all_served_is_absent() -> None:
    """There, but with a hole; or not there at all."""
    holed = finding(result(FIRST, STOPPED, OPEN), result(SECOND, STOPPED, STOPPED))
    assert holed.state is State.BROKEN
    assert finding(result(FIRST, OPEN, OPEN), result(SECOND, OPEN, OPEN)).state is State.ABSENT


def test_strength_is_what_this_protection_stopped_of_that_and_what_got_past_all() -> None:
    """What another protection had to stop counts against this one only where it was served."""
    limit = attack("limit", "PR-B11")

    def measured(*verdicts: Verdict) -> dict[str, dict[str, tuple[int, int]]]:
        results = (result(FIRST, STOPPED, STOPPED), result(limit, *verdicts))
        found = findings_of(results, (FIRST, limit), complete=True)
        return {each.protection: dict(each.strengths) for each in found}

    assert measured(STOPPED, NOT_RUN) == {
        "PR-B01": {"MT-B03": (2, 2)},
        "PR-B11": {"MT-B03": (1, 1)},
    }
    assert measured(STOPPED, OPEN) == {"PR-B01": {"MT-B03": (2, 3)}, "PR-B11": {"MT-B03": (1, 2)}}


@given(st.lists(st.sampled_from(Verdict), min_size=4, max_size=4), st.booleans())
def test_a_proof_never_stands_beside_an_attack_that_was_served(
    verdicts: list[Verdict], complete: bool
) -> None:
    """Whatever else happened in the run."""
    found = finding(result(FIRST, *verdicts[:2]), result(SECOND, *verdicts[2:]), complete=complete)
    if found.state is State.PROVEN:
        assert complete
        assert set(verdicts) <= {STOPPED, NOT_RUN}
        assert STOPPED in verdicts
    if OPEN in verdicts:
        assert found.state in {State.BROKEN, State.ABSENT}
    for stopped, tried in found.strengths.values():
        assert 0 <= stopped <= tried


def test_what_a_run_cannot_prove_it_does_not_and_bad_news_stays() -> None:
    """Keys in software that are asked for their hardware, say."""
    results = (result(FIRST, STOPPED, STOPPED), result(SECOND, STOPPED, STOPPED))
    why = {"PR-B01": "not by this"}
    (found,) = findings_of(results, (FIRST, SECOND), complete=True, unprovable=why)
    assert (found.state, found.why) == (None, "not by this")
    served = (result(FIRST, OPEN, OPEN), result(SECOND, STOPPED, STOPPED))
    (found,) = findings_of(served, (FIRST, SECOND), complete=True, unprovable=why)
    assert found.state is State.BROKEN
