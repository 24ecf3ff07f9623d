"""``watchword plan --since``: what changed since an earlier plan, and what made it so."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.unit.apps.plan_views.seed import seed_plan

from watchword.apps.cli.main import cli
from watchword.apps.plan.differences import worse
from watchword.apps.plan.document import document, read
from watchword.plan.outcome import Exposure

PLAN = """\
version: 1
apis:
  clinic: {upstream: "http://127.0.0.1:9000", audience: clinic, routes: []}
plan:
  observers:
    ci: {key: ci.jwk}
  assets:
    records:
      kind: data
      impact: 5
      because: all of it would be out
      routes: [{api: clinic, path: /v1/**}]
      traits: [records]
  scenarios:
    derive: false
    add:
      - {asset: records, steps: [MT-C06, MT-B08], because: ids are counted up}
"""
BOLA = ("PR-B07", "--target", "api:clinic", "--key", "scan:api.bola_test", "--source", "night run")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Set up a file with one asset that one protection closes, and the key of an observer."""
    file = tmp_path / "watchword.yaml"
    file.write_text(PLAN, encoding="utf-8")
    assert run(file, "observe", "keygen", "-o", tmp_path / "ci.pem").exit_code == 0
    return file


def run(file: Path, *arguments: str | Path) -> Result:
    """Run a command on a file."""
    return CliRunner().invoke(cli, ["-c", str(file), *map(str, arguments)])


def kept(file: Path) -> Path:
    """Keep the plan of now, and return where."""
    done = run(file, "plan", "--json")
    assert done.exit_code == 0, done.output
    place = file.with_name("before.json")
    place.write_text(done.stdout, encoding="utf-8")
    return place


def proven(file: Path) -> None:
    """Record a proof of what closes the records."""
    assert run(file, "observe", "record", *BOLA, "--sign", file.with_name("ci.pem")).exit_code == 0


def differences(file: Path, before: Path) -> dict[str, Any]:
    """Return what changed since as scripts read it."""
    found: dict[str, Any] = json.loads(run(file, "plan", "--since", before, "--json").stdout)
    return found


def test_nothing_changed_is_said_beside_the_order(file: Path) -> None:
    """Exit 0, the list, and that the plans are the same."""
    before = kept(file)
    done = run(file, "plan", "--since", before, "--fail-on", "worse")
    assert done.exit_code == 0
    assert "PR-B07" in done.stdout
    assert "The plans are the same." in done.stdout
    found = differences(file, before)
    assert (found["different"], found["worse"]) == (False, [])
    assert found["since"] == json.loads(before.read_text(encoding="utf-8"))["made_at"]


def test_a_new_observation_is_named_with_its_source(file: Path) -> None:
    """Who saw what, both when something is proven and when it fails; only the second is worse."""
    before = kept(file)
    proven(file)
    assert run(file, "plan", "--since", before, "--fail-on", "worse").exit_code == 0
    (cause,) = differences(file, before)["causes"]
    assert (cause["before"], cause["after"]) == (None, "proven")
    assert "night run" in cause["why"]
    closed = kept(file)
    assert run(file, "observe", "record", *BOLA, "--state", "broken").exit_code == 0
    done = run(file, "plan", "--since", closed, "--fail-on", "worse")
    assert done.exit_code == 1
    assert "PR-B07" in done.stdout
    assert "back at the top" in " ".join(done.stdout.split())
    found = differences(file, closed)
    assert found["worse"] == ["records"]
    (cause,) = found["causes"]
    assert (cause["before"], cause["after"]) == ("proven", "broken")
    assert "night run" in cause["why"]


def test_an_edit_is_told_from_an_observation(file: Path) -> None:
    """The API's section is another: the proof is of a policy that isn't in force any more, and nobody saw anything new."""
    proven(file)
    closed = kept(file)
    file.write_text(PLAN.replace("audience: clinic,", "audience: clinics,"), encoding="utf-8")
    done = run(file, "plan", "--since", closed, "--fail-on", "worse")
    assert done.exit_code == 1
    (cause,) = differences(file, closed)["causes"]
    assert (cause["before"], cause["after"]) == ("proven", "stale")
    assert "policy" in cause["why"]
    assert "night run" not in cause["why"]


def test_a_changed_impact_is_a_cause_and_isnt_worse(file: Path) -> None:
    """What got worse is how an asset stands, not what it is worth."""
    before = kept(file)
    file.write_text(PLAN.replace("impact: 5", "impact: 4"), encoding="utf-8")
    assert run(file, "plan", "--since", before, "--fail-on", "worse").exit_code == 0
    (cause,) = differences(file, before)["causes"]
    assert (cause["subject"], cause["before"], cause["after"]) == ("asset", 5, 4)


def test_it_stands_beside_other_conditions_and_a_report(file: Path, tmp_path: Path) -> None:
    """An asset that stayed open isn't worse, and is open; the report is written all the same."""
    before = kept(file)
    since = ("plan", "--since", before, "--html", tmp_path / "plan.html")
    assert run(file, *since, "--fail-on", "worse", "--fail-on", "open").exit_code == 1
    page = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert '<h2 id="since">Since ' in page
    assert "Nothing got worse." in page
    assert "PR-B07" in run(file, "plan", "--since", before).stdout


def test_a_plan_that_lacks_a_member_is_refused_by_name(file: Path) -> None:
    """What it doesn't say can't be compared, and doesn't pass for no worse."""
    assert run(file, "observe", "record", *BOLA, "--state", "broken").exit_code == 0
    before = kept(file)
    whole = json.loads(before.read_text(encoding="utf-8"))
    for name in ("measured", "environment", "changed", "what_if", "routes", "limits", "pins"):
        before.write_text(json.dumps({**whole, name: None}), encoding="utf-8")
        done = run(file, "plan", "--since", before, "--fail-on", "worse")
        assert done.exit_code == 2
        assert f"{name}: got nothing, expected " in done.stderr
    del whole["failing"][0]["findings"]
    before.write_text(json.dumps(whole), encoding="utf-8")
    done = run(file, "plan", "--since", before, "--fail-on", "worse")
    assert done.exit_code == 2
    assert "failing[0].findings: got nothing, expected a list" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fail-on", "worse"],
        ["--since", "BEFORE", "--markdown"],
        ["--since", "BEFORE", "--cyclonedx"],
        ["--since", "BEFORE", "--item", "PR-B07"],
        ["--since", "BEFORE", "--details"],
        ["--since", "nowhere.json"],
        ["--since", "watchword.yaml"],
        ["--since", "."],
    ],
)
def test_wrong_usage_is_told(file: Path, arguments: list[str]) -> None:
    """Exit 2, nothing on stdout, and the option is named."""
    before = kept(file)
    places = {"BEFORE": before, ".": file.parent, "watchword.yaml": file}
    done = run(file, "plan", *(places.get(each, each) for each in arguments))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert arguments[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_worse_goes_by_how_an_asset_stands() -> None:
    """From closed over struck and delayed to open each step is worse, and none the other way round."""
    order = (Exposure.CLOSED, Exposure.UNREACHED, Exposure.DELAYED, Exposure.OPEN)

    def standing(exposure: Exposure) -> Any:
        found = document(seed_plan())
        found["exposure"][0]["now"] = exposure.value
        return read(found)

    for better, worst in pairwise(order):
        assert worse(standing(better), standing(worst)) == ("backend-records",)
        assert worse(standing(worst), standing(better)) == ()
        assert worse(standing(worst), standing(worst)) == ()


def test_an_asset_that_is_new_or_gone_isnt_worse() -> None:
    """There's nothing to compare it with; `--fail-on open` asks how it stands."""
    whole, less = document(seed_plan()), document(seed_plan())
    less["exposure"].pop()
    assert worse(read(less), read(whole)) == worse(read(whole), read(less)) == ()


PIN = ("PR-C03", "--target", "api:clinic", "--key", "scan:static.pinning", "--source", "build 7")
KEYS_OUT = (
    "PR-B04",
    "--target",
    "api:clinic",
    "--key",
    "scan:static.secret_found",
    "--source",
    "build 7",
)


def test_what_is_lost_while_an_asset_is_open_anyway_is_worse(file: Path) -> None:
    """A build that loses its pins and gains a key: the asset was open before, and CI stayed green."""
    signed = ("--sign", file.with_name("ci.pem"))
    for each in (PIN, KEYS_OUT):
        assert run(file, "observe", "record", *each, *signed).exit_code == 0
    before = kept(file)
    for each in (PIN, KEYS_OUT):
        assert run(file, "observe", "record", *each, "--state", "absent").exit_code == 0
    done = run(file, "plan", "--since", before, "--fail-on", "worse")
    said = " ".join(done.stdout.split())
    assert done.exit_code == 1
    found = differences(file, before)
    assert found["worse"] == []
    told = [(each["protection"], each["target"], each["what"]) for each in found["setbacks"]]
    # That no key is in a package was a claim, since the server is to refuse who has one: that one is in it is known.
    assert told == [("PR-B04", "api:clinic", "fails"), ("PR-C03", "api:clinic", "lost")]
    news = said.partition("The order now")[0]
    assert "Fails: PR-B04 Keys handed out at run time, at api:clinic. " in news
    assert "Lost: PR-C03 Pinning that can be updated, at api:clinic. " in news
    assert "PR-C03 Pinning that can be updated is back on the list: number" in news


def test_what_comes_out_to_fail_is_worse_and_once_only(file: Path) -> None:
    """Nothing was known of it; kept as it is now, it's no news the next time."""
    before = kept(file)
    assert run(file, "observe", "record", *BOLA, "--state", "broken").exit_code == 0
    assert run(file, "plan", "--since", before, "--fail-on", "worse").exit_code == 1
    (setback,) = differences(file, before)["setbacks"]
    assert (setback["protection"], setback["what"]) == ("PR-B07", "fails")
    again = kept(file)
    assert run(file, "plan", "--since", again, "--fail-on", "worse").exit_code == 0
    proven(file)
    assert run(file, "plan", "--since", again, "--fail-on", "worse").exit_code == 0


GUARDED = """\
version: 1
apis:
  clinic:
    upstream: "http://127.0.0.1:9000"
    audience: clinic
    apps: [phone]
    rate: {requests: 60}
    limits:
      - {name: logins, requests: 5, per: 1m, routes: [/v1/login]}
    routes:
      - {path: /v1/login, methods: [POST], proof: session}
      - {path: /v2/payments/**, proof: device}
      - {path: /v1/public/**, mode: "off"}
      - {path: /**, proof: session, level: verified}
pins:
  hosts:
    api.example.com: {apps: [phone], mode: enforce}
plan:
  assets:
    records: {kind: data, impact: 5, because: all of it would be out, routes: [{api: clinic, path: /v1/**}]}
"""


@pytest.mark.parametrize(
    ("was", "is_", "said"),
    [
        ("proof: device", "proof: bearer", "route /v2/payments/**: proof device -> bearer"),
        ("proof: device", "proof: session", "route /v2/payments/**: proof device -> session"),
        (
            "level: verified",
            "level: software, mode: monitor",
            "route /**: mode enforce -> monitor, level verified -> software",
        ),
        (
            "      - {path: /v2/payments/**, proof: device}\n",
            "",
            "route /v2/payments/** falls to /**: proof device -> session, level hardware -> verified",
        ),
        (
            "/v1/public/**, mode",
            "/v2/*/open, mode",
            "route /** falls to /v2/*/open: mode enforce -> off",
        ),
        # What is stricter, new where nothing was served, or only elsewhere in the table is no worse.
        ("level: verified", "level: hardware", ""),
        ('/v1/public/**, mode: "off"', "/v1/public/*, mode: monitor", ""),
        (
            '      - {path: /v1/public/**, mode: "off"}\n      - {path: /**, proof: session, level: verified}\n',
            '      - {path: /v1/public/**, mode: "off"}\n      - {path: /**, proof: session}\n',
            "",
        ),
        (
            '      - {path: /v2/payments/**, proof: device}\n      - {path: /v1/public/**, mode: "off"}\n',
            '      - {path: /*/payments/list, mode: "off"}\n      - {path: /v2/payments/**, proof: device}\n',
            "route /v2/payments/** falls to /*/payments/list: mode enforce -> off",
        ),
        (
            "methods: [POST]",
            "methods: [PUT]",
            "route POST /v1/login falls to /**: level hardware -> verified",
        ),
        (
            "path: /v2/payments/**",
            "path: [/v2]",
            "route /v2/payments/** falls to a row that can't be read: mode enforce -> unknown",
        ),
        ("requests: 5,", "requests: 50,", "limit logins: 5 in 60 s -> 50 in 60 s"),
        ("5, per: 1m", "300, per: 1h", "limit logins: 5 in 60 s -> 300 in 3,600 s"),
        ("requests: 60", "requests: 60, per: 1s", "limit rate: 60 in 60 s -> 60 in 1 s"),
        ("    rate: {requests: 60}\n", "", "limit rate (60 in 60 s) is gone"),
        (
            "routes: [/v1/login]}",
            "routes: [/v1/login], mode: monitor}",
            "limit logins: mode enforce -> monitor",
        ),
        ("[phone], mode: enforce", "[phone]", "its pins in phone: enforce -> report"),
        ("[phone], mode: enforce", "[other], mode: enforce", "phone doesn't pin it any more"),
        ("  clinic:\n", "  other:\n", "it is gone from the file, and nothing guards it"),
    ],
)
def test_what_the_file_asks_for_less_is_worse(
    tmp_path: Path, was: str, is_: str, said: str
) -> None:
    """No evidence hangs on it and the asset is open before and after: that the route is weaker is told all the same."""
    file = tmp_path / "watchword.yaml"
    assert GUARDED.count(was) == 1
    file.write_text(GUARDED, encoding="utf-8")
    before = kept(file)
    assert run(file, "plan", "--since", before, "--fail-on", "worse").exit_code == 0
    text = GUARDED.replace(was, is_)
    # The asset's own route may not name an API that is gone.
    text = text.replace("{api: clinic,", "{api: other,") if "  other:" in is_ else text
    file.write_text(text, encoding="utf-8")
    done = run(file, "plan", "--since", before, "--fail-on", "worse")
    weaker = differences(file, before)["weaker"]
    assert done.exit_code == (1 if said else 0), done.output
    assert (said in [each["what"] for each in weaker]) is bool(said), weaker
    assert (
        f"Weaker: {weaker[0]['place']}, {weaker[0]['what']}" if said else "Nothing got worse"
    ) in " ".join(done.stdout.split())
    again = kept(file)
    assert run(file, "plan", "--since", again, "--fail-on", "worse").exit_code == 0


def test_what_is_no_plan_is_called_none(file: Path, tmp_path: Path) -> None:
    """A report of another kind nests deeper than a plan does, which helps nobody."""
    log = tmp_path / "scan.sarif"
    log.write_text("[" * 20 + "]" * 20, encoding="utf-8")
    done = run(file, "plan", "diff", log, log)
    assert done.exit_code == 2
    assert "it is no plan; expected what `watchword plan --json` writes" in done.stderr
