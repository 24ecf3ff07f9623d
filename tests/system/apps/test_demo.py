"""Show that the demo tells the truth: it passes as a whole, and fails when a protection is missing."""

import json
from io import StringIO

from rich.console import Console
from tests.conftest import Once
from tests.system.apps.played_demo import acts_of, told_as_json, told_to_people

from watchword.apps.demo.scenario import PROVE, THEFT, LiveView, line_of
from watchword.apps.demo.steps import Act, Outcome

MEMBERS = {"chapter", "act", "actor", "expected", "got", "reason", "ok", "decisive"}


def test_every_act_goes_as_expected_and_nothing_stays_running(once: Once) -> None:
    """The full story exits 0, prints one object an act, and leaves no file behind."""
    printed, left = told_as_json(once, full=True)
    acts = json.loads(printed)
    assert all(set(act) == MEMBERS for act in acts)
    assert [act for act in acts if not act["ok"]] == []
    assert {act["reason"] for act in acts} >= {
        None,
        "token.missing",
        "token.malformed",
        "token.key_unknown",
        "token.signature",
        "token.audience",
        "token.expired",
        "token.instance_revoked",
        "policy.bootloader_unlocked",
        "policy.signing_digest",
        "policy.app_id",
        "attestation.anchor_software",
        "attestation.binding",
        "challenge.used",
        "challenge.expired",
        "instance.revoked",
        "proof.missing",
        "proof.replayed",
        "proof.body",
        "proof.key",
        "proof.algorithm",
    }
    assert left == []


def test_a_stolen_token_fails_for_want_of_its_proof(once: Once) -> None:
    """On a session route and on a device route the genuine phone alone is served."""
    played = acts_of(told_as_json(once, full=True)[0])
    assert len(played) > 50
    acts = [act for act in played if act.chapter == THEFT]
    told = [(act.actor, str(act.got)) for act in acts]
    assert told[:2] == [("genuine Android", "served 200")] * 2
    assert told[2:4] == [("token thief", "refused 401: proof.missing")] * 2
    victims = {"genuine Android", "clinic API"}
    assert {str(act.got) for act in acts if act.actor not in victims} == {
        f"refused 401: proof.{cause}"
        for cause in ("missing", "replayed", "body", "key", "algorithm")
    }
    assert told[-1] == ("clinic API", "served 2 of 8")


def test_the_short_story_has_every_chapter_of_the_full_one(once: Once) -> None:
    """It exits 0, leaves nothing, plays fewer acts of the same, and runs eight attacks where the full one runs all."""
    printed, left = told_as_json(once)
    short, full = acts_of(printed), acts_of(told_as_json(once, full=True)[0])
    assert left == []
    assert [act for act in short if not act.ok] == []
    assert list(dict.fromkeys(each.chapter for each in short)) == list(
        dict.fromkeys(each.chapter for each in full)
    )
    own = {act.act for act in short} - {act.act for act in full}
    assert own == {"8 attacks, monitor", "8 attacks, enforce", "takes this for a proof"}
    assert len(short) < len(full) * 0.6
    drills = [str(act.got) for act in short if act.actor == "drill"]
    assert drills == ["served 8 of 8", "served 0 of 8"]


def test_eight_attacks_prove_nothing_and_all_of_them_do(once: Once) -> None:
    """The plan counts what a whole drill found: after a choice of attacks the asset is as open as before."""
    short, full = (acts_of(told_as_json(once, full=each)[0]) for each in (False, True))

    def last(acts: list[Act]) -> list[str]:
        return [act.got.what for act in acts if act.chapter == PROVE and act.actor == "team"]

    assert last(short) == ["not proven"]
    assert last(full) == ["is", "first", "is"]


def test_eight_acts_are_decisive_in_both_stories(once: Once) -> None:
    """They are the same, but for the count of attacks, and show both what is served and what is refused."""
    for full in (False, True):
        acts = [act for act in acts_of(told_as_json(once, full=full)[0]) if act.decisive]
        assert [act.actor for act in acts] == [
            "script",
            "script",
            "genuine iPhone",
            "repackaged app",
            "token thief",
            "genuine iPhone",
            "drill",
            "revoked iPhone",
        ]
        assert len({act.chapter for act in acts}) == 7


def test_the_human_view_fits_into_80_columns_and_ends_with_the_count(once: Once) -> None:
    """A person reads each act on one line, its outcome and its reason, in a terminal of 80 columns."""
    told, acts = told_to_people(once), acts_of(told_as_json(once)[0])
    lines = told.splitlines()
    assert max(len(line) for line in lines) <= 80
    shown = [line for line in lines if line.startswith(" ok  ")]
    assert shown == [line_of(act, 80).plain for act in acts]
    assert all(act.got.reason is None or act.got.reason in told for act in acts)
    assert f"{len(acts)} of {len(acts)} acts as expected" in told
    assert "demo --full" in told


def test_a_line_that_is_too_wide_moves_to_the_left_and_then_takes_two() -> None:
    """The outcome stands in a column where it fits, further left where the reason is long, and above a reason that is too long."""

    def shown(act: str, reason: str) -> list[str]:
        return line_of(Act("c", act, "script", "", Outcome("refused 401", reason)), 80).plain.split(
            "\n"
        )

    (usual,) = shown("sends no token", "token.missing")
    (longer,) = shown("sends no token", "attestation.anchor_software")
    above, below = shown("sends a token that has ended long ago", "attestation.anchor_software")
    assert usual.index("refused") == 46
    assert longer.index("refused") == 41
    assert len(longer) == 80
    assert above.endswith("long ago  refused 401")
    assert below.strip() == "attestation.anchor_software"


def test_the_full_view_has_nothing_more_to_offer() -> None:
    """Who has seen every act isn't told of ``--full``; what failed is said with what was expected."""
    page = StringIO()
    view = LiveView(Console(file=page, width=80, highlight=False), full=True)
    failed = Act(
        "c", "reads a patient", "script", "refused 401: token.missing", Outcome("served 200")
    )
    view.open()
    view.show(failed)
    view.close([failed], 9.5)
    told = page.getvalue()
    assert "FAIL script" in told
    assert "expected refused 401: token.missing" in told
    assert "0 of 1 acts as expected, in 9.5 s." in told
    assert "--full" not in told


def test_an_act_that_goes_another_way_is_not_ok() -> None:
    """What was expected is compared with what happened, reason included."""
    got = Outcome("refused 401", "token.expired")
    assert Act("c", "a", "x", "refused 401: token.expired", got).ok
    assert not Act("c", "a", "x", "refused 401: token.missing", got).ok
    assert not Act("c", "a", "x", "served 200", got).ok
