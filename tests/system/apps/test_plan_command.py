"""``watchword plan``: its forms, questions and exit codes, and what it says of bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from watchword.apps.cli.main import cli

EXAMPLES = Path(__file__).parents[3] / "examples"
SEED = EXAMPLES / "api-key-script.yaml"
TIE = EXAMPLES / "cases" / "tmobile-2023.yaml"
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
STRUCK = """\
version: 1
plan:
  assets:
    records: {kind: data, impact: 5, because: all of it would be out, lives_in: [backend], traits: [records]}
  scenarios:
    strike: [{asset: records, because: it is switched off}]
"""
YESTERDAY = '<!doctype html>\n<meta name="generator" content="Watchword">'
BOLA = ("PR-B07", "--target", "api:clinic", "--key", "scan:api.bola_test", "--source", "test")


def run(*arguments: str | Path, file: Path = SEED) -> Result:
    """Run ``watchword plan`` in this process."""
    return CliRunner().invoke(cli, ["-c", str(file), "plan", *map(str, arguments)])


def process(
    *arguments: str | Path, file: Path = SEED, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``watchword plan`` in a process of its own."""
    code = "from watchword.apps.cli.entry import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, "-c", str(file), "plan", *map(str, arguments)],
        env={**os.environ, **environment},  # noqa: TID251 - the process needs a path.
        capture_output=True,
        text=True,
        check=False,
    )


def as_json(*arguments: str | Path, file: Path = SEED) -> dict[str, Any]:
    """Return the plan as JSON."""
    done = run("--json", *arguments, file=file)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def order(plan: dict[str, Any]) -> list[str]:
    """Return the ids of the list."""
    return [each["protection"] for each in plan["items"]]


@pytest.fixture
def deployment(tmp_path: Path) -> Path:
    """Set up a file with one asset that one protection closes, and the key of an observer."""
    file = tmp_path / "watchword.yaml"
    file.write_text(PLAN, encoding="utf-8")
    assert observe(file, "keygen", "-o", tmp_path / "ci.pem").exit_code == 0
    return file


def observe(file: Path, *arguments: str | Path) -> Result:
    """Run ``watchword observe``."""
    return CliRunner().invoke(cli, ["-c", str(file), "observe", *map(str, arguments)])


def test_without_options_it_is_for_people() -> None:
    """The first measure by name and id before all others, and only some of the last phase; all of it with --all."""
    done = run()
    assert done.exit_code == 0
    assert done.stderr == ""
    assert done.stdout.index("PR-B01") < done.stdout.index("PR-A05") < done.stdout.index("PR-C05")
    assert "PR-B06" not in done.stdout
    assert "PR-B06" in run("--all").stdout


@pytest.mark.parametrize("option", [["--item", "attestation"], ["--what-if", "+Attestation"]])
def test_a_name_leads_to_its_id(option: list[str]) -> None:
    """Who knows what a protection is called needn't know its number."""
    done = run(*option)
    assert done.exit_code == 2
    assert "did you mean PR-B01 (Attestation checked at the API)?" in " ".join(done.stderr.split())


BANK = EXAMPLES / "cases" / "retail-bank.yaml"


def said(*arguments: str | Path, file: Path = BANK) -> str:
    """Return what is printed for people, on one line."""
    return " ".join(run(*arguments, file=file).stdout.split())


def test_a_budget_names_what_it_closes() -> None:
    """Of which asset and impact, and that within an impact the number of assets decides; none is said to be none."""
    text = said("--budget", "20")
    assert (
        "The budget closes partner-payments (impact 5) and partner-account-data (impact 4): within one impact"
        in text
    )
    assert "The budget closes no asset whole." in said("--budget", "6")
    assert "The budget closes" not in said()


