"""Hold the client to what docs/sdk-scenarios.json says of every client."""

import json
import re

import jsonschema
import pytest
from tests.unit.client.scenarios import DOCS, DOCUMENT, SCENARIOS, World


def test_the_file_follows_its_schema() -> None:
    """Runners in other languages rely on it."""
    schema = json.loads((DOCS / "sdk-scenarios.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(DOCUMENT, schema, jsonschema.Draft202012Validator)
    assert len(SCENARIOS) == len(DOCUMENT["scenarios"]), "two scenarios have one name"


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_client_does_as_a_scenario_says(name: str) -> None:
    """Requests, pauses and what the app sees are those of the scenario, and nothing else."""
    World(SCENARIOS[name]).assert_holds()


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, scenario in SCENARIOS.items()
        if any(step["call"] == "request" for step in scenario["steps"])
        and "threads" not in scenario.get("needs", [])
    ],
)
def test_asyncio_does_the_same(name: str) -> None:
    """Requests that asyncio sends follow the same rules."""
    World(SCENARIOS[name], asynchronous=True).assert_holds()


def test_each_rule_of_the_page_has_a_scenario() -> None:
    """A rule that nobody could break unnoticed, and no scenario for a rule that isn't written."""
    page = (DOCS / "client.md").read_text(encoding="utf-8")
    written = re.findall(r"^\| ([A-Z]\d+) \|", page, re.MULTILINE)
    assert len(written) == len(set(written)), "two rules have one name"
    held = {rule for scenario in SCENARIOS.values() for rule in scenario["rules"]}
    assert set(written) == held
