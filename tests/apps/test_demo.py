"""Show that the demo tells the truth: it passes as a whole, and fails when a protection is missing."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from watchword.apps.demo.acts import Act, Outcome
from watchword.apps.demo.run import play
from watchword.apps.demo.story import THEFT

WATCHWORD = [sys.executable, "-c", "from watchword.apps.cli.main import run; run()"]
MEMBERS = {"chapter", "act", "actor", "expected", "got", "reason", "ok"}


def test_every_act_goes_as_expected_and_nothing_stays_running(tmp_path: Path) -> None:
    """The command exits 0, prints one object an act, and leaves no file behind."""
    done = subprocess.run(
        [*WATCHWORD, "demo", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    acts = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
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
    assert list(tmp_path.iterdir()) == []


def test_a_stolen_token_fails_for_want_of_its_proof() -> None:
    """Acts are told as they happen; on a session route and on a device route the genuine phone alone is served."""
    heard: list[Act] = []
    played = asyncio.run(play(heard.append))
    assert heard == played
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


def test_the_human_view_ends_with_the_count(tmp_path: Path) -> None:
    """A person reads each act, its outcome and its reason."""
    done = subprocess.run(
        [*WATCHWORD, "demo"], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout
    assert "token.missing" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "acts as expected" in done.stdout
    assert "FAIL" not in done.stdout


def test_an_act_that_goes_another_way_is_not_ok() -> None:
    """What was expected is compared with what happened, reason included."""
    got = Outcome("refused 401", "token.expired")
    assert Act("c", "a", "x", "refused 401: token.expired", got).ok
    assert not Act("c", "a", "x", "refused 401: token.missing", got).ok
    assert not Act("c", "a", "x", "served 200", got).ok