def test_a_what_if_names_what_stays_open_and_what_was_won() -> None:
    """Attestation alone closes ways, and no asset of a bank."""
    plan = as_json("--what-if", "+PR-B01", file=BANK)
    now = {each["id"]: each["now"] for each in plan["paths"]}
    assert "closed" in now.values()
    text = said("--what-if", "+PR-B01")
    assert (
        "9 of 71 ways in would be closed; still open or delayed: partner-payments (impact 5), payments (impact 5), account-data"
        in text
    )
    assert "would be closed; still open" not in said()


def test_what_goes_together_in_bulk_is_said_once() -> None:
    """A mark that names three of fourteen says nothing twenty times; an item's details name all."""
    text = said()
    assert text.count("are needed together") == 2
    assert "These 12 of impact 5 are needed together: without any one of them" in text
    assert " more * " not in text
    assert "only together with PR-A08, " not in text
    assert "with PR-A10, PR-A14, PR-B02, PR-B03, PR-B19, PR-B26" in said("--item", "PR-B01")


def test_effort_has_a_unit_unless_the_catalogue_is_ones_own(tmp_path: Path) -> None:
    """S, M and L are person-weeks; whoever writes own numbers counts in something of his own."""
    assert "take effort 66 (about person-weeks)" in said()
    own = tmp_path / "own.yaml"
    own.write_text("protections: {PR-B01: {effort: 40}}\n", encoding="utf-8")
    file = tmp_path / "plan.yaml"
    text = SEED.read_text(encoding="utf-8").replace("plan:\n", "plan:\n  catalogue: own.yaml\n", 1)
    file.write_text(text, encoding="utf-8")
    assert "person-weeks" not in said(file=file)
    assert "take effort 43; with that" in said(file=file)


def test_what_was_struck_stands_with_the_headline() -> None:
    """All assets closed but for a risk that somebody accepted: by its technique, there and among what is struck."""
    text = said()
    assert (
        "closed, but for 1 way in that somebody struck (MT-B27 Talk the customer into paying)."
        in text
    )
    assert (
        "into payments (impact 5) by MT-B27 Talk the customer into paying: accepted by the board"
        in text
    )
    assert "struck" not in said(file=SEED).partition("First:")[0]


def test_details_and_one_item_say_more() -> None:
    """What the list leaves out stands there: the limits of a measure, and what follows without it."""
    plain, detailed, one = (
        run(*each).stdout for each in ((), ("--details",), ("--item", "PR-B01"))
    )
    limit = as_json()["items"][0]["does_not"][0].split(",")[0]
    flat = [" ".join(text.split()) for text in (plain, detailed, one)]
    assert [limit in text for text in flat] == [False, True, True]
    assert "PR-C05" not in flat[2]


def test_json_is_one_document_with_what_is_promised() -> None:
    """Items, paths and exposure; each item with protection, phase, closes, effort and why."""
    done = process("--json")
    assert done.returncode == 0
    plan = json.loads(done.stdout)
    assert {"items", "paths", "exposure"} <= plan.keys()
    for item in plan["items"]:
        assert {"protection", "phase", "closes", "effort", "why"} <= item.keys()
        assert item["why"]
    known = {path["id"] for path in plan["paths"]}
    assert {path for item in plan["items"] for path in item["closes"]} == known


def test_nothing_else_comes_out_and_hashes_do_not_show() -> None:
    """Neither a solver's banner nor an order that hangs on the interpreter's hashes, in any form."""
    for form in ("--json", "--markdown"):
        told = []
        for seed in ("0", "4711"):
            done = process(form, file=TIE, PYTHONHASHSEED=seed)
            assert (done.returncode, done.stderr) == (0, "")
            told.append(_undated(done.stdout))
        assert told[0] == told[1]
        assert told[0].startswith("{" if form == "--json" else "#")


def _undated(text: str) -> str:
    """Return a plan without the lines and members that say when it was made."""
    if text.startswith("{"):
        return json.dumps({**json.loads(text), "made_at": ""})
    return "\n".join(
        line for line in text.splitlines() if "2026-" not in line and "UTC" not in line
    )


