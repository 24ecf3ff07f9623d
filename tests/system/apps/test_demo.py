"""Show that the demo tells the truth: it passes as a whole, and fails when a protection is missing."""

import json
from io import StringIO

from rich.console import Console
from tests.conftest import Once
from tests.system.apps.played_demo import acts_of, told_as_json, told_to_people

from watchword.apps.demo.scenario import THEFT, LiveView
from watchword.apps.demo.steps import Act, Outcome

MEMBERS = {"chapter", "act", "actor", "expected", "got", "reason", "ok"}


def test_every_act_goes_as_expected_and_nothing_stays_running(once: Once) -> None:
    """The command exits 0, prints one object an act, and leaves no file behind."""
    printed, left = told_as_json(once)
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
    played = acts_of(told_as_json(once)[0])
    assert len(played) > 20
    acts = [act for act in played if act.chapter == THEFT]
    told = [(act.actor, str(act.got)) for act in acts]
    assert told[:2] == [("genuine Android", "served 200")] * 2
    assert told[2:4] == [("token thief", "refused 401: proof.missing")] * 2
    assert {str(act.got) for act in acts if act.actor not in {"genuine Android", "clinic API"}} == {
        f"refused 401: proof.{cause}"
        for cause in ("missing", "replayed", "body", "key", "algorithm")
    }
    assert told[-1] == ("clinic API", "served 2 of 8")


def test_the_human_view_ends_with_the_count(once: Once) -> None:
    """A person reads each act as it ends, its outcome and its reason."""
    told = told_to_people(once)
    assert "token.missing" in told
    assert "acts as expected" in told
    assert "FAIL" not in told
    acts = acts_of(told_as_json(once)[0])
    shown = [line for line in told.splitlines() if line.startswith(" ok  ")]
    assert [line.split(act.act)[0].split()[1:] for line, act in zip(shown, acts, strict=True)] == [
        act.actor.split() for act in acts
    ]


def test_the_human_view_fits_into_a_narrow_terminal(once: Once) -> None:
    """No line of it is wider than 80 columns."""
    page = StringIO()
    view = LiveView(Console(file=page, width=80, highlight=False))
    acts = acts_of(told_as_json(once)[0])
    view.open()
    for act in acts:
        view.show(act)
    view.close(acts, 29.6)
    told = page.getvalue()
    assert all(act.act in told for act in acts)
    assert f"{len(acts)} of {len(acts)} acts as expected" in told
    assert max(len(line) for line in told.splitlines()) <= 80


def test_an_act_that_goes_another_way_is_not_ok() -> None:
    """What was expected is compared with what happened, reason included."""
    got = Outcome("refused 401", "token.expired")
    assert Act("c", "a", "x", "refused 401: token.expired", got).ok
    assert not Act("c", "a", "x", "refused 401: token.missing", got).ok
    assert not Act("c", "a", "x", "served 200", got).ok
