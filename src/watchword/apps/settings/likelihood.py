"""Refuse likelihood in a plan: it ranks by impact alone, and says so where somebody looks for the field."""

from collections.abc import Iterator
from typing import Any, Final

from watchword.apps.settings.document import Document, Path_
from watchword.apps.settings.faults import Fault, join
from watchword.plan.catalogue import LIKELIHOOD_WORDS

EXPECTED: Final = (
    "no such field: the plan ranks by impact alone (a coat is stolen more often than a car, and "
    "the car is protected first); say under impact what a loss would do"
)


def likelihoods(document: Document, data: Any, path: Path_) -> Iterator[Fault]:
    """Yield a fault for each key that would state a likelihood, at any depth.

    :param data: plain values of the document, no deeper than it allows.
    :param path: where they stand in it.
    """
    if isinstance(data, dict):
        for key, value in data.items():
            here = (*path, key)
            if key.lower() in LIKELIHOOD_WORDS:
                yield Fault(join(here), document.line(here), f"the key {key}", EXPECTED)
            yield from likelihoods(document, value, here)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from likelihoods(document, value, (*path, index))
