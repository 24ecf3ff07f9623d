"""Write, sign and read observations: as JSON objects, strictly, and as a file of one a line."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar

from watchword.adapters.observations import ObservationsFile
from watchword.apps.settings.faults import shown
from watchword.encoding import strict_json
from watchword.encoding.phrases import moment
from watchword.observations import SEVERITIES, Claim, Observation, Review, SeenRoute, State, Vouched
from watchword.reasons import MalformedError, WatchwordError
from watchword.vocabulary import Environment, Proof

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from watchword.ports import Signer

MAX_SOURCE: Final = 200
"""Most characters of what saw it, and of a reviewer's or an author's name."""

MAX_DETAIL: Final = 1000
"""Most characters of the line for people."""

MAX_PATH: Final = 2000
"""Most characters of a route's path."""

MAX_MEASURED: Final = 100
"""Most techniques that one observation measures."""

MAX_FINDINGS: Final = 40
"""Most findings that one observation names."""

MAX_TITLE: Final = 120
"""Most characters of a finding's title."""

MAX_TRIED: Final = 10_000
"""Most ways to carry out a technique that one observation counts."""

TARGET: Final = re.compile(r"(?:api|app):[a-z0-9][a-z0-9-]{0,62}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_METHOD: Final = re.compile(r"[A-Z]{1,16}")
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._/-]{0,127}")
_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?Z"
)

_PAIR: Final = 2

_NEEDED: Final = {"protection", "key", "state", "at", "target", "source", "environment"}
_OF_A_ROUTE: Final = {"path", "method", "proof"}
_MEMBERS: Final = _NEEDED | {
    *("loopback", "build", "generation", "detail", "review", "measured", "findings", "route"),
}
_OF_A_REVIEW: Final = {"reviewer", "author", "artifact", "expires"}

_Word = TypeVar("_Word", bound=StrEnum)


class ObservationError(WatchwordError):
    """Report what isn't an observation: which member, what was got, and what was expected."""

    def __init__(self, where: str, got: str, expected: str) -> None:
        self.where = where
        self.got = got
        self.expected = expected
        super().__init__(f"{where}: got {got}, expected {expected}")


def to_json(observation: Observation) -> dict[str, Any]:
    """Return the object that :func:`from_json` reads; what is empty is left out."""
    members: dict[str, Any] = {
        "protection": observation.protection,
        "key": observation.key,
        "state": observation.state.value,
        "at": moment(observation.at),
        "target": observation.target,
        "source": observation.source,
        "environment": observation.environment.value,
    }
    if observation.loopback:
        members["loopback"] = True
    for name in ("build", "generation", "detail"):
        if value := getattr(observation, name):
            members[name] = value
    if observation.measured:
        members["measured"] = {name: list(pair) for name, pair in observation.measured.items()}
    if observation.findings:
        members["findings"] = {name: list(pair) for name, pair in observation.findings.items()}
    if observation.route is not None:
        members["route"] = {
            "path": observation.route.path,
            "method": observation.route.method,
            "proof": observation.route.proof.value,
        }
    if observation.review is not None:
        members["review"] = {
            "reviewer": observation.review.reviewer,
            "author": observation.review.author,
            "artifact": observation.review.artifact,
            "expires": moment(observation.review.expires),
        }
    return members


def from_json(members: Mapping[str, Any]) -> Observation:
    """Return the observation that a JSON object states.

    Every value is checked for kind and length.  Whether it is true, or of any use, is asked elsewhere.

    :raises ObservationError: at the first member that is wrong, missing or unknown.
    """
    _require_members(members, _NEEDED, _MEMBERS, "")
    state = _word(State, members["state"], "state")
    if state is State.STALE:
        raise ObservationError(
            "state", "'stale'", "what was seen; it is time that makes a statement stale"
        )
    review = members.get("review")
    if (review is not None) != (state is State.REVIEWED):
        got = "no review" if review is None else f"a review of what is {state}"
        raise ObservationError("review", got, "a review where the state is reviewed, else none")
    return Observation(
        protection=_matching(_ID, members["protection"], "protection", "an id such as PR-B01"),
        key=_matching(_KEY, members["key"], "key", "a key such as live:shield.enforced_ratio"),
        state=state,
        at=_time(members["at"], "at"),
        target=_matching(TARGET, members["target"], "target", "api:NAME or app:NAME"),
        source=line_of_text(members["source"], "source", MAX_SOURCE),
        environment=_word(Environment, members["environment"], "environment"),
        loopback=_flag(members.get("loopback", False)),
        build=_digest(members, "build"),
        generation=_digest(members, "generation"),
        detail=line_of_text(members.get("detail", ""), "detail", MAX_DETAIL, least=0),
        review=None if review is None else _review(review),
        measured=_measured(members.get("measured", {})),
        findings=_findings(members.get("findings", {})),
        route=_route(members["route"], members["target"]) if "route" in members else None,
    )


