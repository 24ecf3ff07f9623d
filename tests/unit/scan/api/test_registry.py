"""Test what rules over descriptions of APIs say of themselves."""

from typing import Any

import pytest

from watchword.plan.catalogue import load_catalogue
from watchword.scan.api.registry import RULES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_rule_names_what_the_catalogue_has(rule: Any) -> None:
    """Techniques, protections and keys of evidence are those of the catalogue, and the file is named as the rule."""
    catalogue = load_catalogue()
    assert set(rule.techniques) <= set(catalogue.techniques)
    for protection, key in rule.protections.items():
        assert key in catalogue.protections[protection].evidence
    assert rule.check.__module__.rpartition(".")[2] == rule.id.replace("-", "_")


def test_rules_have_ids_of_their_own() -> None:
    """No two rules share an id."""
    assert len({rule.id for rule in RULES}) == len(RULES)
