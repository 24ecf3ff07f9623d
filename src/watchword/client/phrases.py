"""Put into words what an instance asks: challenge, statement, and the call for a secret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from watchword.client.device import ResilientDevice
from watchword.client.errors import ServiceRefusedError, UnreadableAnswerError
from watchword.client.exchange import Exchange
from watchword.client.statement import build_statement
from watchword.encoding import base64url
from watchword.vocabulary import Purpose


@dataclass(frozen=True, slots=True)
class Answered:
    """Hold a statement, when it was sent (on the boot clock), and what the service answered."""

    statement: bytes = field(repr=False)
    sent_at: float
    answer: Mapping[str, Any] = field(repr=False)


@dataclass(slots=True)
class Waiting:
    """Remember the place in the line of those who enrol; None while the service gave none."""

    place: str | None = None

    def hear(self, place: str) -> None:
        """Take the newest one."""
        self.place = place


@dataclass(frozen=True, slots=True)
class Wording:
    """Hold what every statement of an instance says of itself.

    :param hear_protocol: is told the ``protocol`` of each challenge answer, None where it says none.
    """

    exchange: Exchange
    issuer: str
    app: str
    device: ResilientDevice
    audiences: tuple[str, ...]
    hear_protocol: Callable[[Any], None]
    waiting: Waiting

    def challenge(self, purpose: Purpose, attempts: int) -> str:
        """Return a challenge of the service's, base64url; one to enrol is asked for with the place that there is.

        :raises ClientError: see :meth:`watchword.client.exchange.Exchange.post`.
        """
        asked = {"app": self.app, "purpose": purpose.value}
        if purpose is not Purpose.ENROL:
            return self._challenge(asked, attempts)
        if self.waiting.place is None:
            return self._challenge(asked, attempts, self.waiting.hear)
        try:
            brought = {**asked, "place": self.waiting.place}
            return self._challenge(brought, attempts, self.waiting.hear)
        except ServiceRefusedError:
            # A service that was rolled back doesn't know places.
            self.waiting.place = None
            return self._challenge(asked, attempts, self.waiting.hear)

    def _challenge(
        self,
        asked: Mapping[str, str],
        attempts: int,
        hear_place: Callable[[str], None] | None = None,
    ) -> str:
        answer = self.exchange.post("/v1/challenges", asked, attempts, hear_place)
        challenge = answer.get("challenge")
        if not isinstance(challenge, str) or not challenge:
            raise UnreadableAnswerError("got a challenge answer without a challenge")
        self.hear_protocol(answer.get("protocol"))
        return challenge

    def statement(
        self,
        purpose: Purpose,
        challenge: str,
        *,
        bnd: str | None = None,
        secret: str | None = None,
        device_for_session: bool = False,
    ) -> bytes:
        """Return the statement with the device's present keys."""
        return build_statement(
            purpose=purpose,
            issuer=self.issuer,
            audiences=self.audiences,
            app=self.app,
            challenge=challenge,
            proof_jwk=self.device.proof_jwk,
            seal_jwk=self.device.seal_jwk,
            bnd=bnd,
            secret=secret,
            device_for_session=device_for_session,
        )

    def ask_secret(
        self, instance: str, name: str, uptime: Callable[[], float], attempts: int
    ) -> Answered:
        """Ask for a secret, with a challenge and evidence of its own.

        The time is taken before the request is sent, so that a lease is never taken for longer than it is.

        :raises ClientError: see :meth:`watchword.client.exchange.Exchange.post`.
        """
        challenge = self.challenge(Purpose.SECRET, attempts)
        statement = self.statement(Purpose.SECRET, challenge, secret=name)
        body = {
            "instance": instance,
            "statement": base64url.encode(statement),
            "evidence": self.device.renew(statement, attempts),
        }
        sent_at = uptime()
        return Answered(statement, sent_at, self.exchange.post("/v1/secrets", body, attempts))
