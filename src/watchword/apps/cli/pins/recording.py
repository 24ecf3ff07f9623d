"""Record what a check proves: an observation for the plan, dated, signed, bound to the API's generation."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.apps.cli.paragraphs import printable

if TYPE_CHECKING:
    from watchword.apps.pins.checking import Check
    from watchword.apps.settings.plans import PlanSettings


class Recorder:
    """Hold an observer's key and the plan; both are read before anything is looked at."""

    def __init__(self, config: Path, key: Path, api: str) -> None:
        """Read them.

        :raises click.UsageError: for an API that the file doesn't name.
        """
        from watchword.adapters.observations import read_observer_key
        from watchword.apps.settings.plans import load_plan

        self._signer: Any = read_observer_key(key)
        self._plan: PlanSettings = load_plan(config)
        self._api = api
        if api not in self._plan.generations:
            known = ", ".join(self._plan.generations) or "none"
            raise click.UsageError(f"--api: got {api!r}, expected an API of {config}: {known}")

    def record(self, found: "Check", at: datetime, within: int | None) -> int:
        """Append the observation, and return how many there are: 1, or 0 where nothing could be told.

        :raises WatchwordError: when it can't be written.
        """
        from watchword.adapters.observations import ObservationsFile
        from watchword.apps.observations import Observers, sign, verify
        from watchword.apps.pins.proving import observation_of
        from watchword.observations import Vouched

        observation = observation_of(
            found,
            api=self._api,
            at=at,
            environment=self._plan.environment,
            generation=self._plan.generations[self._api],
            within=within,
        )
        if observation is None:
            click.echo("Nothing is recorded: a host couldn't be reached.", err=True)
            return 0
        line = sign(observation, self._signer)
        ObservationsFile(self._plan.observations).append(line)
        if not isinstance(verify(line, Observers.of(self._plan.observers)), Vouched):
            click.echo(
                "warning: no observer under plan.observers has this key; what is good counts as a claim",
                err=True,
            )
        told = f"Recorded {observation.protection} as {observation.state} at api:{self._api}: {observation.detail}"
        click.echo(printable(told), err=True)
        return 1