def line_of_text(value: Any, where: str, most: int, *, least: int = 1) -> str:
    """Return one line that a terminal can show as it is.

    :raises ObservationError: when it is anything else, or longer than ``most`` characters.
    """
    expected = f"a line of {least} to {most} printable characters"
    if not isinstance(value, str):
        raise ObservationError(where, shown(value), expected)
    if not least <= len(value) <= most or not value.isprintable() or len(value.strip()) < least:
        raise ObservationError(where, f"{len(value)} characters: {shown(value)}", expected)
    return value


def _route(value: Any, target: str) -> SeenRoute:
    """Return what of an API a statement is on; an app has no routes."""
    if not isinstance(value, dict):
        _refuse("route", value, "an object")
    if not target.startswith("api:"):
        raise ObservationError("route", f"one of {target}", "none: an app has no routes")
    _require_members(value, _OF_A_ROUTE, _OF_A_ROUTE, "route.")
    path = line_of_text(value["path"], "route.path", MAX_PATH)
    if not path.startswith("/"):
        _refuse("route.path", path, "a path such as /v1/records/**")
    return SeenRoute(
        path=path,
        method=_matching(_METHOD, value["method"], "route.method", "a method such as GET"),
        proof=_word(Proof, value["proof"], "route.proof"),
    )


def _measured(value: Any) -> dict[str, tuple[int, int]]:
    """Return what was measured by technique: at most :data:`MAX_MEASURED`, each stopped of tried."""
    expected = f"at most {MAX_MEASURED} techniques, each [stopped, tried]"
    if not isinstance(value, dict) or len(value) > MAX_MEASURED:
        _refuse("measured", value, expected)
    found = {}
    for name, pair in value.items():
        _matching(_ID, name, "measured", "ids such as MT-B03")
        numbers = pair if isinstance(pair, list) else []
        if len(numbers) != _PAIR or any(type(each) is not int for each in numbers):
            _refuse(f"measured.{name}", pair, expected)
        stopped, tried = numbers
        if not 0 <= stopped <= tried <= MAX_TRIED or not tried:
            _refuse(f"measured.{name}", pair, "at least one tried, and no more stopped than tried")
        found[name] = (stopped, tried)
    return found


def _findings(value: Any) -> dict[str, tuple[str, str]]:
    """Return findings by id: at most :data:`MAX_FINDINGS`, each a severity and a title."""
    expected = f"at most {MAX_FINDINGS} findings, each [severity, title]"
    if not isinstance(value, dict) or len(value) > MAX_FINDINGS:
        _refuse("findings", value, expected)
    found = {}
    for name, pair in value.items():
        _matching(_ID, name, "findings", "ids of findings")
        if not isinstance(pair, list) or len(pair) != _PAIR or pair[0] not in SEVERITIES:
            _refuse(f"findings.{name}", pair, expected)
        found[name] = (pair[0], line_of_text(pair[1], f"findings.{name}", MAX_TITLE))
    return found


def _review(value: Any) -> Review:
    if not isinstance(value, dict):
        _refuse("review", value, "an object")
    _require_members(value, _OF_A_REVIEW, _OF_A_REVIEW, "review.")
    artifact = value["artifact"]
    return Review(
        reviewer=line_of_text(value["reviewer"], "review.reviewer", MAX_SOURCE),
        author=line_of_text(value["author"], "review.author", MAX_SOURCE),
        artifact=_matching(DIGEST, artifact, "review.artifact", _EXPECTED_DIGEST),
        expires=_time(value["expires"], "review.expires"),
    )


_EXPECTED_DIGEST: Final = "SHA-256 as 64 lower-case hex digits"


def _require_members(
    members: Mapping[str, Any], needed: set[str], known: set[str], at: str
) -> None:
    for name in sorted(needed - members.keys()):
        raise ObservationError(f"{at}{name}", "nothing", "it to be there")
    for name in sorted(members.keys() - known):
        raise ObservationError(f"{at}{shown(name)}", "an unknown member", ", ".join(sorted(known)))


