"""Find the policy that a person names, or that of ``watchword.yaml``."""

from pathlib import Path

from watchword.apps.evidence.policy_choice import load_policy
from watchword.policy.interface import Policy
from watchword.policy.registry import RECORDED


def find_policy(named: str | None, config: Path) -> Policy:
    """Return the policy of a name, or of a file; without either that of ``watchword.yaml``.

    Nothing but the policy is looked at, so that a copy of a file can be tried out anywhere.

    :raises ConfigurationError: when there is no such file, or its policy has faults.
    """
    if named == RECORDED.name:
        return RECORDED
    return load_policy(str(config) if named is None else named)
