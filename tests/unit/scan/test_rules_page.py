"""Hold the rules of the scan to their registries, the catalogue and their page."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import watchword.scan.api.rules
import watchword.scan.rules
from watchword.plan.catalogue import load_catalogue
from watchword.scan.api.registry import RULES as API_RULES
from watchword.scan.interface import Telling
from watchword.scan.registry import RULES

ROOT = Path(__file__).parents[3]
CATALOGUE = load_catalogue()
ALL: list[Telling] = [*RULES, *API_RULES]
EVERY = pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.id)


@pytest.mark.parametrize(
    ("package", "rules"),
    [(watchword.scan.rules, RULES), (watchword.scan.api.rules, API_RULES)],
    ids=["apps", "apis"],
)
def test_every_file_is_in_its_registry_under_its_own_name(
    package: ModuleType, rules: tuple[Any, ...]
) -> None:
    """A file that nobody lists looks for nothing, and one that is listed twice tells everything twice."""
    files = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__"}
    assert sorted(each.id.replace("-", "_") for each in rules) == sorted(files)


def test_ids_are_told_apart() -> None:
    """Rules over apps and over APIs share one page, and one list of suppressions."""
    ids = [each.id for each in ALL]
    assert len(set(ids)) == len(ids)
    assert [each.id for each in RULES] == sorted(each.id for each in RULES)


@EVERY
def test_a_rule_names_what_the_catalogue_has(rule: Telling) -> None:
    """Techniques, protections, and keys of evidence that are the scan's."""
    assert set(rule.techniques) <= set(CATALOGUE.techniques)
    for name, key in rule.protections.items():
        assert key in CATALOGUE.protections[name].evidence
        assert key.startswith("scan:")


@EVERY
def test_a_rule_says_what_it_does(rule: Telling) -> None:
    """What to do and what it can't tell are sentences; its title is a heading."""
    for text in (rule.todo, rule.blind):
        assert text.endswith(".")
        assert not text[0].islower()
    assert rule.title
    assert not rule.title.endswith(".")
    assert not rule.title[0].islower()


def test_every_static_key_of_the_catalogue_has_a_rule() -> None:
    """The catalogue promises no evidence that nobody looks for."""
    promised = {
        (name, key)
        for name, protection in CATALOGUE.protections.items()
        for key in protection.evidence
        if key.startswith("scan:static.")
    }
    assert promised == {pair for each in RULES for pair in each.protections.items()}
