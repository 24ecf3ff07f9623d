"""Read the API's description for a scan, and check it beside the app."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from watchword.scan.app import App
    from watchword.scan.interface import Finding
    from watchword.scan.outcome import RuleFacts


@dataclass(frozen=True, slots=True)
class Described:
    """Hold a description as it was read from its file, plain values and nothing else."""

    path: Path
    document: dict[str, Any]

    @property
    def rule_ids(self) -> list[str]:
        """Return the ids of the rules over descriptions."""
        from watchword.scan.api.registry import RULES

        return [each.id for each in RULES]

    def findings(self, app: "App") -> "tuple[Iterable[Finding], Sequence[RuleFacts]]":
        """Return what the rules see in the description, hosts and paths of the app beside it."""
        from watchword.scan.addresses import hosts_of, paths_of
        from watchword.scan.api.look import look_at
        from watchword.scan.api.registry import RULES
        from watchword.scan.outcome import facts_of

        hosts, paths = frozenset(hosts_of(app)), frozenset(paths_of(app))
        found = look_at(self.document, self.path.name, hosts, paths)
        return found, [facts_of(each) for each in RULES]


def described_by(path: Path) -> Described:
    """Read a description.

    :raises click.UsageError: when it is neither JSON nor YAML, or too large.
    """
    from watchword.apps.plan.drafts import read_description
    from watchword.apps.settings.faults import ConfigurationError

    try:
        document = read_description(path)
    except ConfigurationError as error:
        raise click.UsageError(error.render()) from None
    if not isinstance(document, dict):
        raise click.UsageError(f"{path}: got no mapping, expected an OpenAPI or Swagger document")
    return Described(path, document)
