"""Show what commands import: what takes long to load is loaded by what needs it, and a new result says of what it is."""

import subprocess
import sys
from pathlib import Path

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
EXAMPLE = Path(__file__).parents[3] / "examples" / "clinic.yaml"
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


def loaded_by(file: Path, *words: str) -> set[str]:
    """Return what a fresh interpreter has loaded when a command ends that reads this file."""
    program = (
        "import sys\n"
        "from watchword.apps.cli.main import cli\n"
        "cli(standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "-c", str(file), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split("\n")[-2].split())


def test_a_plan_in_words_loads_its_own_section_alone() -> None:
    """Other sections' models, keys, rules of a policy, the solver, a plan's JSON are for those who ask for them."""
    found = loaded_by(EXAMPLE, "plan")
    assert {"watchword.apps.settings.plan_section", "watchword.plan.service"} <= found
    too_much = found & {
        *HEAVY[1:],
        *("cryptography", "watchword.ports", "watchword.tokens.jose"),
        "watchword.adapters.observer_keys",
        "watchword.apps.observations.commands",
        "watchword.apps.plan.document",
        "watchword.apps.plan.drafts",
        "watchword.apps.plan.html",
        "watchword.apps.settings.load",
        *("watchword.apps.settings.pins", "watchword.apps.settings.schema"),
        *("watchword.attestation.interface", "watchword.broker.interface"),
        *("watchword.gate.limits", "watchword.pins.interface"),
        *("watchword.policy.interface", "watchword.policy.registry"),
    }
    assert too_much == set()


def test_pins_in_words_load_their_own_section_alone() -> None:
    """The models of other sections, the plan and the service are for those who ask for them."""
    found = loaded(("watchword.apps.pins.session",))
    assert "watchword.apps.settings.pins" in found
    too_much = found & {
        *HEAVY[1:],
        "watchword.apps.settings.load",
        *("watchword.apps.settings.plan_section", "watchword.apps.settings.schema"),
        *("watchword.apps.deployment", "watchword.apps.service.app"),
        *("watchword.attestation.interface", "watchword.plan.interface"),
    }
    assert too_much == set()


def test_a_check_loads_nothing_that_serves() -> None:
    """What a start composes, its servers and its log are loaded by the start alone."""
    found = loaded_by(EXAMPLE, "check")
    assert {"watchword.apps.settings.schema", "watchword.policy.registry"} <= found
    too_much = found & {
        *HEAVY[1:],
        *("asyncio", "cryptography", "uvicorn"),
        *("watchword.apps.compose.gates", "watchword.apps.compose.vendors"),
        *("watchword.apps.deployment", "watchword.enrolment.evidence", "watchword.gate.service"),
    }
    assert too_much == set()


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