def test_other_forms() -> None:
    """Markdown begins with a heading, CycloneDX says that it is it."""
    assert run("--markdown").stdout.startswith("# ")
    bill = json.loads(run("--cyclonedx").stdout)
    assert bill["specFormat"] == "CycloneDX"
    assert bill["serialNumber"] != json.loads(run("--cyclonedx").stdout)["serialNumber"]


def test_html_is_written_beside_other_forms(tmp_path: Path) -> None:
    """A file, and a line about it on stderr: what stands on stdout stays what was asked for."""
    file = tmp_path / "plan.html"
    done = run("--html", file)
    assert (done.exit_code, done.stdout) == (0, "")
    assert str(file) in done.stderr
    text = file.read_text(encoding="utf-8")
    assert text.lower().startswith("<!doctype html>")
    assert "PR-B01" in text
    again = run("--html", file, "--json")
    assert order(json.loads(again.stdout))[0] == "PR-B01"


@pytest.mark.parametrize(("place", "code"), [("missing/plan.html", 3), (".", 2)])
def test_html_that_cannot_be_written_is_told(tmp_path: Path, place: str, code: int) -> None:
    """The place and why, no trace."""
    done = process("--html", tmp_path / place)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert str(tmp_path / place) in done.stderr
    assert done.stdout == ""


def test_a_budget_bounds_the_list() -> None:
    """No more effort than that; the phase that it doesn't reach is told with what it takes. Zero buys nothing."""
    plan = as_json("--budget", "5")
    assert plan["effort"] <= 5
    assert plan["budget"] == 5
    assert plan["shortfalls"][0]["cheapest"] == ["PR-B01"]
    # Nothing that delays without closing comes without the word for it.
    for item in plan["items"]:
        if item["delays"] and not item["closes"]:
            assert item["interim"]
    assert as_json("--budget", "0")["items"] == []
    assert run("--budget", "-1").exit_code == 2


def test_what_if_asks_for_another_world() -> None:
    """Proven: it isn't to be done any more. Out of reach: neither it nor what needs it."""
    with_it = as_json("--what-if", "+PR-B01")
    assert order(with_it)[0] == "PR-A05"
    assert with_it["exposure"][0]["now"] == "closed"
    without = as_json("--what-if", "-PR-B01")
    assert not {"PR-B01", "PR-B04"} & set(order(without))
    assert {each["asset"]: each["after"] for each in without["exposure"]} == {
        "backend-records": "delayed",
        "one-user-live-data": "closed",
    }
    both = as_json("--what-if", "+PR-B01", "--what-if", "+PR-A05")
    assert {each["now"] for each in both["exposure"]} == {"closed"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--what-if", "PR-B01"], "PR-B01"),
        (["--what-if", ""], "''"),
        (["--what-if", "+"], "''"),
        (["--what-if", "+PR-B011"], "PR-B01"),
        (["--what-if", "+PR-B01", "--what-if", "-PR-B01"], "PR-B01"),
        (["--item", "PR-B99"], "PR-B01"),
        (["--item", "pr-b1"], "PR-B01?"),
        (["--item", "PR-A08"], "watchword plan catalogue PR-A08"),
        (["--item", "mt-b03"], "watchword plan catalogue MT-B03"),
        (["--what-if", "+MT-B03"], "watchword plan catalogue MT-B03"),
        (["--what-if", "-PR-B1"], "PR-B01?"),
        (["--what-if", "+PR-B01", "--what-if", "-pr-b01"], "PR-B01"),
        (["--json", "--markdown"], "--markdown"),
        (["--json", "--item", "PR-B01"], "--item"),
        (["--cyclonedx", "--json"], "--json"),
        (["--budget", "many"], "'many', expected a whole number"),
        (["--budget", "10001"], "10000"),
        (["--budget", "1.5"], "whole number"),
        (["--fail-on", "closed"], "open"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], says: str) -> None:
    """Exit 2, a word on what was got or what is known, and nothing on stdout."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_ids_are_taken_in_any_case_and_the_long_list_stays_away() -> None:
    """The item is that of the id; whoever mistypes one gets a hint, not every id that there is."""
    assert run("--item", "pr-b01").stdout == run("--item", "PR-B01").stdout != ""
    assert as_json("--what-if", "+pr-b01")["what_if"] == {"added": ["PR-B01"], "removed": []}
    for wrong in ("PR-B99", "nonsense", "MT-B03"):
        told = run("--item", wrong).stderr
        assert sum(each in told for each in order(as_json())) <= 1


def test_an_asset_whose_paths_are_all_struck_is_not_closed(tmp_path: Path) -> None:
    """Nothing protects it: --fail-on delayed fails, --fail-on open doesn't, and the help says so."""
    file = tmp_path / "watchword.yaml"
    file.write_text(STRUCK, encoding="utf-8")
    plan = as_json(file=file)
    assert {each["now"] for each in plan["exposure"]} == {"unreached"}
    assert run("--fail-on", "open", file=file).exit_code == 0
    assert run("--fail-on", "delayed", file=file).exit_code == 1
    told = " ".join(run("--help").stdout.split())
    assert "all its paths are struck" in told
    assert "3: the report can't be written" in told


