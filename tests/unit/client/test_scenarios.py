"""Hold the client to what docs/sdk-scenarios.json says of every client."""

import json

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
    World(SCENARIOS[name]).run()
