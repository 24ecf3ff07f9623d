"""Decide on the bytes of a request by the Python gate, to hold HAProxy to it."""

import asyncio
import hashlib
import http.client
import socket
from dataclasses import dataclass, field
from typing import Final

from tests.system.engines.haproxy.rig import Rig
from tests.unit.engines.envoy.rig import Seen, read_answer, route
from tests.unit.gate.simulators import PublishedState

from watchword.adapters.replay.memory import MemoryReplayStore
from watchword.adapters.system import SystemClock
from watchword.gate.bundle import GateBundle
from watchword.gate.hygiene import CLIENT_SIDE, FORWARDED_PREFIX, canonical_name
from watchword.gate.interface import RESULT_HEADERS, Decision, RawHeaders, RequestFacts
from watchword.gate.service import Gate
from watchword.reasons import Reason
from watchword.vocabulary import Level, Mode, Proof

ROWS: Final = (
    route("/open/**", mode=Mode.OFF),
    route("/v1/**"),
    route("/caf%C3%A9/*/x%20y", methods=frozenset({"GET"})),
    route("/pay/**", proof=Proof.SESSION),
    route("/watched/**", mode=Mode.MONITOR),
    route("/eyed/**", mode=Mode.MONITOR, proof=Proof.SESSION, level=Level.HARDWARE),
    route("/hard/**", level=Level.HARDWARE),
    route("/new/**", minimum_versions={"clinic-ios": "1.2.3"}),
    route("/deep/*/v1/**", proof=Proof.SESSION),
)
_UNSEEN: Final = ("got a point that isn't on P-256", "got a duplicate key", "got invalid JSON")
_PASSED: Final = "BUG:passed"
_ONCE: Final = frozenset({b"host", b"content-length"})
_CLIENT_SIDE: Final = frozenset(name.lower().encode() for name in CLIENT_SIDE)
_PREFIX: Final = FORWARDED_PREFIX.lower().encode()
_HOP: Final = frozenset(
    {
        b"connection",
        b"upgrade",
        b"keep-alive",
        b"expect",
        b"te",
        b"trailer",
        b"proxy-connection",
        b"http2-settings",
    }
)


@dataclass
class Verdict:
    """Hold what the gate says to a request, or that no server would have asked it."""

    decision: Decision | None
    reason: str

    @property
    def harmless(self) -> bool:
        """Tell whether the token is one that its signer alone could make, and HAProxy doesn't tell apart."""
        refusals = self.decision.refusals if self.decision is not None else ()
        return any(
            each.reason is Reason.TOKEN_MALFORMED and each.detail.endswith(_UNSEEN)
            for each in refusals
        )

    @property
    def allow(self) -> bool:
        """Tell whether it passes."""
        return self.decision is not None and self.decision.allow


@dataclass
class Got:
    """Hold what became of a request: the answer's status, and what reached the API."""

    status: int
    seen: list[Seen] = field(default_factory=list)


class Judge:
    """Be the gate with the same bundle."""

    def __init__(self, bundle: GateBundle) -> None:
        """Publish the bundle to a gate with a memory of its own."""
        state = PublishedState(
            keys={key.kid: key for key in bundle.keys},
            revoked=set(bundle.revoked),
            policy=bundle.policy,
            secrets={each.epoch: each for each in bundle.secrets},
        )
        self._gate = Gate(state, memory=MemoryReplayStore())

    def decide(self, raw: bytes, now: float) -> Verdict:
        """Return what the gate says to what it reads in the plainest way."""
        head, _, body = raw.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        # Its parser takes several blanks for one, and speaks its own version with the API.
        words = line.split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/"):
            return Verdict(None, "request line")
        fields = _fields(lines)
        if fields is None:
            return Verdict(None, "field line")
        path, _, query = words[1].partition(b"?")
        facts = RequestFacts(words[0].decode("latin-1"), path, fields, query)
        decision = self._gate.decide(facts, now)
        if decision.pending is not None:
            named = dict(fields)
            if b"transfer-encoding" in named:
                body = _joined(body)
            digest = hashlib.sha256(body).digest() if body else None
            decision = asyncio.run(self._gate.conclude(decision, digest, now))
        reason = decision.refusals[0].reason.code if decision.refusals else ""
        return Verdict(decision, reason)

    @staticmethod
    def compare(verdict: Verdict, got: Got) -> str:
        """Return ``same``, ``both-refuse``, ``stricter``, or what HAProxy gives away."""
        passed = bool(got.seen)
        if len(got.seen) > 1:
            return "BUG:two requests reached the API"
        if not passed:
            return "stricter" if verdict.allow else "both-refuse"
        if _whence(got.seen[0].fields) != [(b"x-forwarded-for", b"127.0.0.1")]:
            return "BUG:the client said where it comes from"
        if verdict.harmless:
            return "harmless"
        if not verdict.allow or verdict.decision is None:
            return _PASSED
        wanted, found = _comparable(verdict.decision.headers), _comparable(got.seen[0].fields)
        for name in RESULT_HEADERS:
            said = [value for field, value in found if field == name]
            if said and said != [value for field, value in wanted if field == name]:
                return f"BUG:result {name.decode()}"
        wanted = [each for each in wanted if each[0] not in RESULT_HEADERS]
        found = [each for each in found if each[0] not in RESULT_HEADERS]
        if wanted != found:
            return f"BUG:fields {set(wanted) ^ set(found)}"[:200]
        return "same"