def test_impacts_that_are_still_guesses_are_named_once(tmp_path: Path) -> None:
    """One note on stderr; stdout is what it was."""
    file = tmp_path / "watchword.yaml"
    file.write_text(STRUCK.replace("all of it would be out", "TODO say why"), encoding="utf-8")
    done = run("--json", file=file)
    assert json.loads(done.stdout)["items"] == []
    (note,) = done.stderr.splitlines()
    assert note.startswith("note: 1 ")
    assert note.endswith(": records")
    asset = "    a{}: {{kind: service, impact: 1, because: todo, lives_in: [backend], traits: [availability]}}\n"
    many = "".join(asset.format(i) for i in range(20))
    file.write_text(f"version: 1\nplan:\n  assets:\n{many}", encoding="utf-8")
    told = " ".join(run("--json", file=file).stderr.split())
    assert told.startswith("note: 20 ")
    assert "a11 and 8 more" in told
    assert "a12" not in told
    file.write_text(STRUCK, encoding="utf-8")
    assert run("--json", file=file).stderr == ""


def test_a_report_that_does_not_fit_leaves_yesterdays(tmp_path: Path) -> None:
    """Exit code 3 with the path, and the old report whole."""
    file = tmp_path / "plan.html"
    file.write_text(YESTERDAY, encoding="utf-8")
    code = (
        # Else Python 3.11 keeps what it compiles though the disk took a part of it, and every later process stumbles over that.
        "import sys; sys.dont_write_bytecode = True;"
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from watchword.apps.cli.entry import run; run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-c", str(SEED), "plan", "--html", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_text(encoding="utf-8") == YESTERDAY
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("known", "limit", "code"),
    [
        ((), "open", 1),
        ((), "delayed", 1),
        (("+PR-C05",), "open", 1),
        (("+PR-C05", "+PR-A05"), "open", 0),
        (("+PR-C05", "+PR-A05"), "delayed", 1),
        (("+PR-B01", "+PR-A05"), "delayed", 0),
    ],
)
def test_a_pipeline_can_fail_on_exposure(known: tuple[str, ...], limit: str, code: int) -> None:
    """By how the assets stand now, not once the plan is done; the plan is printed all the same."""
    what_if = [part for each in known for part in ("--what-if", each)]
    done = run("--json", "--fail-on", limit, *what_if)
    assert done.exit_code == code
    assert json.loads(done.stdout)["items"]


def test_faults_come_with_their_lines_and_no_trace(tmp_path: Path) -> None:
    """All at once: the line, what was got, what is expected."""
    file = tmp_path / "watchword.yaml"
    text = PLAN.replace("  observers:\n    ci: {key: ci.jwk}\n", "")
    file.write_text(text.replace("MT-B08", "MT-B008").replace("impact: 5", "impact: 6"), "utf-8")
    done = process(file=file)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert f"{file}:8" in done.stderr
    file.write_text(text.replace("MT-B08", "MT-B008"), "utf-8")
    done = process(file=file)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file}:15" in done.stderr
    assert "'MT-B008'" in done.stderr
    assert "MT-B08?" in done.stderr


