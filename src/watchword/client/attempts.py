"""Carry one request through its attempts: a proof for each, and what to do about a refusal.

=======================================  ==============================================================
the gate answers                         what is done before the request is sent again
=======================================  ==============================================================
``token-refused``                        another token
``proof-nonce``                          the gate's nonce is taken from the answer
``proof-refused``, the clocks differ     the client reckons with the gate's time from then on
``proof-required``, ``proof-refused``    another token if there is one by now; else another proof
``proof-used``, or no answer at all      nothing: a proof of the same kind with a fresh nonce, see below
411 to a body without a length           the body is kept until its length is known
=======================================  ==============================================================

Each at most once, and the first four twice in all.  Never for a body that is a stream, which only a
411 makes one with a length.

A used proof and a lost answer mean that the outcome is unknown: the API may have carried the request out.
Only what is idempotent by its method (RFC 9110 section 9.2.2), or by an ``Idempotency-Key``, is sent
again; for anything else :class:`watchword.client.errors.OutcomeUnknownError` is raised.
"""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from re import compile as compile_pattern
from typing import Any, Final

import httpx

from watchword.client.bodies import MAX_KEPT_BYTES, KeptStream
from watchword.client.channel_refusals import ChannelRefusedError
from watchword.client.choice import ProofChoice, chosen
from watchword.client.client import WatchwordClient
from watchword.client.errors import (
    ClientError,
    DeviceError,
    DeviceErrorKind,
    LengthRequiredError,
    OutcomeUnknownError,
    Problem,
    ServiceRefusedError,
    ServiceUnavailableError,
    UnreadableAnswerError,
)
from watchword.client.exchange import MAX_ANSWER_BYTES, read_problem
from watchword.client.proofs import (
    Covered,
    Freshness,
    content_digest,
    device_proof,
    dpop_proof,
    session_proof,
)
from watchword.client.session import HeldToken
from watchword.public_classes import PublicClass
from watchword.vocabulary import Proof

TOKEN_HEADER: Final = "Watchword-Token"  # noqa: S105 - the header's name.

STATUS_HEADER: Final = "Watchword-Status"
"""Why a request comes without a token; counted by the gate as what the app claims, never judged by."""

MAX_REPETITIONS: Final = 2
"""How often a refused request is sent again."""

MAX_UNKNOWN: Final = 2
"""How often a request whose outcome is unknown is sent again, where it may be."""

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
"""The header by which an API knows a request again (draft-ietf-httpapi-idempotency-key-header)."""

CLOCK_TOLERANCE: Final = 2.0
"""Seconds by which the clocks may seem to differ and be right: ``Date`` has whole seconds, and is
made once a second by some servers."""

_PROOF_HEADERS: Final = ("Signature-Input", "Signature", "DPoP")
_NONCE_HEADER: Final = "Watchword-Nonce"
_GATE_NONCE: Final = compile_pattern(r"[A-Za-z0-9_-]{30}")
_MAX_DATE_CHARACTERS: Final = 64
_LADDER: Final = (Proof.SESSION, Proof.DEVICE)
_MENDABLE: Final = frozenset({PublicClass.TOKEN_REFUSED.status, PublicClass.PROOF_REFUSED.status})
_LENGTH_REQUIRED: Final = 411
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_IDEMPOTENT: Final = _SAFE | {"PUT", "DELETE"}
UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
"""Errors of httpx after which the server has seen nothing of the request."""

_BEGUN: Final = ("http11.send_request_headers.started", "http2.send_request_headers.started")
"""What httpcore tells when a request begins to go out, also one that a library below sends again."""

_ANSWERED: Final = (
    "http11.receive_response_headers.complete",
    "http2.receive_response_headers.complete",
)


@dataclass(slots=True)
class GateMemory:
    """Remember what the gates of one API said; shared by all requests, each field set in one step.

    :ivar nonce: the newest nonce of a gate, None while none gave one.
    :ivar ahead: the gates' time less the boot clock, in seconds; None while they said nothing that counts.
    :ivar lengths: whether a body without a length was refused for that.
    """

    nonce: str | None = None
    ahead: float | None = None
    lengths: bool = False


