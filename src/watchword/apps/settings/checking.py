"""Read a file for all that it's good for, and tell every fault in it at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchword.apps.settings.document import read_document
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.plans import FOR_THE_PLAN_ALONE, PlanSettings, load_plan
from watchword.apps.settings.reader import load_settings
from watchword.apps.settings.validated import Settings
from watchword.apps.settings.written import WrittenFile


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
    document = read_document(file)
    data: dict[str, Any] = document.data if isinstance(document.data, dict) else {}
    # A misspelt key among them is a fault of the plan's file, not a sign of a whole one.
    alone = "plan" in data and not data.keys() & (
        WrittenFile.model_fields.keys() - FOR_THE_PLAN_ALONE
    )
    settings: Settings | None = None
    plan: PlanSettings | None = None
    faults: dict[tuple[str, int | None], Fault] = {}
    elsewhere: ConfigurationError | None = None
    if not alone:
        try:
            settings = load_settings(file)
        except ConfigurationError as error:
            faults = {(fault.path, fault.line): fault for fault in error.faults}
    if alone or data.get("plan") is not None:
        try:
            plan = load_plan(file)
        except ConfigurationError as error:
            if error.file == file:
                # Both readers find what is wrong with the section's shape.
                faults = {(fault.path, fault.line): fault for fault in error.faults} | faults
            else:
                elsewhere = error
    if faults:
        raise ConfigurationError(file, list(faults.values()))
    if elsewhere is not None:
        raise elsewhere
    required = (name for name, field in WrittenFile.model_fields.items() if field.is_required())
    return Checked(settings, plan, tuple(name for name in required if name not in data))
