"""Show what commands import: what takes long to load is loaded by what needs it, and a new result says of what it is."""

import subprocess
import sys

import pytest
from benchmarks.report import made_here

OPERATOR = (
    "watchword.apps.instances.commands",
    "watchword.apps.cli.commands",
    "watchword.apps.cli.refusals",
    "watchword.apps.secrets.commands",
    "watchword.apps.pins.reports",
    "watchword.apps.service.client",
)
HEAVY = ("pydantic", "httpx", "structlog", "rich", "granian", "sqlalchemy", "numpy", "highspy")
"""Packages that take longer to import than a service to answer."""


def loaded(modules: tuple[str, ...]) -> set[str]:
    """Return what a fresh interpreter has loaded with these modules."""
    program = "import importlib, sys\nfor each in sys.argv[1:]: importlib.import_module(each)\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, "watchword.apps.cli.main", *modules],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", OPERATOR)
def test_what_asks_a_running_service_loads_no_models(module: str) -> None:
    """Neither the models of the settings nor the service's own modules: goals of `make bench-start` rest on it."""
    found = loaded((module,))
    assert module in found
    assert found.isdisjoint(
        {*HEAVY, "watchword.apps.settings.schema", "watchword.apps.service.app"}
    )


def test_a_plan_in_words_loads_neither_its_json_nor_the_policy() -> None:
    """The models of a plan's JSON, the rules of a policy, the solver and the terminal's tables are for those who ask for them."""
    found = loaded(("watchword.apps.plan.commands",))
    assert "watchword.apps.settings.schema" in found
    assert found.isdisjoint(
        {
            *HEAVY[1:],
            "watchword.apps.plan.document",
            "watchword.apps.plan.drafts",
            "watchword.apps.plan.html",
            "watchword.policy.registry",
        }
    )


def test_a_policy_in_words_loads_no_records() -> None:
    """To show one takes no model of recorded verifications."""
    found = loaded(("watchword.apps.policy.commands",))
    assert found.isdisjoint(
        {*HEAVY, "watchword.apps.policy.cases", "watchword.apps.evidence.records"}
    )


def test_a_new_result_says_of_what_it_is() -> None:
    """Its head has commit, date and machine, and no name of a host."""
    made = made_here()
    assert made.keys() == {"commit", "date", "machine"}
    assert "cores" in made["machine"]
    assert "Python 3." in made["machine"]
