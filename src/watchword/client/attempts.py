"""Carry one request through its attempts: a proof for each, and what to do about a refusal.

=======================================  ==============================================================
the gate answers                         what is done before the request is sent again
=======================================  ==============================================================
``token-refused``                        another token
``proof-nonce``                          the gate's nonce is taken from the answer
``proof-refused``, the clocks differ     the client reckons with the gate's ``Date`` from then on
``proof-required``, ``proof-refused``    another token if there is one by now; else another proof
=======================================  ==============================================================

Each at most once, and twice in all.  Never for a body that is a stream.
"""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from re import compile as compile_pattern
from typing import Final

import httpx

from watchword.client.choice import ProofChoice, chosen
from watchword.client.client import WatchwordClient
from watchword.client.errors import ClientError
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

MAX_REPETITIONS: Final = 2
"""How often a refused request is sent again."""

CLOCK_TOLERANCE: Final = 2.0
"""Seconds by which the clocks may seem to differ and be right: ``Date`` has whole seconds, and is
made once a second by some servers."""

_PROOF_HEADERS: Final = ("Signature-Input", "Signature", "DPoP")
_NONCE_HEADER: Final = "Watchword-Nonce"
_GATE_NONCE: Final = compile_pattern(r"[A-Za-z0-9_-]{30}")
_MAX_DATE_CHARACTERS: Final = 64
_LADDER: Final = (Proof.SESSION, Proof.DEVICE)
_MENDABLE: Final = frozenset({PublicClass.TOKEN_REFUSED.status, PublicClass.PROOF_REFUSED.status})


@dataclass(slots=True)
class GateMemory:
    """Remember what the gates of one API said; shared by all requests, each field set in one step.

    :ivar nonce: the newest nonce of a gate, None while none gave one.
    :ivar ahead: seconds by which the gates' clock is ahead of the device's.
    """

    nonce: str | None = None
    ahead: float = 0.0


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
    ) -> None:
        """Take the request as the app made it; nothing is attached yet."""
        self._client = client
        self._audience = audience
        self._request = request
        self._memory = memory
        self._dpop = dpop
        self._or_without = or_without
        self._wanted = chosen(choice, request)
        self._repeatable = isinstance(request.stream, httpx.ByteStream)
        self._left = MAX_REPETITIONS
        self._done: set[str] = set()
        self._tried: set[Proof] = set()
        self._held: HeldToken | None = None
        self._ahead = 0.0

    def prepare(self) -> None:
        """Attach token and proof for the first attempt; nothing where requests may go without.

        :raises ClientError: if there is no token to be had.
        """
        try:
            self._held = self._client.credential(self._audience)
        except ClientError:
            if not self._or_without:
                raise
            return
        self._attach(self._held)

    def may_go_on(self, response: httpx.Response) -> bool:
        """Tell whether the body of this answer is worth reading for what it says of token and proof."""
        nonce = response.headers.get(_NONCE_HEADER, "")
        if _GATE_NONCE.fullmatch(nonce):
            self._memory.nonce = nonce
        return (
            self._held is not None
            and self._repeatable
            and self._left > 0
            and response.status_code in _MENDABLE
        )

    def prepare_again(self, response: httpx.Response, body: bytes) -> bool:
        """Mend what the gate refused and attach token and proof anew; tell whether that was possible.

        :param body: of the answer; only a problem document of Watchword's means anything: another 401
            is the API's own (a user's wrong password) and is left to the app.
        :raises ClientError: if another token is needed and there is none to be had.
        """
        problem = read_problem(response, body[:MAX_ANSWER_BYTES])
        if problem is None:
            return False
        try:
            if not self._mend(problem.slug, response):
                return False
        except ClientError:
            if not self._or_without:
                raise
            return False
        assert self._held is not None  # Nothing is mended where nothing was attached.
        self._left -= 1
        self._attach(self._held)
        return True

    def _mend(self, slug: str, response: httpx.Response) -> bool:
        if slug == PublicClass.TOKEN_REFUSED.slug:
            return self._once("token") and self._take_another_token(ask=True)
        if slug == PublicClass.PROOF_NONCE.slug:
            fresh = _GATE_NONCE.fullmatch(response.headers.get(_NONCE_HEADER, "")) is not None
            return fresh and self._once("nonce")
        if slug not in {PublicClass.PROOF_REQUIRED.slug, PublicClass.PROOF_REFUSED.slug}:
            return False
        if slug == PublicClass.PROOF_REFUSED.slug and self._correct_clock(response):
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

    def _correct_clock(self, response: httpx.Response) -> bool:
        """Reckon with the gate's clock where it differs; tell whether it did."""
        told = _date_of(response)
        if told is None:
            return False
        ahead = told - self._client.now()
        # Compared with what this attempt reckoned with: another request may have learned meanwhile.
        if abs(ahead - self._ahead) < CLOCK_TOLERANCE or not self._once("clock"):
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

    def _attach(self, held: HeldToken) -> None:
        """Put token and proof into the request's headers, in place of an earlier attempt's."""
        headers = self._request.headers
        for name in _PROOF_HEADERS:
            headers.pop(name, None)
        headers[TOKEN_HEADER] = held.token
        proof = self._feasible(held, self._wanted)
        self._tried.add(proof)
        if proof is Proof.BEARER:
            return
        assert held.own is not None
        self._ahead = self._memory.ahead
        created = int(self._client.now() + self._ahead)
        fresh = Freshness(created, self._client.nonce(), self._memory.nonce)
        if proof is Proof.DEVICE and self._dpop:
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


def _date_of(response: httpx.Response) -> float | None:
    """Return the answer's ``Date`` as seconds since 1970, None if it has none that can be read."""
    text = response.headers.get("date", "")
    if not text or len(text) > _MAX_DATE_CHARACTERS:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
