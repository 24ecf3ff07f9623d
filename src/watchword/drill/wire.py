"""Define requests and answers of a drill, raw as they are sent, and the port that carries them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from watchword.encoding import strict_json
from watchword.public_classes import PROBLEM_MEDIA_TYPE, PROBLEM_TYPE
from watchword.reasons import ExitCode, MalformedError, Reason, WatchwordError

MAX_ANSWER_BYTES: Final = 256 * 1024
"""Most bytes of an answer that are read; an attack needs no more to know that it was served."""

UNKNOWN_CLASS: Final = "unknown-class"
"""Stands for a public class that isn't Watchword's."""

_FIRST_ERROR: Final = 400
_CLASSES: Final = frozenset(reason.public.slug for reason in Reason)

Headers = tuple[tuple[str, str], ...]
"""Names and values as they are sent, in order."""


class Part(StrEnum):
    """Name a part of the deployment that requests go to.

    ``gate``: what stands in front of the API.  ``service``: what enrols and issues tokens.
    ``upstream``: the API itself, behind the gate's back.
    """

    GATE = "gate"
    SERVICE = "service"
    UPSTREAM = "upstream"


class TargetLostError(WatchwordError):
    """Report that a part of the deployment doesn't answer any more; the run ends there."""

    exit_code = ExitCode.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Call:
    """Hold one request as it is sent.

    :param target: raw path and query as they stand in the request line; nothing decodes or normalises them.
    :param headers: beside ``Host`` and ``Content-Length``, which the wire adds where they aren't given.
    """

    part: Part
    method: str
    target: str
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """Return the raw path."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """Return the raw query without its question mark."""
        return self.target.partition("?")[2]

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by its name in any case."""
        wanted = name.lower()
        return next((value for got, value in self.headers if got.lower() == wanted), None)

    def with_header(self, name: str, value: str | None) -> "Call":
        """Return the call with this header alone of its name; None takes it out."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        added = () if value is None else ((name, value),)
        return Call(self.part, self.method, self.target, kept + added, self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what came back.

    :param status: 0 where the connection was closed without an answer.
    :param pieces: how many bytes of the body came together: in each chunk (RFC 9112 section 7.1), or, where there are
        none, by each look at the connection, which depends on the way too.
    """

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    pieces: tuple[int, ...] = field(default=(), repr=False, compare=False)

    def header(self, name: str) -> str | None:
        """Return the first value of a header, by its name in any case."""
        wanted = name.lower()
        return next((value for got, value in self.headers if got.lower() == wanted), None)

    @property
    def problem(self) -> Mapping[str, Any] | None:
        """Return the problem document if it is one of Watchword's."""
        media_type = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if self.status < _FIRST_ERROR or media_type != PROBLEM_MEDIA_TYPE:
            return None
        try:
            document = strict_json.loads(self.body, MAX_ANSWER_BYTES)
        except MalformedError:
            return None
        kind = document.get("type")
        return document if isinstance(kind, str) and kind.startswith(PROBLEM_TYPE) else None

    @property
    def public_class(self) -> str | None:
        """Return what a stranger is told, such as ``token-refused``; None where nothing is refused by Watchword.

        It goes into reports, so that a class that there isn't is none of the answer's words: a target that repeats what it was
        sent would put tokens and keys there.
        """
        document = self.problem
        if document is None:
            return None
        told = str(document["type"]).removeprefix(PROBLEM_TYPE)
        return told if told in _CLASSES else UNKNOWN_CLASS

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Return the reasons, which only a lab tells; the first decided."""
        document = self.problem
        codes = [] if document is None else document.get("reasons")
        if not isinstance(codes, list):
            return ()
        found = []
        for code in codes:
            try:
                found.append(Reason.from_code(str(code)))
            except KeyError:
                return ()
        return tuple(found)


class Wire(Protocol):
    """Send requests to the deployment and to nothing else; bounds their rate."""

    def send(self, call: Call) -> Answer:
        """Send one request and return the answer.

        :raises MissingError: when the drill was given no such part.
        :raises TargetLostError: when nothing answers there.
        """

    def send_together(self, calls: Sequence[Call]) -> list[Answer]:
        """Send several at one moment, each over its own connection; raises as :meth:`send` does."""

    def authority(self, part: Part) -> str:
        """Return ``Host`` of a part; raises :class:`MissingError` as :meth:`send` does."""

    def scheme(self, part: Part) -> str:
        """Return ``http`` or ``https`` of a part."""


class Weakness(StrEnum):
    """Name one thing that is wrong with a connection; all else of it is as the app makes it.

    ``cleartext``: no TLS, at the port of TLS.  ``tls-1.0`` and ``tls-1.1``: versions that RFC 8996 forbids.  ``no-encryption``,
    ``no-authentication``, ``no-forward-secrecy`` and ``short-blocks``: nothing else is offered than suites that lack it.
    """

    CLEARTEXT = "cleartext"
    TLS_1_0 = "tls-1.0"
    TLS_1_1 = "tls-1.1"
    NO_ENCRYPTION = "no-encryption"
    NO_AUTHENTICATION = "no-authentication"
    NO_FORWARD_SECRECY = "no-forward-secrecy"
    SHORT_BLOCKS = "short-blocks"


class Channel(Protocol):
    """Send requests over weakened connections, to where the wire sends them and nowhere else."""

    def send_weakly(self, call: Call, weakness: Weakness) -> Answer:
        """Send one request over a new connection; status 0 where the other side made none, or closed it.

        :raises MissingError: when the part isn't reached over TLS, or this machine's TLS can't be made so weak.
        :raises TargetLostError: when nobody answers there at all.
        """