class Attempts:
    """Hold one request, what it was sent with, and what has been tried."""

    def __init__(
        self,
        client: WatchwordClient,
        audience: str,
        request: httpx.Request,
        choice: ProofChoice,
        memory: GateMemory,
        *,
        dpop: bool,
        or_without: bool,
        redirected: bool = False,
    ) -> None:
        """Take the request as the app made it; nothing is attached yet.

        :param redirected: whether it isn't the app's own, but what an answer redirected to.
        """
        self._client = client
        self._audience = audience
        self._request = request
        self._memory = memory
        self._dpop = dpop
        self._or_without = or_without
        self._redirected = redirected
        self._wanted = chosen(choice, request)
        self._repeatable = isinstance(request.stream, httpx.ByteStream)
        self._idempotent = request.method in _IDEMPOTENT or bool(
            request.headers.get(IDEMPOTENCY_KEY, "").strip()
        )
        self._kept: KeptStream | None = None
        if "transfer-encoding" in request.headers and not self._repeatable:
            self._kept = request.stream = KeptStream(request.stream)
        self._left = MAX_REPETITIONS
        self._unknown_left = MAX_UNKNOWN
        self._on_wire = 0
        self._done: set[str] = set()
        self._tried: set[Proof] = set()
        self._held: HeldToken | None = None
        self._reckoned = 0.0

    def forbid_repetition(self) -> None:
        """Refuse a request that a library sends again though its outcome is unknown.

        :raises OutcomeUnknownError: unless it may be repeated.
        """
        if not self._idempotent:
            raise self._outcome_unknown("a library was about to send it again")

    @property
    def wants_length(self) -> bool:
        """Tell whether the body has to be read whole before the request is sent."""
        return self._kept is not None and self._memory.lengths

    def kept_body(self) -> bytes | None:
        """Return the body that was a stream; None where it is larger than what is kept."""
        return None if self._kept is None else self._kept.read()

    async def kept_body_async(self) -> bytes | None:
        """Return the same of an asynchronous stream."""
        return None if self._kept is None else await self._kept.aread()

    def prepare(self) -> None:
        """Attach token and proof for the first attempt; where requests may go without, say why instead.

        :raises ClientError: if there is no token to be had, or no proof to be made.
        """
        try:
            self._held = self._client.credential(self._audience)
            self._attach(self._held)
        except ClientError as error:
            if not self._or_without:
                raise
            self._go_without(error)

    def give_length(self, body: bytes | None) -> None:
        """Take the body that was kept of a stream, to be sent with its length; proofs cover it from then on.

        :param body: None where it is larger than what is kept.
        :raises LengthRequiredError: then; nothing of the request was carried out.
        """
        if body is None:
            raise LengthRequiredError(self._request.method, self._origin(), MAX_KEPT_BYTES)
        request = self._request
        del request.headers["transfer-encoding"]
        request.headers["content-length"] = str(len(body))
        request.stream = httpx.ByteStream(body)
        self._kept, self._repeatable = None, True

    def needs_length(self, response: httpx.Response) -> bool:
        """Tell whether this answer refuses the body for want of a length; it was sent as a stream."""
        if response.status_code != _LENGTH_REQUIRED or self._kept is None:
            return False
        self._memory.lengths = True
        return True

    def prepare_with_length(self, body: bytes | None) -> None:
        """Take the body of a request that was refused for want of a length, and prove it anew.

        :raises LengthRequiredError: see :meth:`give_length`.
        """
        self.give_length(body)
        if self._held is not None:
            self._attach(self._held)

    def may_go_on(self, response: httpx.Response) -> bool:
        """Tell whether the body of this answer is worth reading for what it says of token and proof."""
        nonce = response.headers.get(_NONCE_HEADER, "")
        if _GATE_NONCE.fullmatch(nonce):
            self._memory.nonce = nonce
        return self._held is not None and response.status_code in _MENDABLE

    def prepare_again(self, response: httpx.Response, body: bytes) -> bool:
        """Mend what the gate refused and attach token and proof anew; tell whether that was possible.

        :param body: of the answer; only a problem document of Watchword's means anything: another 401
            is the API's own (a user's wrong password) and is left to the app.
        :raises OutcomeUnknownError: if the proof was used before, and the request mustn't be repeated.
        :raises ClientError: if another token is needed and there is none to be had.
        """
        problem = read_problem(response, body[:MAX_ANSWER_BYTES])
        if problem is None:
            return False
        if problem.slug == PublicClass.PROOF_USED.slug:
            if not self._may_repeat():
                raise self._outcome_unknown("its proof was used before")
            self._attach_anew()
            return True
        if not self._repeatable or self._left <= 0:
            return False
        try:
            if not self._mend(problem, response):
                return False
            self._left -= 1
            self._attach_anew()
        except ClientError:
            if not self._or_without:
                raise
            return False
        return True

    def prepare_after(self, error: httpx.TransportError) -> None:
        """Attach a proof of the same kind anew after an answer that never came, where the request may be repeated.

        :raises OutcomeUnknownError: where it mustn't be, and may have been carried out.
        :raises httpx.TransportError: the error itself, where nothing was sent, or where a safe request was
            repeated often enough.  After a timeout nothing is repeated: the time that there was is used up.
        """
        if isinstance(error, UNSENT):
            raise error
        if isinstance(error, httpx.TimeoutException) or not self._may_repeat():
            if self._request.method in _SAFE:
                raise error
            raise self._outcome_unknown(f"{type(error).__name__}, no answer") from error
        if self._held is not None:
            self._attach(self._held)

    def watch_wire(self, *, asynchronous: bool) -> None:
        """See that no library below sends again what mustn't be repeated.

        httpcore tells by its ``trace`` extension when a request goes out; an app's own is called as before.

        :param asynchronous: whether httpcore awaits what it calls.
        """
        own = self._request.extensions.get("trace")

        def hear(name: str, info: Any) -> Any:
            self._count(name)
            return None if own is None else own(name, info)

        async def hear_async(name: str, info: Any) -> None:
            told = hear(name, info)
            if told is not None:
                await told

        trace = hear_async if asynchronous else hear
        self._request.extensions = {**self._request.extensions, "trace": trace}

    def _count(self, event: str) -> None:
        if event in _ANSWERED:
            self._on_wire = 0
        if event not in _BEGUN:
            return
        self._on_wire += 1
        if self._on_wire > 1 and not self._idempotent:
            raise self._outcome_unknown("a library below was about to send it again")

    def _may_repeat(self) -> bool:
        """Tell whether a request with an unknown outcome is sent again; counts."""
        if not (self._idempotent and self._repeatable) or self._unknown_left <= 0:
            return False
        self._unknown_left -= 1
        return True

    def _outcome_unknown(self, why: str) -> OutcomeUnknownError:
        return OutcomeUnknownError(self._request.method, self._origin(), why)

    def _origin(self) -> str:
        """Return scheme, host and port, without what may be secret: user, path and query."""
        url = self._request.url
        return f"{url.scheme}://{url.netloc.decode('ascii')}"

    def _attach_anew(self) -> None:
        assert self._held is not None  # Nothing is mended where nothing was attached.
        self._attach(self._held)

    def _mend(self, problem: Problem, response: httpx.Response) -> bool:
        slug = problem.slug
        if slug == PublicClass.TOKEN_REFUSED.slug:
            return self._once("token") and self._take_another_token(ask=True)
        if slug == PublicClass.PROOF_NONCE.slug:
            fresh = _GATE_NONCE.fullmatch(response.headers.get(_NONCE_HEADER, "")) is not None
            return fresh and self._once("nonce")
        if slug not in {PublicClass.PROOF_REQUIRED.slug, PublicClass.PROOF_REFUSED.slug}:
            return False
        if slug == PublicClass.PROOF_REFUSED.slug and self._correct_clock(problem, response):
            return True
        # The device may have new keys by now, with which the token that was sent can't be proved.
        if self._take_another_token(ask=False):
            return True
        return self._take_another_proof()

    def _once(self, what: str) -> bool:
        """Tell whether this is the first time for this request."""
        if what in self._done:
            return False
        self._done.add(what)
        return True

    def _take_another_token(self, *, ask: bool) -> bool:
        """Take another token than the refused one, with ``ask`` also from the service."""
        assert self._held is not None
        refused = self._held.token
        if ask:
            self._client.replace_token(self._audience, refused)
        self._held = self._client.credential(self._audience)
        return self._held.token != refused

    def _correct_clock(self, problem: Problem, response: httpx.Response) -> bool:
        """Reckon with the gate's clock where it differs; tell whether it did.

        What it says goes before the ``Date``, which a proxy in between may have made.
        """
        told = _date_of(response) if problem.now is None else float(problem.now)
        if told is None or not self._client.believes(told):
            return False
        ahead = told - self._client.uptime()
        # Compared with what this attempt reckoned with: another request may have learned meanwhile.
        if abs(ahead - self._reckoned) < CLOCK_TOLERANCE or not self._once("clock"):
            return False
        self._memory.ahead = ahead
        return True

    def _take_another_proof(self) -> bool:
        """Take a proof that was not tried: only the gate knows which one its route asks for."""
        assert self._held is not None
        for proof in _LADDER:
            if self._feasible(self._held, proof) not in self._tried:
                self._wanted = proof
                return True
        return False

    def _feasible(self, held: HeldToken, wanted: Proof) -> Proof:
        """Return the proof that can be made: the device's own where there is no session key."""
        if wanted is Proof.BEARER or held.own is None or not self._is_digest_known():
            return Proof.BEARER
        if wanted is Proof.SESSION and held.session_key is None:
            return Proof.DEVICE
        return wanted

    def _is_digest_known(self) -> bool:
        return self._repeatable or "content-digest" in self._request.headers

    def _go_without(self, error: ClientError) -> None:
        """Send neither token nor proof, but why, where the service knows what that is; not after a redirect."""
        self._held = None
        self._clear()
        if self._client.speaks_1_1 and not self._redirected:
            self._request.headers[STATUS_HEADER] = _claimed(error)

    def _clear(self) -> None:
        for name in (TOKEN_HEADER, STATUS_HEADER, *_PROOF_HEADERS):
            self._request.headers.pop(name, None)

    def _attach(self, held: HeldToken) -> None:
        """Put token and proof into the request's headers, in place of an earlier attempt's.

        Where the device lost its key, with a token for a new one, once.
        """
        try:
            self._prove(held)
        except DeviceError as error:
            if error.kind is not DeviceErrorKind.KEY_LOST or not self._once("keys"):
                raise
            self._held = self._client.replace_keys(self._audience, held)
            self._prove(self._held)

    def _created(self) -> int:
        """Return the gate's time, whole seconds since 1970, as far as it is known.

        What a gate said counts only while it is near the service's time, which may have become known since.
        """
        uptime, gate = self._client.uptime(), self._memory.ahead
        if gate is None or not self._client.believes(uptime + gate):
            gate = self._client.now() - uptime
        self._reckoned = gate
        return int(uptime + gate)

    def _prove(self, held: HeldToken) -> None:
        headers = self._request.headers
        self._clear()
        headers[TOKEN_HEADER] = held.token
        self._on_wire = 0
        proof = self._feasible(held, self._wanted)
        self._tried.add(proof)
        if proof is Proof.BEARER:
            return
        assert held.own is not None
        fresh = Freshness(self._created(), self._client.nonce(), self._memory.nonce)
        # In place of a session proof a gate takes a message signature alone.
        if proof is Proof.DEVICE and self._dpop and self._wanted is Proof.DEVICE:
            covered = self._covered(None)
            headers.update(dpop_proof(covered, held.token, held.own, self._client.sign, fresh))
            return
        covered = self._covered(self._digest())
        if proof is Proof.SESSION:
            assert held.session_key is not None
            headers.update(session_proof(covered, held.token, held.own, held.session_key, fresh))
        else:
            headers.update(device_proof(covered, held.token, held.own, self._client.sign, fresh))

    def _digest(self) -> str | None:
        """Return the body's digest and see that it is sent; None where there is no body."""
        headers = self._request.headers
        if self._repeatable:
            body = self._request.read()
            if not body and "transfer-encoding" not in headers:
                return None
            headers["Content-Digest"] = content_digest(body)
        digest: str = headers["content-digest"]
        return digest

    def _covered(self, digest: str | None) -> Covered:
        """Return the request as it will be sent."""
        request = self._request
        # The extension is httpx's: what goes into the request line in place of the URL's path.
        target: bytes = request.extensions.get("target", request.url.raw_path)
        path, _, query = target.decode("ascii").partition("?")
        return Covered(
            scheme=request.url.scheme,
            method=request.method,
            authority=request.headers["host"].lower(),
            path=path,
            query=query,
            content_digest=digest,
        )


def _claimed(error: ClientError) -> str:
    """Return what a gate is told of the reason that there is no token."""
    if isinstance(error, DeviceError) and error.kind is DeviceErrorKind.UNSUPPORTED:
        return "unsupported"
    if isinstance(error, ServiceUnavailableError | UnreadableAnswerError | ChannelRefusedError):
        return "offline"
    return "refused" if isinstance(error, ServiceRefusedError) else "device"


def _date_of(response: httpx.Response) -> float | None:
    """Return the answer's ``Date`` as seconds since 1970, None if it has none that can be read."""
    text = response.headers.get("date", "")
    if not text or len(text) > _MAX_DATE_CHARACTERS:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
