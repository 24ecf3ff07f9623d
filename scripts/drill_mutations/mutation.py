"""Define a mutation: one check that is taken out of a copy of the source."""

import json
import sys
from dataclasses import dataclass
from enum import StrEnum

from watchword.drill.judgements import Report


class Place(StrEnum):
    """Say what is drilled.

    The demo's deployment, one of the tests that publishes pins, without a socket, one that keeps keys, or the demo's behind
    HAProxy before an API that takes trailers for fields.
    """

    DEMO = "demo"
    CHANNEL = "channel"
    KEYS = "keys"
    MERGING = "merging"


@dataclass(frozen=True, slots=True)
class Mutation:
    """Hold one check, and the edit that removes it.

    :param check: what is removed, in a few words.
    :param file: path below ``src/watchword``.
    :param before: text that stands there exactly once.
    :param after: what takes its place.
    :param red: ids of attacks that must then be served, at least one of them.
    """

    check: str
    file: str
    before: str
    after: str
    red: tuple[str, ...]
    place: Place = Place.DEMO


def notify(report: Report) -> None:
    """Write to stdout how each attack ended and how the genuine app fared, for whoever started this process."""
    verdicts = {each.attack.id: each.verdict.value for each in report.results}
    served = [report.genuine.served, report.genuine.sent]
    json.dump({"verdicts": verdicts, "genuine": served}, sys.stdout)
    sys.stdout.flush()
