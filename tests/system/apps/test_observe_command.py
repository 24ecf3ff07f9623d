"""``watchword observe``: make a key, record, list, export."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.machine import patience
from tests.unit.apps.forked_commands import command

from watchword.adapters.observations import ObservationsFile
from watchword.adapters.observer_keys import read_observer_key
from watchword.apps.cli.main import cli
from watchword.apps.observations.document import from_json, sign, unsigned
from watchword.observations import Observation, State

PAGE = (Path(__file__).parents[3] / "docs" / "observations.md").read_text(encoding="utf-8")
SHIELD = (
    *("PR-B01", "--target", "api:clinic", "--key", "live:shield.enforced_ratio"),
    *("--route", "GET /**"),
)
REVIEW = ("PR-B07", "--target", "api:clinic", "--key", "scan:api.bola_test", "--source", "review")
OF_A_ROW = (
    "PR-B25",
    "--target",
    "api:clinic",
    "--key",
    "live:policy.push_seconds",
    "--state",
    "reviewed",
)
PLAN = """\
version: 1
environment: prod
apis:
  clinic: {upstream: "http://127.0.0.1:9000", audience: clinic, routes: [{path: /**}]}
plan:
  observers:
    ci: {key: ci.jwk}
  builds: {}
  assets:
    records:
      {kind: data, impact: 5, because: all of it would be out, routes: [{api: clinic, path: /v1/**}]}
"""


class Deployment:
    """Run ``watchword observe`` in a directory with a plan and an observer's key."""

    def __init__(self, directory: Path) -> None:
        """Make the key and write the plan."""
        self.directory = directory
        self.config = directory / "watchword.yaml"
        self.config.write_text(PLAN, encoding="utf-8")
        self.file = directory / ".watchword" / "observations.jsonl"
        self.key = directory / "ci.pem"
        made = self.run("keygen", "-o", self.key)
        assert made.exit_code == 0

    def run(self, *arguments: str | Path) -> Result:
        """Run one subcommand."""
        return CliRunner().invoke(cli, ["-c", str(self.config), "observe", *map(str, arguments)])

    def recorded(self, *arguments: str | Path) -> dict[str, Any]:
        """Record, and return what it printed as JSON."""
        done = self.run("record", *arguments, "--json")
        assert done.exit_code == 0, done.output
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def listed(self) -> list[dict[str, Any]]:
        """Return the rows of ``list --json``."""
        return [json.loads(line) for line in self.run("list", "--json").stdout.splitlines()]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """Set up a directory with a plan."""
    return Deployment(tmp_path)


def test_a_signed_proof_counts_and_an_unsigned_one_is_a_claim(deployment: Deployment) -> None:
    """The same statement, with and without a signature; the claim comes with a warning."""
    claim = deployment.run("record", *SHIELD, "--source", "me")
    assert claim.exit_code == 0
    assert "recorded as a claim" in claim.stderr
    proof = deployment.run("record", *SHIELD, "--source", "drill 1", "--sign", deployment.key)
    assert proof.exit_code == 0
    assert proof.stderr == ""
    rows = deployment.listed()
    assert [(each["verified"], each["stands"], each["decides"]) for each in rows] == [
        (True, "proven", True),
        (False, "claimed", False),
    ]
    assert rows[0]["observer"] == "ci"
    assert len(rows[0]["generation"]) == 64


def test_an_edit_of_the_policy_makes_a_proof_stale(deployment: Deployment) -> None:
    """A proof is bound to what the file said of the API when it was recorded."""
    assert deployment.recorded(*SHIELD, "--source", "x", "--sign", deployment.key)["stands"] == (
        "proven"
    )
    deployment.config.write_text(
        PLAN.replace("audience: clinic", "audience: other"), encoding="utf-8"
    )
    assert [each["stands"] for each in deployment.listed()] == ["stale"]


def test_a_key_that_no_observer_has_makes_a_claim(deployment: Deployment) -> None:
    """It is recorded, with a warning that says what is missing."""
    other = deployment.directory / "other.pem"
    deployment.run("keygen", "-o", other)
    done = deployment.run("record", *SHIELD, "--source", "x", "--sign", other)
    assert done.exit_code == 0
    assert "plan.observers" in done.stderr
    assert [each["stands"] for each in deployment.listed()] == ["claimed"]


def test_bad_news_needs_no_signature(deployment: Deployment) -> None:
    """An unsigned `broken` re-opens what was proven before."""
    deployment.recorded(*SHIELD, "--source", "x", "--sign", deployment.key)
    assert deployment.recorded(*SHIELD, "--source", "x", "--state", "broken")["stands"] == "broken"
    decides = [each for each in deployment.listed() if each["decides"]]
    assert [each["state"] for each in decides] == ["broken"]


def test_a_run_over_loopback_or_of_the_lab_proves_no_production(deployment: Deployment) -> None:
    """Both are recorded, and both are claims in a plan for production."""
    for option in (["--loopback"], ["--environment", "lab"]):
        arguments = [*SHIELD, "--source", "x", "--sign", str(deployment.key), *option]
        assert deployment.recorded(*arguments)["stands"] == "claimed"


def test_a_review_counts_with_all_that_it_needs(deployment: Deployment) -> None:
    """Reviewer, author, a hashed artifact and an expiry; each one missing is refused."""
    artifact = deployment.directory / "orders.py"
    artifact.write_bytes(b"abc")
    whole = {"--reviewer": "Ada", "--author": "Bob", "--artifact": str(artifact)}
    signed = [*REVIEW, "--state", "reviewed", "--sign", str(deployment.key)]
    options = [word for pair in whole.items() for word in pair]
    told = deployment.recorded(*signed, *options, "--expires", "180d")
    assert told["stands"] == "reviewed"
    assert told["review"]["artifact"].startswith("ba7816bf8f01cfea414140de5dae2223")
    for missing in whole:
        rest = [word for name, value in whole.items() if name != missing for word in (name, value)]
        refused = deployment.run("record", *signed, *rest)
        assert refused.exit_code == 2
        assert missing in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([*SHIELD, "--state", "stale"], "--state"),
        (["PR-B1", *SHIELD[1:]], "PR-B1"),
        (["PR-B0l", *SHIELD[1:]], "PROTECTION"),
        ([*SHIELD[:3], "--key", "live:shield.enforced_ration"], "live:shield.enforced_ratio"),
        ([*SHIELD[:3], "--key", "scan:static.pinning"], "--key"),
        (["PR-B01", "--target", "api:clinik", *SHIELD[3:]], "api:clinic"),
        (["PR-B01", "--target", "clinic", *SHIELD[3:]], "--target"),
        ([*SHIELD, "--reviewer", "Ada"], "--reviewer"),
        ([*SHIELD, "--build", "no-such-file"], "--build"),
        ([*SHIELD, "--detail", "two\nlines"], "--detail"),
        ([*SHIELD, "--state", "reviewed"], "--state"),
        ([*REVIEW, "--state", "reviewed", "--expires", "181d"], "--expires"),
        ([*REVIEW, "--state", "reviewed", "--expires", "long"], "--expires"),
        ([*REVIEW, "--state", "reviewed", "--author", " a DA"], "--reviewer"),
        ([*OF_A_ROW], "--route"),
    ],
)
def test_what_could_never_count_is_refused(
    deployment: Deployment, arguments: list[str], named: str
) -> None:
    """The option is named, with what would do; nothing is recorded."""
    if "reviewed" in arguments and not {"PR-B07", "PR-B25"}.isdisjoint(arguments):
        arguments = [*arguments, "--reviewer", "Ada", "--artifact", str(deployment.config)]
        arguments += [] if "--author" in arguments else ["--author", "Bob"]
    done = deployment.run("record", *arguments, "--source", "x")
    assert done.exit_code == 2
    assert named in done.stderr
    assert not deployment.file.exists()


def test_a_list_is_newest_first_and_says_why(deployment: Deployment) -> None:
    """An old proof is stale, and unknown protections are named as such; nothing else is hidden."""
    told = deployment.recorded(*SHIELD, "--source", "x", "--sign", deployment.key)
    seen = observation_of(told)
    old = replace(seen, at=seen.at - timedelta(days=40))
    unknown = replace(seen, protection="PR-Z99", at=seen.at + timedelta(minutes=1))
    store = ObservationsFile(deployment.file)
    store.append(sign(old, read_observer_key(deployment.key)))
    store.append(unsigned(unknown))
    rows = deployment.listed()
    assert [each["stands"] for each in rows] == [None, "proven", "stale"]
    assert [each["protection"] for each in rows] == ["PR-Z99", "PR-B01", "PR-B01"]
    table = deployment.run("list")
    assert table.exit_code == 0
    assert all(each["why"] in table.stdout for each in rows)
    narrowed = deployment.run("list", "--protection", "PR-B01").stdout
    assert "PR-Z99" not in narrowed


def test_export_holds_all_and_what_cannot_be_read(deployment: Deployment) -> None:
    """Lines that can't be read stand in it by number, and the exit code says that there are some."""
    assert deployment.run("export").exit_code == 0
    deployment.recorded(*SHIELD, "--source", "x", "--sign", deployment.key)
    with deployment.file.open("ab") as file:
        file.write(b'{"no": "observation"}\n')
    deployment.recorded(*SHIELD, "--source", "x", "--state", "absent")
    done = deployment.run("export", "--json")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert {each["state"] for each in document["observations"]} == {State.PROVEN, State.ABSENT}
    assert [each["line"] for each in document["unreadable"]] == [2]
    listed = deployment.run("list")
    assert listed.exit_code == 1
    assert f"{deployment.file}:2:" in listed.stderr


def test_keys_are_never_overwritten(deployment: Deployment) -> None:
    """A second keygen leaves both files as they were, whichever of them is there."""
    before = deployment.key.read_bytes()
    assert deployment.run("keygen", "-o", deployment.key).exit_code == 2
    assert deployment.key.read_bytes() == before
    again = deployment.run("keygen", "-o", deployment.key, "--public", deployment.key)
    assert again.exit_code == 2
    told = deployment.run("keygen", "-o", deployment.directory / "b.pem", "--json")
    assert "d" not in json.loads(told.stdout)["jwk"]


def test_no_private_key_reaches_the_terminal_or_the_file(deployment: Deployment) -> None:
    """What is printed and recorded holds nothing of the PEM."""
    done = deployment.run("record", *SHIELD, "--source", "x", "--sign", deployment.key)
    secret = deployment.key.read_text().splitlines()[1]
    assert secret not in done.output + deployment.file.read_text()


def test_the_page_runs_as_it_is_written(tmp_path: Path) -> None:
    """The commands of docs/observations.md, one after the other, in a fresh directory."""
    blocks = re.findall(r"```(sh|yaml)\n(.*?)```", PAGE, re.DOTALL)
    assert [kind for kind, _ in blocks].count("yaml") == 1
    script = ["set -eu", f'export PATH="{Path(sys.executable).parent}:$PATH"']
    for kind, block in blocks:
        if kind == "yaml":
            (tmp_path / "watchword.yaml").write_text(block, encoding="utf-8")
            script.append('OBSERVER_KEY="$(cat ci.pem)"')
        else:
            script.append(block)
    attempt = tmp_path / "try-to-read-other-orders"
    attempt.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    attempt.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", "\n".join(script)],
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    exported = json.loads((tmp_path / "observations.json").read_text())
    rigs = [each["stands"] for each in exported["observations"]]
    assert rigs == ["proven", "reviewed", "proven"]


def observation_of(told: dict[str, Any]) -> Observation:
    """Return the observation in what ``record --json`` printed."""
    beside = {"verified", "observer", "stands", "why"}
    return from_json({name: value for name, value in told.items() if name not in beside})


def run_real(
    directory: Path, *arguments: str, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a shell of its own, after some line of that shell."""
    line = shlex.join([str(Path(sys.executable).parent / "watchword"), *arguments])
    # Root is refused nothing: without these two rights it is asked like everybody.
    rights = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    return subprocess.run(
        [*(rights if os.geteuid() == 0 else []), "sh", "-c", f"{before}\n{line}"],
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
        cwd=directory,
    )


def planned(directory: Path) -> dict[str, str]:
    """Return what the plan's items are and what is to be done about each, in order."""
    done = command(directory, "plan", "--json")
    assert done.returncode == 0, done.stderr
    return {item["protection"]: item["action"] for item in json.loads(done.stdout)["items"]}


def test_a_shield_that_only_watches_closes_nothing(tmp_path: Path) -> None:
    """From init to the plan: proven it's gone, in monitor it's back to be repaired, enforced and seen it's gone."""
    record = ("observe", "record", *SHIELD, "--source", "drill", "--sign", "ci.pem", "--json")

    def recorded() -> str:
        rigs: str = json.loads(command(tmp_path, *record).stdout)["stands"]
        return rigs

    assert command(tmp_path, "init").returncode == 0
    assert command(tmp_path, "observe", "keygen", "-o", "ci.pem").returncode == 0
    file = tmp_path / "watchword.yaml"
    text = file.read_text(encoding="utf-8")
    enforced = text.replace("plan:\n", "plan:\n  observers: {ci: {key: ci.jwk}}\n", 1)
    watching = enforced.replace("        mode: enforce", "        mode: monitor", 1)
    assert len({text, enforced, watching}) == 3
    file.write_text(enforced, encoding="utf-8")
    first = planned(tmp_path)
    assert next(iter(first.items())) == ("PR-B01", "introduce")
    file.write_text(watching, encoding="utf-8")
    # Without any observation the mode changes nothing.
    assert planned(tmp_path) == first
    file.write_text(enforced, encoding="utf-8")
    assert recorded() == "proven"
    assert "PR-B01" not in planned(tmp_path)
    file.write_text(watching, encoding="utf-8")
    assert next(iter(planned(tmp_path).items())) == ("PR-B01", "repair")
    # To look again while nothing is refused doesn't help.
    assert recorded() == "broken"
    assert next(iter(planned(tmp_path).items())) == ("PR-B01", "repair")
    file.write_text(enforced.replace("lifetime: 5m", "lifetime: 6m"), encoding="utf-8")
    assert recorded() == "proven"
    assert "PR-B01" not in planned(tmp_path)


def test_what_the_file_system_refuses_ends_with_three(deployment: Deployment) -> None:
    """A full disk isn't wrong usage: neither a key nor a statement is left in part."""
    full = "export PYTHONDONTWRITEBYTECODE=1; ulimit -f 0"
    made = run_real(deployment.directory, "observe", "keygen", "-o", "b.pem", before=full)
    assert made.returncode == 3, made.stderr
    assert not (deployment.directory / "b.pem").exists()
    record = ("observe", "record", *SHIELD, "--source", "x")
    done = run_real(deployment.directory, *record, before=full)
    assert done.returncode == 3, done.stderr
    assert deployment.file.read_bytes() == b""
    # What another name would make good stays wrong usage.
    again = run_real(deployment.directory, "observe", "keygen", "-o", "nowhere/b.pem")
    assert again.returncode == 2, again.stderr
    garbage = run_real(deployment.directory, *record, "--sign", "watchword.yaml")
    assert garbage.returncode == 2, garbage.stderr


def test_what_permissions_refuse_ends_with_three(deployment: Deployment) -> None:
    """A directory that can't be written, and files that can't be read."""
    record = ("observe", "record", *SHIELD, "--source", "x")
    deployment.key.chmod(0)
    signed = run_real(deployment.directory, *record, "--sign", "ci.pem")
    review = [*REVIEW, "--state", "reviewed", "--reviewer", "Ada", "--author", "Bob"]
    reviewed = run_real(deployment.directory, "observe", "record", *review, "--artifact", "ci.pem")
    deployment.directory.chmod(0o500)
    try:
        made = run_real(deployment.directory, "observe", "keygen", "-o", "b.pem")
        done = run_real(deployment.directory, *record)
    finally:
        deployment.directory.chmod(0o700)
    deployment.file.parent.mkdir(exist_ok=True)
    deployment.file.touch(0)
    unread = run_real(deployment.directory, "plan")
    codes = [each.returncode for each in (signed, reviewed, made, done, unread)]
    assert codes == [3, 3, 3, 3, 3]


def test_unsigned_bad_news_comes_with_no_warning_of_a_claim(deployment: Deployment) -> None:
    """It stands, so that there's nothing to warn of; of another world it is a claim, signed or not."""
    bad = deployment.run("record", *SHIELD, "--source", "x", "--state", "broken")
    good = deployment.run("record", *SHIELD, "--source", "x")
    assert good.stderr.startswith("warning: ")
    assert bad.stderr.startswith("note: ")
    assert "claim" not in bad.stderr


def test_a_review_outlives_a_change_of_the_policy(deployment: Deployment) -> None:
    """It is of its artifact, so that it names no policy."""
    artifact = deployment.directory / "orders.py"
    artifact.write_bytes(b"abc")
    by = ["--reviewer", "Ada", "--author", "Bob", "--artifact", str(artifact)]
    told = deployment.recorded(*REVIEW, "--state", "reviewed", "--sign", deployment.key, *by)
    assert "generation" not in told
    deployment.config.write_text(PLAN.replace("audience: clinic", "audience: b"), encoding="utf-8")
    assert [each["stands"] for each in deployment.listed()] == ["reviewed"]


def test_the_public_key_is_told_from_the_private_one(deployment: Deployment) -> None:
    """To sign with it is refused before its mode is looked at; nothing is recorded."""
    public = deployment.key.with_suffix(".jwk")
    public.chmod(0o644)
    done = run_real(
        deployment.directory, "observe", "record", *SHIELD, "--source", "x", "--sign", str(public)
    )
    assert done.returncode == 2
    assert "public key" in done.stderr
    assert "0644" not in done.stderr
    assert not deployment.file.exists()


@pytest.mark.parametrize("name", ["no\nerror: forged", "\x1b[2Jno", "\u202eno"])
def test_a_name_of_a_key_forges_no_line(deployment: Deployment, name: str) -> None:
    """What isn't there, or is no key, is told in one line, whatever its name holds."""
    at = [*SHIELD, "--source", "x", "--sign", str(deployment.directory / name)]
    missing = run_real(deployment.directory, "observe", "record", *at)
    assert missing.returncode == 2
    (deployment.directory / name).write_text("no key", encoding="utf-8")
    (deployment.directory / name).chmod(0o600)
    wrong = run_real(deployment.directory, "observe", "record", *at)
    assert wrong.returncode == 2
    for done in (missing, wrong):
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.rstrip("\n").isprintable()
