"""``watchword plan catalogue``: all entries, one in words, and the check against other catalogues."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from watchword.apps.plan.cli import catalogue_command as command
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_USAGE, fail
from watchword.plan.catalogue import load_catalogue, names_used

CATALOGUE = load_catalogue()

OWN = """\
techniques:
  MT-X01: {name: Read the watch, about: It keeps records., component: app, stage: exploit, harms: [live-data]}
protections:
  PR-B01: {effort: 9, cuts: {MT-C05: 0}}
"""


def catalogue(*arguments: str | Path, config: Path = Path("nowhere.yaml")) -> Result:
    """Run the command; an error of ours is left in the result."""
    given = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, given, obj=config)


def objects(result: Result) -> list[dict[str, object]]:
    """Return what was printed with --json."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_list_holds_every_entry_once() -> None:
    """Each id has its line, for people and for scripts."""
    listed = catalogue().stdout.splitlines()
    lines = [line.split()[0] for line in listed if re.match(r"    \S", line)]
    entries = [*CATALOGUE.techniques, *CATALOGUE.protections]
    assert sorted(lines) == sorted(entries)
    assert [each["id"] for each in objects(catalogue("--json"))] == entries


def test_a_technique_is_told_with_what_cuts_it() -> None:
    """The strongest stands first; what only slows it stands there too."""
    text = catalogue("mt-b03").stdout
    assert CATALOGUE.techniques["MT-B03"].about[:40] in text
    places = [text.index(key) for key in ("PR-B01", "PR-B05", "PR-B25", "PR-C04")]
    assert places == sorted(places)
    assert "api_key, protocol" in text


@pytest.mark.parametrize("key", ["MT-A01", "MT-B27", "MT-B30"])
def test_a_technique_that_nothing_cuts_says_so(key: str) -> None:
    """Whoever plans against it learns that he can't close it, and why the risk can only be accepted."""
    text = " ".join(catalogue(key).stdout.split())
    assert "nothing in this catalogue" in text
    assert CATALOGUE.techniques[key].accepted in text


@pytest.mark.parametrize("key", CATALOGUE.protections)
def test_a_protection_is_told_with_what_it_does_not_stop(key: str) -> None:
    """Everything that it doesn't stop, every key, every cut, and what it depends on."""
    protection = CATALOGUE.protections[key]
    text = " ".join(catalogue(key).stdout.split())
    for part in (*protection.does_not, *protection.evidence, *protection.cuts):
        assert part in text
    for part in (*protection.depends_on, *protection.clamped):
        assert part in text
    assert ("person's review" in text) == protection.reviewable
    (told,) = objects(catalogue(key, "--json"))
    assert told["cuts"] == protection.cuts


@pytest.mark.parametrize(
    ("given", "named"),
    [("PRB01", "PR-B01"), ("MT-B3", "MT-B03"), ("mt-b003", "MT-B03"), ("pr_c2", "PR-C02")],
)
def test_an_unknown_id_is_wrong_usage(given: str, named: str) -> None:
    """The nearest is named: that of the same number before one that looks alike."""
    result = catalogue(given)
    assert result.exit_code == EXIT_USAGE
    assert f" {named}?" in result.stderr


def test_own_entries_stand_among_the_others(tmp_path: Path) -> None:
    """A new one is listed, a changed one changed."""
    own = tmp_path / "own.yaml"
    own.write_text(OWN, encoding="utf-8")
    assert "Read the watch" in catalogue("--own", own).stdout
    (changed,) = objects(catalogue("PR-B01", "--own", own, "--json"))
    assert changed["effort"] == 9
    assert "MT-C05" not in str(changed["cuts"])


def test_the_own_file_that_the_configuration_names_is_read(tmp_path: Path) -> None:
    """Seen from that file, and said on stderr; another one that is named by --own comes before it."""
    config, other = tmp_path / "deploy" / "watchword.yaml", tmp_path / "other.yaml"
    config.parent.mkdir()
    (config.parent / "own.yaml").write_text(OWN, encoding="utf-8")
    other.write_text("protections: {PR-B01: {effort: 8}}\n", encoding="utf-8")
    config.write_text("version: 1\nplan: {catalogue: own.yaml}\n", encoding="utf-8")
    named = catalogue("PR-B01", "--json", config=config)
    assert objects(named)[0]["effort"] == 9
    assert "own.yaml" in named.stderr
    assert objects(catalogue("PR-B01", "--json", "--own", other, config=config))[0]["effort"] == 8
    assert objects(catalogue("MT-X01", "--json", config=config))[0]["name"] == "Read the watch"


