"""The CycloneDX document: held to the form of the 2.0 development schema, as far as it is used."""

import json
import re
from typing import Any

import pytest
from tests.unit.apps.plan_views.form import faults
from tests.unit.apps.plan_views.seed import NOW, crowded_plan, seed_plan, troubled_plan

from watchword.apps.plan.cyclonedx import cyclonedx
from watchword.plan.outcome import Plan

SERIAL = "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79"

NAME = {"type": "string", "minLength": 1}
TEXT = {"type": "string"}


def listed(form: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the form of a list without anything twice."""
    return {"type": "array", "uniqueItems": True, "items": form, **more}


def closed(required: str, **members: Any) -> dict[str, Any]:
    """Return the form of an object that has no other members."""
    return {
        "type": "object",
        "required": required.split(),
        "additionalProperties": False,
        "properties": members,
    }


# Written from the schema files of CycloneDX/specification, branch of 2.0: cyclonedx-2.0,
# threat, control and blueprint; of each object the members that we write, with what they demand.
PROPERTIES = {"type": "array", "items": closed("name", name=NAME, value=TEXT)}
CUSTOM = closed("name", name=NAME, description=TEXT)
REFERENCES = listed(NAME)
STEP = closed(
    "description",
    name=TEXT,
    description=NAME,
    technique=closed("", id=TEXT, name=TEXT, tactic=TEXT, procedure=TEXT),
    killChainPhase={
        "enum": [
            "reconnaissance",
            "weaponization",
            "delivery",
            "exploitation",
            "installation",
            "command-and-control",
            "actions-on-objectives",
        ]
    },
    destination=NAME,
    mitigations=REFERENCES,
    properties=PROPERTIES,
)
PATH = {
    **closed(
        "bom-ref name steps",
        name=NAME,
        description=TEXT,
        objective=TEXT,
        steps={"type": "array", "minItems": 1, "items": STEP},
        realizes=REFERENCES,
        properties=PROPERTIES,
    )
}
PATH["properties"]["bom-ref"] = NAME
THREAT = closed(
    "bom-ref name",
    name=NAME,
    origin={"enum": ["adversarial", "accidental", "structural", "environmental"]},
    affectedAssets=REFERENCES,
    mitigations=REFERENCES,
    properties=PROPERTIES,
)
THREAT["properties"]["bom-ref"] = NAME
CONTROL = closed(
    "bom-ref name",
    name=NAME,
    description=TEXT,
    category={
        "enum": ["preventive", "detective", "corrective", "compensating", "deterrent", "recovery"]
    },
    status={
        "anyOf": [
            {
                "enum": [
                    "recommended",
                    "proposed",
                    "approved",
                    "rejected",
                    "planned",
                    "in-progress",
                    "implemented",
                    "verified",
                    "decommissioned",
                ]
            },
            CUSTOM,
        ]
    },
    properties=PROPERTIES,
)
CONTROL["properties"]["bom-ref"] = NAME
ASSET = closed(
    "bom-ref type name",
    type={"enum": ["data", "service", "process"]},
    name=NAME,
    description=TEXT,
    zone=NAME,
    properties=PROPERTIES,
)
ASSET["properties"]["bom-ref"] = NAME
ZONE = closed("bom-ref name type", name=NAME, type={"enum": ["trust"]}, description=TEXT)
ZONE["properties"]["bom-ref"] = NAME
BLUEPRINT = closed(
    "name modelTypes",
    name=NAME,
    description=TEXT,
    modelTypes=listed({"enum": ["architecture", "conceptual", "data-flow"]}, minItems=1),
    zones=listed(ZONE),
    assets=listed(ASSET),
)
BLUEPRINT["properties"]["bom-ref"] = NAME
TOOL = closed("type name", type={"enum": ["application"]}, name=NAME, version=TEXT)
FORM = closed(
    "specFormat specVersion",
    specFormat={"const": "CycloneDX"},
    specVersion=TEXT,
    serialNumber={
        "type": "string",
        "pattern": r"^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    },
    version={"type": "integer", "minimum": 1},
    metadata=closed(
        "", timestamp=TEXT, tools=closed("", components=listed(TOOL)), properties=PROPERTIES
    ),
    blueprints=listed(BLUEPRINT),
    threats=closed(
        "", threats=listed(THREAT), attackPaths=listed(PATH), methodologies=listed(CUSTOM)
    ),
    controls=listed(CONTROL),
)


def references(value: Any, key: str = "") -> tuple[list[str], list[str]]:
    """Return what a document calls its parts, and what it refers to."""
    names: list[str] = []
    used: list[str] = []
    if isinstance(value, dict):
        for name, each in value.items():
            found = references(each, name)
            names += found[0]
            used += found[1]
    elif isinstance(value, list):
        for each in value:
            found = references(each, key)
            names += found[0]
            used += found[1]
    elif key == "bom-ref":
        names.append(value)
    elif key in {"zone", "destination", "mitigations", "realizes", "affectedAssets"}:
        used.append(value)
    return names, used


@pytest.mark.parametrize("plan", [seed_plan(), troubled_plan(), crowded_plan(60)])
def test_it_has_the_form_of_the_schema(plan: Plan) -> None:
    """Nothing is missing, nothing foreign, no list holds anything twice."""
    found = json.loads(json.dumps(cyclonedx(plan, SERIAL, NOW)))
    assert list(faults(found, FORM, FORM)) == []


@pytest.mark.parametrize("plan", [seed_plan(), troubled_plan(), crowded_plan(60)])
def test_every_reference_leads_somewhere(plan: Plan) -> None:
    """Each name is there once, and whatever is referred to has one."""
    names, used = references(cyclonedx(plan, SERIAL, NOW))
    assert len(names) == len(set(names))
    assert set(used) <= set(names)
    assert used


def test_paths_carry_their_steps_in_order_and_what_cuts_them() -> None:
    """The seed's central path ends in the script at the API, which attestation mitigates."""
    found = cyclonedx(seed_plan(), SERIAL, NOW)
    path = found["threats"]["attackPaths"][0]
    assert [step["technique"]["id"] for step in path["steps"]] == ["MT-A02", "MT-C06", "MT-B03"]
    assert path["steps"][-1]["mitigations"] == ["control:PR-B01"]
    assert path["steps"][-1]["killChainPhase"] == "actions-on-objectives"


def test_only_what_is_proven_is_verified() -> None:
    """A claim is said to be one, a proven control verified, a new one recommended."""
    found = {
        each["bom-ref"]: each["status"] for each in cyclonedx(seed_plan(), SERIAL, NOW)["controls"]
    }
    assert found["control:PR-C01"] == "verified"
    assert found["control:PR-B01"] == "recommended"
    assert found["control:PR-C03"]["name"] == "claimed"


def test_no_likelihood_stands_in_it() -> None:
    """The format has a place for it; the method has none."""
    found = cyclonedx(seed_plan(), SERIAL, NOW)
    assert not re.search(r'"(likelihood|probability|riskScore)"', json.dumps(found))
