"""Say what changed since an earlier plan, beside what is first now."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.apps.terminal.console import print_json
from watchword.apps.terminal.paragraphs import hanging, printable, show

if TYPE_CHECKING:
    from watchword.apps.plan.stored import StoredPlan
    from watchword.plan.outcome import Plan


@dataclass(frozen=True, slots=True)
class Since:
    """Compare plans with an earlier one."""

    earlier: "StoredPlan"

    def show(self, plan: "Plan", *, as_json: bool, everything: bool) -> None:
        """Print what changed."""
        from watchword.apps.plan import since
        from watchword.apps.plan.differences import compare_stored

        now = _stored(plan)
        found = compare_stored(self.earlier, now)
        if as_json:
            print_json(since.as_dict(self.earlier, now, found))
            return
        for line in since.lines(plan, self.earlier, now, found, everything=everything):
            show(hanging(line))

    def is_worse(self, plan: "Plan") -> bool:
        """Tell whether anything stands worse than it did, or can't be told to stand no worse."""
        from watchword.apps.plan.setbacks import is_worse

        return is_worse(self.earlier, _stored(plan))


def since(_ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> Since | None:
    """Accept the JSON of an earlier plan.

    :raises click.BadParameter: naming the file, where it can't be read or is none.
    """
    if value is None:
        return None
    from watchword.apps.plan.diff import read_file
    from watchword.apps.plan.stored import PlanDocumentError

    try:
        return Since(read_file(value))
    except PlanDocumentError as error:
        raise click.BadParameter(printable(str(error))) from None


def _stored(plan: "Plan") -> "StoredPlan":
    """Return a plan as it would be read back, so that like is compared with like."""
    from watchword.apps.plan.document import document
    from watchword.apps.plan.stored import read

    return read(document(plan))
