"""Compare two plans by their documents."""

from collections.abc import Mapping
from typing import Any

from watchword.apps.plan.differences import Differences
from watchword.apps.plan.differences import compare as compare_documents
from watchword.apps.plan.document import read


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Differences:
    """Return how two documents differ."""
    return compare_documents(read(before), read(after))