def _matching(pattern: re.Pattern[str], value: Any, where: str, expected: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        _refuse(where, value, expected)
    return value


def _word(words: type[_Word], value: Any, where: str) -> _Word:
    found = {word.value: word for word in words}
    if not isinstance(value, str) or value not in found:
        _refuse(where, value, "one of " + ", ".join(found))
    return found[value]


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        _refuse("loopback", value, "true or false")
    return value


def _digest(members: Mapping[str, Any], name: str) -> str | None:
    return None if name not in members else _matching(DIGEST, members[name], name, _EXPECTED_DIGEST)


def _time(value: Any, where: str) -> datetime:
    expected = "a time in UTC such as 2026-11-25T12:00:00Z"
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        _refuse(where, value, expected)
    try:
        whole = datetime.fromisoformat(found[1])
    except ValueError:
        _refuse(where, value, expected)
    return whole.replace(microsecond=int((found[2] or "0").ljust(6, "0")), tzinfo=UTC)


def _refuse(where: str, got: Any, expected: str) -> NoReturn:
    raise ObservationError(where, shown(got), expected)


OBSERVATION_TYPE: Final = "watchword-observation+jwt"
"""The ``typ`` of a signed observation: nothing else that a key signs passes for one, nor the other way."""

MAX_LINE_BYTES: Final = 16 * 1024
"""Most bytes of one observation, signed or not."""


@dataclass(frozen=True, slots=True)
class Observers:
    """Hold whose word counts, by the key ids that signatures name.

    :param by_kid: name and public key, by the key's RFC 7638 thumbprint.
    """

    by_kid: Mapping[str, "tuple[str, EllipticCurvePublicKey]"]

    @classmethod
    def of(cls, keys: Mapping[str, "EllipticCurvePublicKey"]) -> Self:
        """Return the observers of the names and P-256 keys given."""
        # A plan that nobody has proven anything for loads nothing of keys.
        from watchword.tokens.jose import jwk_from_public_key, thumbprint  # noqa: PLC0415

        return cls(
            {thumbprint(jwk_from_public_key(key)): (name, key) for name, key in keys.items()}
        )


def sign(observation: Observation, signer: "Signer") -> str:
    """Return the observation as a compact JWS, signed: one line of the file."""
    # As where keys are read.
    from watchword.tokens import jose  # noqa: PLC0415

    return jose.assemble(strict_json.dumps(to_json(observation)), OBSERVATION_TYPE, signer)


def unsigned(observation: Observation) -> str:
    """Return the observation as a JSON object on one line: a claim."""
    return strict_json.dumps(to_json(observation)).decode()


def verify(line: str, observers: Observers) -> Vouched | Claim:
    """Return what a line says, vouched for where a configured observer signed it.

    What an unknown key signed is read, as a claim: the key may be configured later.  A signature
    of a known key that doesn't hold leaves nothing: nobody says what stands there.

    :raises ObservationError: when it isn't an observation, or its signature doesn't hold.
    """
    if line.lstrip().startswith("{"):
        return Claim(_read(line.encode()), "it is unsigned")
    # What is unsigned needs no cryptography.
    from watchword.tokens import jose  # noqa: PLC0415

    try:
        jws = jose.parse(line.strip(), OBSERVATION_TYPE, MAX_LINE_BYTES)
    except MalformedError as error:
        raise ObservationError(
            "line", f"what is no signed observation ({error.detail})", "a JSON object or a JWS"
        ) from None
    name, key = observers.by_kid.get(jws.kid, (None, None))
    if key is None or name is None:
        return Claim(_read(jws.payload), "no configured observer has the key that signed it")
    if not jose.is_signed_by(key, jws.signature, jws.signing_input):
        raise ObservationError(
            "line", f"a signature that doesn't hold under the key of {name}", f"one by {name}"
        )
    return Vouched(_read(jws.payload), name)


def _read(data: bytes) -> Observation:
    try:
        members = strict_json.loads(data, MAX_LINE_BYTES)
    except MalformedError as error:
        raise ObservationError(
            "line", f"what is no JSON object ({error.detail})", "an observation"
        ) from None
    return from_json(members)


@dataclass(frozen=True, slots=True)
class LineFault:
    """Hold what is wrong with a line of the file.

    :param line: counted from 1.
    :param text: what was got and what was expected.
    """

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Hold what a file of observations says, in the order of its lines.

    :param faults: lines that can't be read, so that what they said is missing.
    :param notes: what is no fault but worth a line: a last line without an end.
    """

    vouched: tuple[Vouched, ...] = ()
    claims: tuple[Claim, ...] = ()
    faults: tuple[LineFault, ...] = ()
    notes: tuple[LineFault, ...] = ()


def read_observations(file: Path, observers: Mapping[str, "EllipticCurvePublicKey"]) -> Reading:
    """Read the file; one that isn't there holds nothing.

    :param observers: public keys on P-256 of those whose word counts, by name.

    :raises ObservationsFileError: when it can't be read, or is larger than we read.
    """
    return read_lines(ObservationsFile(file).read(), observers)


def read_lines(data: bytes, observers: Mapping[str, "EllipticCurvePublicKey"]) -> Reading:
    """Read lines, each a JSON object or a compact JWS; empty ones are skipped over."""
    if not data:
        return Reading()
    known = Observers.of(observers)
    vouched: list[Vouched] = []
    claims: list[Claim] = []
    faults: list[LineFault] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = _read_line(line, known)
        except ObservationError as error:
            faults.append(LineFault(number, str(error)))
            continue
        if isinstance(found, Vouched):
            vouched.append(found)
        else:
            claims.append(found)
    notes: list[LineFault] = []
    # The newline is written last: what has none and can't be read was cut off.
    if faults and faults[-1].line == len(lines):
        cut = faults.pop()
        text = f"has no end, so that it is being written or its writer was killed ({cut.text})"
        notes.append(LineFault(cut.line, text))
    return Reading(tuple(vouched), tuple(claims), tuple(faults), tuple(notes))


def troubles(reading: Reading, file: str) -> Iterator[str]:
    """Yield a line for each line of the file that can't be read."""
    for fault in (*reading.faults, *reading.notes):
        yield f"{file}:{fault.line}: {fault.text}"


def _read_line(line: bytes, observers: Observers) -> Vouched | Claim:
    """Return what one line says.

    :raises ObservationError: when it can't be read.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise ObservationError("line", "bytes that aren't UTF-8", "an observation") from None
    return verify(text, observers)
