"""Read the whole of ``watchword.yaml``: its settings, its plan, or all of their faults at once."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchword.extras import needs

with needs("config"):
    from pydantic_core import ErrorDetails

from watchword.apps.settings.checks import Fields, Readable, between_sections, inconsistencies
from watchword.apps.settings.configuration import Configuration
from watchword.apps.settings.document import mapping_at
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.plan import FOR_THE_PLAN_ALONE, PlanSettings, plan_of
from watchword.apps.settings.plan_section import likelihoods
from watchword.apps.settings.schema import (
    ApiConfig,
    FileConfig,
    GatesConfig,
    ServiceConfig,
    Settings,
    TrustConfig,
)
from watchword.apps.settings.values import Config


def load_settings(file: Path) -> Settings:
    """Read and validate a configuration file.

    :raises ConfigurationError: with every fault at once; nothing was started.
    """
    return settings_of(Configuration.read(file))


@dataclass(frozen=True, slots=True)
class Checked:
    """Hold what a file without faults comes to; at least one of both is there.

    :param settings: None for a file that is written for the plan alone.
    :param plan: None where there is no plan section.
    :param missing: the keys that `watchword up` would need beside it.
    """

    settings: Settings | None
    plan: PlanSettings | None
    missing: tuple[str, ...] = ()


def check_file(file: Path) -> Checked:
    """Read the whole file: settings, plan, or both.

    :raises ConfigurationError: with every fault of the file; where it has none and a catalogue of
        the user's own has some, with those.
    """
    read = Configuration.read(file)
    data = read.data
    # A misspelt key among them is a fault of the plan's file, not a sign of a whole one.
    alone = "plan" in data and not data.keys() & (
        FileConfig.model_fields.keys() - FOR_THE_PLAN_ALONE
    )
    settings: Settings | None = None
    plan: PlanSettings | None = None
    faults: dict[tuple[str, int | None], Fault] = {}
    elsewhere: ConfigurationError | None = None
    if not alone:
        try:
            settings = settings_of(read)
        except ConfigurationError as error:
            faults = {(fault.path, fault.line): fault for fault in error.faults}
    if alone or data.get("plan") is not None:
        try:
            plan = plan_of(read)
        except ConfigurationError as error:
            if error.file == file:
                # Both views find what is wrong with the section's shape.
                faults = {(fault.path, fault.line): fault for fault in error.faults} | faults
            else:
                elsewhere = error
    if faults:
        raise ConfigurationError(file, list(faults.values()))
    if elsewhere is not None:
        raise elsewhere
    required = (name for name, field in FileConfig.model_fields.items() if field.is_required())
    return Checked(settings, plan, tuple(name for name in required if name not in data))


def settings_of(file: Configuration) -> Settings:
    """Return the settings of a file that was read.

    :raises ConfigurationError: with every fault at once.
    """
    document = file.document
    faults = [*document.faults]
    faults += document.located(likelihoods(file.data.get("plan"), ("plan",)))
    written, errors = file.validated(FileConfig, document.data)
    faults += file.untold(errors, {fault.path for fault in faults})
    # A plan and pins are read without a policy, whose rules are thirty modules.
    from watchword.apps.settings.policy import read_policy  # noqa: PLC0415

    policy, in_policy = read_policy(file.data.get("policy"))
    faults += document.located(inconsistencies(_readable(file.data, errors)))
    faults += document.located(in_policy)
    if written is not None:
        faults += document.located(between_sections(written, file.data, policy))
    if written is None or policy is None or faults:
        raise ConfigurationError(file.file, faults)
    return written.build(file.file.resolve(), policy)


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file."""
    from watchword.apps.settings.policy import add_policy_schema  # noqa: PLC0415

    schema = FileConfig.model_json_schema()
    add_policy_schema(schema)
    # What was written against the schema may refer to its parts, which have had these names from the start.
    named: dict[str, Any] = json.loads(
        re.sub(r"\b([A-Z]\w+)Config\b", r"Written\1", json.dumps(schema))
    )
    return named


def _readable(data: Mapping[str, Any], errors: Sequence[ErrorDetails]) -> Readable:
    """Return the parts that are well formed, so that faults between them show at once too."""
    environment = data.get("environment")
    bad = [each["loc"] for each in errors]

    def fields(model: type[Config], *where: str) -> Fields:
        """Return each field of a section that is well formed, or its default; the rest are left out."""
        section, depth = mapping_at(data, *where), len(where)
        wrong: set[Any] = {at[depth] for at in bad if at[:depth] == where and len(at) > depth}
        for name, each in model.model_fields.items():
            if each.is_required() and name not in section:
                wrong.add(name)
        return {
            name: section.get(name, each.default)
            for name, each in model.model_fields.items()
            if name not in wrong
        }

    return Readable(
        environment=environment if environment in ("prod", "lab") else None,
        service=fields(ServiceConfig, "service"),
        trust=fields(TrustConfig, "trust"),
        apps=mapping_at(data, "apps"),
        apis={name: fields(ApiConfig, "apis", name) for name in mapping_at(data, "apis")},
        gates=fields(GatesConfig, "gates"),
    )
