"""What a workshop begins from: six templates that plan, and files of others that are read or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.plan.test_drafts_threat_dragon import WHOLE

from watchword.apps.plan.drafts import TEMPLATES, template_section, template_text
from watchword.apps.plan.workshop.session import WorkshopError
from watchword.apps.plan.workshop.starts import begin_from, draft_of, templates
from watchword.apps.settings.plan import load_plan

OPENAPI = {
    "openapi": "3.0.0",
    "info": {"title": "Clinic", "version": "1"},
    "paths": {"/v1/patients/{id}": {"get": {"responses": {"200": {"description": "one"}}}}},
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_template_makes_a_plan_and_argues_each_impact(name: str, tmp_path: Path) -> None:
    """It is a file that `watchword plan` takes as it is; no reason is a placeholder."""
    file = tmp_path / "plan.yaml"
    file.write_text(template_text(name), encoding="utf-8")
    settings = load_plan(file)
    assert settings.model.paths
    assert len(settings.assets) >= 5
    assert {each.impact for each in settings.assets.values()} - {3}
    assert not any(each.because.startswith("TODO") for each in settings.assets.values())
    assert template_section(name) == yaml.safe_load(template_text(name))["plan"]


def test_the_templates_are_offered_by_title() -> None:
    """A page shows what each has before somebody chooses."""
    assert [each.title for each in templates()] == list(TEMPLATES.values())
    assert "patient-records" in templates()[1].assets


def test_a_template_that_is_not_there_is_refused() -> None:
    """The message names those that are."""
    with pytest.raises(WorkshopError, match="expected one of bank, health"):
        begin_from("../../etc/passwd")


@pytest.mark.parametrize(
    ("document", "asset"), [(OPENAPI, "patients"), (WHOLE, "patient-database")]
)
def test_a_file_is_recognised_by_what_it_says(document: dict[str, Any], asset: str) -> None:
    """The name of the file decides nothing; routes are left to `watchword plan init`."""
    section = draft_of("upload.bin", json.dumps(document).encode())
    assert asset in section["assets"]
    assert all("routes" not in each and each["lives_in"] for each in section["assets"].values())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "this page takes OpenAPI"),
        (b"\xff\xfe", "UTF-8"),
        (b"{]", "JSON"),
        (b"{}", "this page takes OpenAPI"),
        (b"[" * 100_000, "nests too deep|invalid JSON|JSON"),
        (b"a: &a [*a]", "."),
        (b" " * (8 * 1024 * 1024 + 1), "more than 8388608 bytes"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(data: bytes, said: str) -> None:
    """Nothing that somebody uploads ends in anything but a sentence."""
    with pytest.raises(WorkshopError, match=said):
        draft_of("<b>name</b>\n.json", data)
