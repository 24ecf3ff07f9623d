"""Write the policy that judged into a record, and make it again from there."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from watchword.apps.evidence.claims_document import plain
from watchword.apps.evidence.records import RecordedPolicy
from watchword.apps.settings.policy import EXPRESSIONS, read_policy, write_policy
from watchword.policy.interface import AllOf, AnyOf, Policy, Rule
from watchword.policy.registry import name_of

_REMEMBERED: Final = 64
"""How many policies are kept as they were read; the records of a deployment name one or two."""


def recorded_policy(policy: Policy) -> RecordedPolicy:
    """Return a policy's name, document and digest.

    A policy with a rule of somebody's own can't be written down; only its name is kept then.
    """
    try:
        levels = {
            level.value: _in_full(rule if isinstance(rule, AllOf | AnyOf) else AllOf((rule,)))
            for level, rule in policy.levels.items()
        }
        document = {**write_policy(policy), "levels": levels}
    except KeyError:
        return RecordedPolicy(policy.name, "")
    return RecordedPolicy(policy.name, digest_of(document), document)


def policy_of(recorded: RecordedPolicy) -> Policy | None:
    """Return the policy that judged, None where it can't be made again."""
    if recorded.document is None:
        return None
    return _read(json.dumps(recorded.document))


def is_whole(recorded: RecordedPolicy) -> bool:
    """Tell whether the document is still the one that the digest names."""
    return recorded.document is None or digest_of(recorded.document) == recorded.digest


def digest_of(document: Mapping[str, Any]) -> str:
    """Return SHA-256 in hex over a policy's document, whatever the order of its members."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _in_full(rule: Rule) -> dict[str, Any]:
    """Return a rule with every parameter: a later version may have other defaults.

    :raises KeyError: for a rule that isn't one of Watchword's.
    """
    for name, kind in EXPRESSIONS.items():
        if isinstance(rule, kind):
            return {name: [_in_full(inner) for inner in rule.rules]}
    return {name_of(rule): plain(rule)}


@lru_cache(_REMEMBERED)
def _read(text: str) -> Policy | None:
    policy, _ = read_policy(json.loads(text))
    return policy