class Sender:
    """Send requests on a kept connection, one after the other."""

    def __init__(self, rig: Rig) -> None:
        """Connect with the first request."""
        self._rig = rig
        self._connection: socket.socket | None = None

    def send(self, raw: bytes) -> Got:
        """Return what became of one request."""
        before = len(self._rig.api.seen)
        if self._connection is None:
            self._connection = self._rig.connect()
        status = self._exchange(self._connection, raw)
        if status != 200:
            # What its parser refused ends the connection, and a body that nobody read would be the next request.
            self.close()
        return Got(status, self._rig.api.seen[before:])

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _exchange(self, connection: socket.socket, raw: bytes) -> int:
        try:
            connection.sendall(raw)
            answer = read_answer(connection, head=raw.startswith(b"HEAD "))
        except (OSError, http.client.HTTPException):
            return 0
        if b"connection: close" in answer.head:
            self.close()
        return answer.status


def held(judge: Judge, sender: Sender, raw: bytes, now: int) -> tuple[str, Verdict]:
    """Return what comes of one request at both, and the gate's verdict.

    A proof that is early now counts a second later.  So the gate is asked for each second until HAProxy has answered,
    which takes some of them on a machine that is busy.

    :param now: seconds since 1970, read before the request was made.
    """
    verdict = judge.decide(raw, now)
    got = sender.send(raw)
    said = judge.compare(verdict, got)
    for second in range(now + 1, int(SystemClock().timestamp()) + 1):
        if said != _PASSED:
            break
        verdict = judge.decide(raw, second)
        said = judge.compare(verdict, got)
    return said, verdict


def _fields(lines: list[bytes]) -> RawHeaders | None:
    """Return the fields, None where a line isn't one (RFC 9112 section 5)."""
    found: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if not found:
                return None
            # A folded value is one with blanks (RFC 9112 section 5.2).
            found[-1] = (found[-1][0], found[-1][1] + b" " + line.strip(b" \t"))
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            return None
        each = (name, value.strip(b" \t"))
        if name.lower() == b"content-length":
            each = (name, _plain(b"content-length", each[1]))
        if name.lower() == b"connection":
            each = (name, _named(each[1]))
            if not each[1]:
                continue
        if each == (name, b"h2c") and name.lower() == b"upgrade":
            # Its parser drops that, before any rule counts fields.
            continue
        if not (name.lower() in _ONCE and _is_there(each, found)):
            found.append(each)
    return found


def _named(value: bytes) -> bytes:
    """Return what is left of Connection: its parser takes out what is for itself, before anything is counted."""
    options = value.split(b",")
    left = [each for each in options if each.strip(b" \t").lower() not in {b"close", b"keep-alive"}]
    return value if len(left) == len(options) else b",".join(left).strip(b" \t")


def _is_there(field: tuple[bytes, bytes], fields: RawHeaders) -> bool:
    """Tell whether HAProxy's parser takes a field for one that it has seen."""
    return any(
        n.lower() == field[0].lower() and _plain(n.lower(), v) == _plain(n.lower(), field[1])
        for n, v in fields
    )


def _plain(name: bytes, value: bytes) -> bytes:
    if name == b"content-length" and value.replace(b", ", b"").isdigit():
        numbers = {int(each) for each in value.split(b", ")}
        return b"%d" % numbers.pop() if len(numbers) == 1 else value
    return b" ".join(value.lower().split() if name == b"host" else value.split())


def _joined(body: bytes) -> bytes:
    joined = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        count = int(size, 16)
        if not count:
            break
        joined, body = joined + rest[:count], rest[count + 2 :]
    return joined


def _whence(fields: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return what tells an API where a client comes from, by any spelling."""
    return [(n.lower(), v) for n, v in fields if _says_whence(canonical_name(n.lower()))]


def _says_whence(name: bytes) -> bool:
    return name.startswith(_PREFIX) or name in _CLIENT_SIDE


def _comparable(fields: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return what both say alike: not what ends here, and not what a middleware leaves to whoever is in front."""
    return sorted(
        (n.lower(), _plain(n.lower(), v))
        for n, v in fields
        if n.lower() not in _HOP and not _says_whence(canonical_name(n.lower()))
    )
