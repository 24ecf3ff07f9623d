"""Define what is kept of an engine's refusals."""

from dataclasses import dataclass
from datetime import datetime

from watchword.reasons import Reason


@dataclass(frozen=True, slots=True)
class EngineRefusal:
    """Hold one refusal as an engine's access log tells it; strangers chose some of the text.

    :param ref: the request's id, which the refused client was told; empty where the engine had none yet.
    :param route: name of the row that decided, or of the engine's own check; empty where none was found.
    :param reason: None where the engine's words fit none of ours.
    :param details: the engine's own words.
    :param instance: the instance's name at this API, empty where no token was read.
    :param client: the address that the connection came from.
    :param milliseconds: how long the request took, None where that isn't told.
    """

    at: datetime
    ref: str
    route: str
    status: int
    reason: Reason | None
    details: str = ""
    method: str = ""
    instance: str = ""
    client: str = ""
    milliseconds: int | None = None


@dataclass(frozen=True, slots=True)
class KeptRefusal:
    """Hold a refusal together with the engine that told it."""

    engine: str
    refusal: EngineRefusal


@dataclass(frozen=True, slots=True)
class Position:
    """Say how far a log was read.

    :param head: SHA-256 of its first line: a file that was rotated keeps it, and a new one has another.
    :param offset: bytes that were read, which end with a line.
    :param tail: SHA-256 of the last of these bytes, so that another file with the same first line shows.
    :param lines: how many lines these bytes are.
    """

    head: bytes
    offset: int = 0
    tail: bytes = b""
    lines: int = 0