@pytest.mark.parametrize("text", ["", "version: 1\n", "version: 1\nplan: {assets: {}}\n", "- 1\n"])
def test_a_file_without_a_plan_is_told(tmp_path: Path, text: str) -> None:
    """Nothing to plan for is a fault, never a plan that says all is well."""
    file = tmp_path / "watchword.yaml"
    file.write_text(text, "utf-8")
    done = process("--json", file=file)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
    assert process(file=tmp_path / "none.yaml").returncode == 2


@pytest.mark.parametrize("place", ["assets.records", "scenarios", ""])
def test_likelihood_is_refused_wherever_it_stands(tmp_path: Path, place: str) -> None:
    """With its line and the reason: the order is by impact alone."""
    file = tmp_path / "watchword.yaml"
    lines = PLAN.replace("  observers:\n    ci: {key: ci.jwk}\n", "").splitlines()
    before = {
        "assets.records": "      kind: data",
        "scenarios": "    derive: false",
        "": "  assets:",
    }
    at = lines.index(before[place])
    indent = len(lines[at]) - len(lines[at].lstrip())
    lines.insert(at, " " * indent + "likelihood: 5")
    file.write_text("\n".join(lines) + "\n", "utf-8")
    done = process(file=file)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file}:{at + 1}" in done.stderr
    assert "impact" in done.stderr


def test_only_what_is_vouched_for_closes(deployment: Path) -> None:
    """A claim is a task to verify and closes nothing; a proof closes; a later failure opens again."""
    assert as_json(file=deployment)["exposure"][0]["now"] == "open"
    assert observe(deployment, "record", *BOLA).exit_code == 0
    claimed = as_json(file=deployment)
    assert claimed["exposure"][0]["now"] == "open"
    assert claimed["items"][0]["action"] == "verify"
    assert [each["protection"] for each in claimed["claims"]] == ["PR-B07"]
    key = deployment.with_name("ci.pem")
    assert observe(deployment, "record", *BOLA, "--sign", key).exit_code == 0
    proof = as_json(file=deployment)
    assert proof["exposure"][0]["now"] == "closed"
    assert "PR-B07" not in order(proof)
    assert run("--fail-on", "open", file=deployment).exit_code == 0
    assert observe(deployment, "record", *BOLA, "--state", "broken").exit_code == 0
    again = as_json(file=deployment)
    assert again["exposure"][0]["now"] == "open"
    assert (order(again)[0], again["items"][0]["action"]) == ("PR-B07", "repair")
    assert run("--fail-on", "open", file=deployment).exit_code == 1


def test_lines_that_cannot_be_read_cost_no_plan(deployment: Path) -> None:
    """The plan stands on stdout, a note with the line on stderr."""
    observe(deployment, "record", *BOLA, "--sign", deployment.with_name("ci.pem"))
    file = deployment.parent / ".watchword" / "observations.jsonl"
    good = file.read_bytes()
    file.write_bytes(b"\xff\xfe garbage\n" + good + b'{"protection": "PR-B07"\n[]\n')
    done = run("--json", file=deployment)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["exposure"][0]["now"] == "closed"
    assert json.loads(done.stdout)["unreadable"] == 3
    notes = done.stderr.splitlines()
    assert len(notes) == 3
    assert all(line.startswith("note: ") for line in notes)
    assert ["1" in notes[0], "3" in notes[1], "4" in notes[2]] == [True] * 3
    assert "\x1b" not in done.stderr


