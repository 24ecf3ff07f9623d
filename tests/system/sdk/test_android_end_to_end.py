"""Let the Android SDK's shipped adapters enrol at a real deployment and talk through its gates, on a phone that is simulated."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from scripts.sdk import android
from tests.machine import patience
from tests.system.sdk.deployment import deployed

MODULE = "endtoend"


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run the deployment for all tests here."""
    with deployed(tmp_path_factory.mktemp("sdk")) as addresses:
        yield addresses


@pytest.mark.parametrize("variant", android.modules()[MODULE].variants)
def test_phones_at_a_deployment(
    where: dict[str, Any], variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every test of the class passes, with each OkHttp; those that don't are named."""
    monkeypatch.setenv("WATCHWORD_DEPLOYMENT", json.dumps(where))
    build = android.Build()
    outcomes = build.run_junit(MODULE, ["dev.watchword.EndToEnd"], variant, patience(600))
    failed = [each for each in outcomes if each.status != "passed"]
    assert outcomes
    assert not failed, "\n\n".join(f"{each.test}: {each.message}" for each in failed)