@pytest.mark.parametrize(
    "text", ["", "version: 1\n", "- 1\n", "plan: [x]\n", "plan: {catalogue: 3}\n"]
)
def test_a_configuration_without_one_changes_nothing(tmp_path: Path, text: str) -> None:
    """Its faults are for other commands."""
    config = tmp_path / "watchword.yaml"
    config.write_text(text, encoding="utf-8")
    found = catalogue("PR-B01", "--json", config=config)
    assert (found.exit_code, found.stderr) == (0, "")
    assert objects(found)[0]["effort"] == CATALOGUE.protections["PR-B01"].effort


def test_a_configured_file_that_is_missing_is_told(tmp_path: Path) -> None:
    """Rather than a catalogue without what the plan counts on."""
    config = tmp_path / "watchword.yaml"
    config.write_text("plan: {catalogue: own.yaml}\n", encoding="utf-8")
    error = catalogue(config=config).exception
    assert isinstance(error, ConfigurationError)
    assert error.file.name == "own.yaml"


def test_faults_of_an_own_file_come_with_their_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them, each with its line, and exit code 2."""
    own = tmp_path / "own.yaml"
    own.write_text("protections:\n  PR-B01:\n    effort: 0\n    likelihood: 3\nmore: 1\n", "utf-8")
    error = catalogue("--own", own).exception
    assert isinstance(error, ConfigurationError)
    assert [(fault.path, fault.line) for fault in error.faults] == [
        ("protections.PR-B01.effort", 3),
        ("protections.PR-B01.likelihood", 4),
        ("more", 5),
    ]
    assert fail(error) == EXIT_USAGE
    assert "impact alone" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", "techniques: &a {}\nprotections: *a\n"])
def test_an_own_file_of_another_form_has_faults(tmp_path: Path, content: str) -> None:
    """Nothing is merged from it in silence."""
    own = tmp_path / "own.yaml"
    own.write_text(content, encoding="utf-8")
    assert isinstance(catalogue("--own", own).exception, ConfigurationError)


def test_check_passes_where_every_id_is_known(tmp_path: Path) -> None:
    """Exit code 0, and what wasn't looked at is said."""
    file = tmp_path / "maswe.json"
    file.write_text(json.dumps(list(names_used(CATALOGUE)["maswe"])), encoding="utf-8")
    result = catalogue("--check", "--maswe", file)
    assert result.exit_code == 0
    assert "0 unknown" in result.stdout
    assert "attack-mobile" in result.stdout


def test_check_fails_by_name_where_one_is_gone(tmp_path: Path) -> None:
    """Exit code 1; a retired id is told apart from one that never was."""
    aliases = list(names_used(CATALOGUE)["maswe"])
    known: list[object] = [
        each for each in aliases if each not in {"app-integrity", "data-in-logs"}
    ]
    known.append({"alias": "app-integrity", "status": "deprecated"})
    file = tmp_path / "maswe.json"
    file.write_text(json.dumps(known), encoding="utf-8")
    result = catalogue("--check", "--maswe", file, "--json")
    assert result.exit_code == EXIT_REFUSED
    assert [(each["id"], each["state"]) for each in objects(result)] == [
        ("app-integrity", "retired"),
        ("data-in-logs", "unknown"),
    ]
    assert "MT-A11" in catalogue("--check", "--maswe", file).stdout


def test_check_and_files_go_together(tmp_path: Path) -> None:
    """A file is for the check, and a check has no id."""
    file = tmp_path / "maswe.json"
    file.write_text('["x"]', encoding="utf-8")
    assert catalogue("--maswe", file).exit_code == EXIT_USAGE
    assert catalogue("PR-B01", "--check", "--maswe", file).exit_code == EXIT_USAGE
    assert catalogue("--check", "--stix", tmp_path / "none.json").exit_code == EXIT_USAGE


def test_check_without_a_file_asks_the_version_whose_numbers_are_stable() -> None:
    """All aliases of ours stand in MASWE 1.0.0; of other catalogues nothing is said."""
    result = catalogue("--check")
    assert result.exit_code == 0
    assert "ids checked: maswe: 45; 0 unknown or retired" in result.stdout
    assert "not checked, since no file says which there are: attack-enterprise" in result.stdout