def test_a_pipeline_can_fail_on_lines_that_cannot_be_read(deployment: Path) -> None:
    """They may hold bad news; asked for by name, beside another condition or alone."""
    observe(deployment, "record", *BOLA, "--sign", deployment.with_name("ci.pem"))
    file = deployment.parent / ".watchword" / "observations.jsonl"
    both = ("--fail-on", "open", "--fail-on", "unreadable")
    assert run(*both, file=deployment).exit_code == 0
    file.write_bytes(file.read_bytes() + b"[]\n")
    assert run("--fail-on", "open", file=deployment).exit_code == 0
    assert run("--fail-on", "unreadable", file=deployment).exit_code == 1
    assert run(*both, file=deployment).exit_code == 1
    assert run(*both[:2], "--what-if", "-PR-B07", file=deployment).exit_code == 1


def test_thousands_of_bad_lines_are_a_few_notes(deployment: Path) -> None:
    """The first five by number, the others counted, and where all of them are told."""
    file = deployment.parent / ".watchword" / "observations.jsonl"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"[]\n" * 3000)
    done = run("--json", file=deployment)
    notes = done.stderr.splitlines()
    assert len(notes) == 6
    assert [f"jsonl:{at}:" in note for at, note in enumerate(notes[:5], 1)] == [True] * 5
    assert "2,995 more" in notes[5]
    assert "watchword observe list" in notes[5]
    assert json.loads(done.stdout)["unreadable"] == 3000


@pytest.mark.parametrize("name", ["watchword.yaml", "ci.pem", ".watchword/observations.jsonl"])
def test_a_report_is_never_written_over_something_else(deployment: Path, name: str) -> None:
    """A slip in a name costs neither the file, nor a key, nor what was observed; the error says what to do."""
    observe(deployment, "record", *BOLA)
    file = deployment.parent / name
    before = file.read_bytes()
    done = process("--html", file, file=deployment)
    assert done.returncode == 2
    assert str(file) in "".join(done.stderr.split("\n"))
    assert "name another" in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_bytes() == before


def test_a_report_waits_for_no_pipe(tmp_path: Path) -> None:
    """Nobody may ever read from it."""
    pipe = tmp_path / "a\npipe"
    os.mkfifo(pipe)
    done = process("--html", pipe)
    assert done.returncode == 2
    assert "a\\npipe" in done.stderr
    assert pipe.is_fifo()


def test_a_report_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    """One of another plan too; and of a file that was made empty for it."""
    file = tmp_path / "plan.html"
    file.touch()
    assert run("--html", file).exit_code == 0
    first = file.read_text(encoding="utf-8")
    assert run("--html", file, file=TIE).exit_code == 0
    assert file.read_text(encoding="utf-8") != first


def test_a_plan_for_the_lab_says_so(tmp_path: Path) -> None:
    """In every form, by the environment of the file."""
    file = tmp_path / "watchword.yaml"
    file.write_text(SEED.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    text = file.read_text(encoding="utf-8").replace(
        "version: 1\n", "version: 1\nenvironment: lab\n"
    )
    assert "Environment lab" not in run(file=file).stdout
    file.write_text(text.replace("environment: prod\n", ""), encoding="utf-8")
    for form in ((), ("--markdown",), ("--item", "PR-B01")):
        assert "Environment lab" in run(*form, file=file).stdout
    assert json.loads(run("--json", file=file).stdout)["environment"] == "lab"


def test_an_own_catalogue_that_moves_where_something_is_enforced_is_told(tmp_path: Path) -> None:
    """Nobody has to read the file beside the plan to know it."""
    file = tmp_path / "watchword.yaml"
    text = SEED.read_text(encoding="utf-8")
    assert "\nplan:\n" in text
    file.write_text(text.replace("\nplan:\n", "\nplan:\n  catalogue: own.yaml\n"), encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text("protections: {PR-A05: {enforced_at: server}}\n", encoding="utf-8")
    found = as_json(file=file)["changed"]
    assert [each["id"] for each in found] == ["PR-A05"]
    assert "enforced_at" in found[0]["members"]
    assert "enforced_at" in run(file=file).stdout
