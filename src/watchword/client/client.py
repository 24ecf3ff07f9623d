"""Be the app's side of the protocol: enrol, hold tokens, renew them before they expire."""

import contextlib
import re
import secrets  # noqa: TID251 - the default of an argument: a nonce must not depend on the app's care.
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import httpx

from watchword.client.clock import ClientClock, system_boot_id, system_uptime
from watchword.client.cooldown import Cooldown
from watchword.client.delivery import Delivery, read_delivery
from watchword.client.device import Device, ResilientDevice
from watchword.client.errors import (
    ChallengeRefusedError,
    ClientError,
    DeviceError,
    DeviceErrorKind,
    EvidenceRefusedError,
    InstanceRefusedError,
    InstanceUnknownError,
    Problem,
    ServiceRefusedError,
    ServiceUnavailableError,
)
from watchword.client.exchange import MAX_ATTEMPTS, Backoff, Exchange, is_safe
from watchword.client.phrases import Answered, Waiting, Wording
from watchword.client.session import HeldToken, NextChallenge, Session, Stored
from watchword.client.signed_refusals import KEYS_PATH, is_signed
from watchword.client.statement import binding_of, bound_to
from watchword.encoding import base64url, length_prefixed
from watchword.pins.sets import MAX_VERSION
from watchword.vocabulary import Purpose

RENEW_FROM: Final = 0.6
RENEW_SPAN: Final = 0.2
"""A token is renewed at a random point between 60 % and 80 % of its life, so that phones which
enrolled at one moment (after an outage, a push message) don't renew at one moment."""

POSTPONED_SHARE: Final = 0.2
"""A failed early renewal is repeated when so much of the token's remaining life has passed."""

CUT_SPAN: Final = 5.0
"""Within so many seconds a client renews whose token is refused before its end: its whole fleet may be told that at once."""

_FINAL: Final = (EvidenceRefusedError, InstanceRefusedError)
_NEW_KEYS_HELP: Final = frozenset({DeviceErrorKind.KEY_LOST, DeviceErrorKind.FAULT})
_SPEAKS: Final = re.compile(r"1\.[1-9][0-9]{0,3}")
_SEAL_LABEL: Final = b"watchword/seal/v1\x00"
_NONCE_BYTES: Final = 16

_TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)


class WatchwordClient:
    """Hold one instance of an app at one service; safe to use from many threads.

    Never logs; a token is in no repr and in no error.
    """

    def __init__(
        self,
        service_url: str,
        app: str,
        device: Device,
        audiences: Sequence[str],
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        issuer: str | None = None,
        transport: httpx.BaseTransport | None = None,
        hear_pins: Callable[[int], None] = lambda _: None,
        boot: Callable[[], float] = system_uptime,
        boot_id: str | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        :param service_url: where the service listens; ``https``, or ``http`` on loopback.
        :param app: the app's name under ``apps`` in ``watchword.yaml``.
        :param audiences: the APIs to get tokens for, at least one.
        :param clock: returns seconds since 1970, for example ``time.time``; only counts until the service told the time.
        :param jitter: returns a number from 0 to below 1, for example ``random.random``.
        :param entropy: returns so many bytes that nobody can guess; nonces are made of them.
        :param issuer: the service's ``issuer`` where it isn't ``service_url``.
        :param transport: an httpx transport, for tests.
        :param hear_pins: is told which version of the app's pins the service has now, as it stands beside tokens; must return at
            once, for example :meth:`watchword.client.pinning.PinUpdater.hear`.
        :param boot: returns seconds since the device's boot, those asleep included: what lives are counted in.
        :param boot_id: names this boot, the system's name for it where it is None; stored times of another one are void.
        :raises ValueError: on a URL without TLS, or without audiences.
        """
        url = httpx.URL(service_url)
        if not is_safe(url):
            raise ValueError("expected a service URL with https, or with http on loopback")
        if not audiences or len(set(audiences)) != len(audiences):
            raise ValueError("expected at least one audience, each once")
        self._app = app
        self._audiences = tuple(audiences)
        self._clock = ClientClock(clock, boot, system_boot_id() if boot_id is None else boot_id)
        self._jitter = jitter
        self._entropy = entropy
        self._hear_pins = hear_pins
        self._bnd: str | None = None
        self._http = _http_client(url, transport)
        self._backoff = Backoff(jitter, sleep)
        self._exchange = Exchange(self._http, self._backoff, self._clock.hear)
        self._device = ResilientDevice(device, self._backoff)
        self._issuer = service_url if issuer is None else issuer
        self._waiting = Waiting()
        says = (self._exchange, self._issuer, app, self._device, self._audiences)
        self._wording = Wording(*says, self._hear_protocol, self._waiting)
        self._session: Session | None = None
        self._cooldown = Cooldown(boot, jitter)
        self._speaks_1_1 = False
        # Held while talking to the service: a second caller waits for the first one's tokens
        # and never starts a renewal of its own.
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        """Name the app and whether it is enrolled; nothing that must stay secret."""
        state = "enrolled" if self._session else "not enrolled"
        return f"WatchwordClient(app={self._app!r}, {state})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the service; the session stays."""
        self._http.close()

    @property
    def level(self) -> str | None:
        """Return the level that the service attested, None before the enrolment."""
        return self._session.level if self._session else None

    @property
    def instance(self) -> str | None:
        """Return the instance id, None before the enrolment."""
        return self._session.instance if self._session else None

    def enrol(self) -> None:
        """Enrol a new instance with new keys and get its first tokens.

        A refused challenge (it may have expired while the vendor was slow) is replaced once, and so are keys that
        are lost or useless.  Within an hour of a final refusal only an explicit call of this method asks the service again.

        :raises ClientError: see :mod:`watchword.client.errors`.
        """
        with self._lock, self._cooling():
            try:
                self._enrol_with_keys()
            except DeviceError as error:
                if error.kind not in _NEW_KEYS_HELP:
                    raise
                self._rest_after(error)
                self._enrol_with_keys()

    def renew(self) -> None:
        """Get new tokens now; enrols where there is no instance yet.

        An instance that the service doesn't know (any more) is enrolled anew, once.  A revoked
        one is not: the error is final.

        :raises ClientError: see :mod:`watchword.client.errors`.
        """
        with self._lock:
            self._renew(MAX_ATTEMPTS)

    def token(self, audience: str) -> str:
        """Return a token for one API that is valid now.

        While a token is valid, a service that can't be reached isn't noticed.

        :raises ClientError: if there is none to be had; never returns anything else instead.
        :raises ValueError: if the client wasn't made for this audience.
        """
        return self.credential(audience).token

    def credential(self, audience: str) -> HeldToken:
        """Return a token as :meth:`token` does, together with the keys of its proofs.

        :raises ClientError: see :meth:`token`.
        :raises ValueError: see :meth:`token`.
        """
        if audience not in self._audiences:
            raise ValueError(f"got audience {audience!r}, expected one of {self._audiences}")
        held, now = self._held(audience), self.uptime()
        if held is not None and now < held.expires_at:
            # Nobody waits for another caller's early renewal: the token works meanwhile.
            if now >= held.renew_at and self._lock.acquire(blocking=False):
                try:
                    self._renew_early(audience, now)
                finally:
                    self._lock.release()
            return self._held_now(audience)
        with self._lock:
            held = self._held(audience)
            if held is None or self.uptime() >= held.expires_at:
                self._renew(MAX_ATTEMPTS)
            return self._held_now(audience)

    def replace_token(self, audience: str, refused: str) -> str:
        """Return another token than ``refused``, which an API's gate turned down.

        Of several callers with the same refused token only the first renews.  It waits first where the token should be
        good still: an operator may have cut off a whole fleet's.

        :raises ClientError: see :meth:`token`.
        """
        with self._lock:
            held = self._held(audience)
            if held is None or held.token == refused:
                is_early = held is not None and self.uptime() < held.expires_at
                if is_early and not self._cooldown.holds:
                    self._backoff.spread(CUT_SPAN)
                self._renew(MAX_ATTEMPTS)
            return self.token(audience)

    def replace_keys(self, audience: str, failed: HeldToken) -> HeldToken:
        """Return a token of a new enrolment, in place of one whose key the device lost.

        Of several callers with the same token only the first enrols.

        :raises ClientError: see :meth:`token`.
        """
        with self._lock:
            held = self._held(audience)
            if held is None or held.token == failed.token:
                self._cooldown.check()
                self._enrol_anew()
            return self._held_now(audience)

    def bind(self, value: str | None) -> None:
        """Bind tokens to the value of a header from now on; None binds them to nothing.

        A token that is bound to another value isn't used any more: the next call that needs one asks
        the service.  The value itself goes nowhere, its SHA-256 stands in the token (``bnd``).

        :param value: for example what the app sends as ``Authorization`` after its user logged in.
        """
        self._bnd = None if value is None else bound_to(value)

    def fetch_secret(self, name: str, attempts: int = MAX_ATTEMPTS) -> Delivery:
        """Return a secret that the service hands to this instance for a while; kept nowhere here.

        Apps use :class:`watchword.client.secrets.DeliveredSecrets`, which keeps it for as long as it may.
        Enrols where there is no instance yet, or where the service doesn't know it any more, once.

        :param attempts: how often each request may be sent.
        :raises ClientError: see :mod:`watchword.client.errors`.
        """
        # One after the other with renewals: App Attest counts what the key signs, and the service
        # refuses what arrives out of turn.
        with self._lock:
            if self._session is None or self._cooldown.holds:
                self._renew(attempts)
            try:
                answered = self._ask_secret(name, attempts)
            except InstanceUnknownError:
                self._session = None
                self.enrol()
                answered = self._ask_secret(name, attempts)
            except DeviceError as error:
                if error.kind is not DeviceErrorKind.KEY_LOST:
                    raise
                self._enrol_anew()
                answered = self._ask_secret(name, attempts)
        share = RENEW_FROM + RENEW_SPAN * self._jitter()
        return read_delivery(answered, self._app, name, share, self._device)

    @property
    def speaks_1_1(self) -> bool:
        """Tell whether the service said that it speaks protocol 1.1; before, nothing of that is sent."""
        return self._speaks_1_1

    def uptime(self) -> float:
        """Return the seconds that lives are counted in, on the boot clock."""
        return self._clock.uptime()

    def now(self) -> float:
        """Return the service's time, seconds since 1970; the wall clock's where the service never told it."""
        return self._clock.now()

    def believes(self, told: float) -> bool:
        """Tell whether a gate's time, seconds since 1970, is near enough to the service's to be reckoned with."""
        return self._clock.believes(told)

    def nonce(self) -> str:
        """Return 22 characters of base64url that were never used before."""
        return base64url.encode(self._entropy(_NONCE_BYTES))

    def sign(self, message: bytes) -> bytes:
        """Return ECDSA-SHA256 over ``message`` by the device's proof key, DER."""
        return self._device.sign(message)

    def export_session(self) -> dict[str, Any] | None:
        """Return what outlasts the process as JSON-ready data, None while there is nothing.

        It holds tokens and session keys: store it where only the app on this device can read it, and in no backup.
        """
        refusal, place = self._cooldown.export(), self._waiting.place
        if (self._session, refusal, place) == (None, None, None) and not self._speaks_1_1:
            return None
        clock = self._clock
        return Stored(
            clock.boot_id, self._session, self._speaks_1_1, clock.ahead, refusal, place
        ).export()

    def import_session(self, document: Mapping[str, Any]) -> None:
        """Go on with an exported session, also one of an earlier version; the device must hold the same keys still.

        After another boot its times mean nothing: the tokens count as ended, and a cool-down as over.

        :raises ValueError: if it can't be read; enrol then.
        """
        stored, clock = Stored.from_export(document), self._clock
        session = stored.session
        same_boot = stored.boot_id == clock.boot_id
        with self._lock:
            self._cooldown.restore(stored.refusal if same_boot else None)
            if session is not None and stored.boot_id is None:
                session = session.moved(clock.uptime_of_wall)
            elif session is not None and not same_boot:
                session = session.outdated()
            self._session, self._speaks_1_1 = session, stored.protocol
            self._waiting.place = stored.place
            clock.ahead = stored.ahead if same_boot else None

    def _hear_protocol(self, told: Any) -> None:
        self._speaks_1_1 = isinstance(told, str) and _SPEAKS.fullmatch(told) is not None

    def _held(self, audience: str) -> HeldToken | None:
        """Return what is held for an audience; None too if it is bound to something else."""
        session = self._session  # Read once: another thread may replace it.
        if session is None or session.bnd != self._bnd:
            return None
        return session.tokens.get(audience)

    def _held_now(self, audience: str) -> HeldToken:
        session = self._session
        assert session is not None  # Every answer was checked for a token of every audience.
        return session.tokens[audience]

    def _renew(self, attempts: int) -> None:
        """Renew, or enrol where there is nothing to renew.

        :param attempts: 1 while the token is valid: a device that fails then costs nobody anything.
        """
        self._cooldown.check()
        if self._session is None:
            self.enrol()
            return
        try:
            with self._cooling(devices=attempts > 1):
                self._renew_instance(self._session, attempts)
        except InstanceUnknownError:
            self._session = None
            self.enrol()
        except DeviceError as error:
            if attempts == 1 or error.kind not in _NEW_KEYS_HELP:
                raise
            self._rest_after(error)
            self._enrol_anew()

    @contextlib.contextmanager
    def _cooling(self, *, devices: bool = True) -> Iterator[None]:
        """Remember what is final and what the service asked to wait for, so that an app that goes on asking costs nobody anything.

        :param devices: also what the device failed at.
        """
        self._cooldown.clear()
        try:
            yield
        except _FINAL as error:
            self._cooldown.refused(error)
            raise
        except ServiceUnavailableError as error:
            self._cooldown.unavailable(error)
            raise
        except DeviceError as error:
            if devices:
                self._cooldown.failed(error)
            raise

    def _rest_after(self, error: DeviceError) -> None:
        """Wait before new keys are made where nobody knows why the old ones failed."""
        if error.kind is DeviceErrorKind.FAULT:
            self._backoff.rest(0)

    def _enrol_anew(self) -> None:
        """Enrol with new keys in place of those that failed, once."""
        with self._cooling():
            self._enrol_with_keys()

    def _renew_early(self, audience: str, now: float) -> None:
        """Try once to renew while the token is valid; put it off if that fails, for whatever reason.

        What is final is told by whoever needs a token once this one has ended.
        """
        held = self._held(audience)
        if held is None or now < held.renew_at:  # Another caller was quicker.
            return
        if self._cooldown.holds:
            return
        try:
            self._renew(attempts=1)
        except ClientError:
            if self._session is None:  # The instance was unknown, and enrolling failed.
                raise
            self._session = self._session.postponed(now, POSTPONED_SHARE)

    def _enrol_with_keys(self) -> None:
        """Enrol; a refused challenge is replaced once."""
        try:
            self._enrol_once()
        except ChallengeRefusedError:
            try:
                self._enrol_once()
            except ChallengeRefusedError:
                # Others used up what the place was good for: the next try begins without it.
                self._waiting.place = None
                raise

    def _enrol_once(self) -> None:
        challenge, bnd = self._wording.challenge(Purpose.ENROL, MAX_ATTEMPTS), self._bnd
        asks = self._asks_device_for_session()
        self._device.prepare_keys()
        # The old instance can't be renewed without its keys.
        self._session = None
        statement = self._wording.statement(
            Purpose.ENROL, challenge, bnd=bnd, device_for_session=asks
        )
        body = {"evidence": self._device.attest(binding_of(statement))}
        self._accept("/v1/attestations", statement, body, MAX_ATTEMPTS, bnd)

    def _renew_instance(self, session: Session, attempts: int) -> None:
        """Renew by the challenge that came with the last tokens, else or if that is refused by a fresh one."""
        ahead = session.next_challenge if self._speaks_1_1 else None
        if ahead is None or self.uptime() >= ahead.expires_at:
            try:
                self._renew_once(session, None, attempts)
            except ChallengeRefusedError:
                self._renew_once(session, None, attempts)
            return
        try:
            self._renew_once(session, ahead, attempts)
        except (*_FINAL, InstanceUnknownError):
            raise
        except ServiceRefusedError:
            # Whatever it is: a service that was rolled back doesn't know such challenges, nor what else came with them.
            self._session = session = replace(session, next_challenge=None)
            self._renew_once(session, None, attempts)

    def _renew_once(self, session: Session, ahead: NextChallenge | None, attempts: int) -> None:
        challenge, ticket = (None, None) if ahead is None else (ahead.challenge, ahead.ticket)
        if challenge is None:
            challenge = self._wording.challenge(Purpose.RENEW, attempts)
        bnd = self._bnd
        statement = self._wording.statement(
            Purpose.RENEW, challenge, bnd=bnd, device_for_session=self._asks_device_for_session()
        )
        evidence = self._device.renew(statement, attempts)
        body = {"instance": session.instance, "evidence": evidence}
        if ticket is not None:
            body["ticket"] = ticket
        self._accept("/v1/tokens", statement, body, attempts, bnd)

    def _asks_device_for_session(self) -> bool:
        """Tell whether device proofs are to count on session routes: where this device opens no session keys."""
        unopened = self._session is not None and self._session.unopened
        return self._speaks_1_1 and (unopened or not self._device.can_open)

    def _ask_secret(self, name: str, attempts: int) -> Answered:
        assert self._session is not None  # The caller enrolled.
        instance = self._session.instance
        with self._cooling(devices=False):
            try:
                return self._wording.ask_secret(instance, name, self.uptime, attempts)
            except ChallengeRefusedError:
                return self._wording.ask_secret(instance, name, self.uptime, attempts)

    def _accept(
        self,
        path: str,
        statement: bytes,
        body: Mapping[str, Any],
        attempts: int,
        bnd: str | None,
    ) -> None:
        """Send evidence and keep the tokens of the answer.

        Their life is counted from before the request, so that it is never taken for longer
        than it is, whatever this device's clock says.
        """
        sent_at = self.uptime()
        try:
            answer = self._exchange.post(
                path, {"statement": base64url.encode(statement), **body}, attempts
            )
        except _FINAL as error:
            error.signed = self._is_signed(error.problem, statement)
            raise
        self._session = Session.from_answer(
            answer,
            self._audiences,
            sent_at,
            renew_share=RENEW_FROM + RENEW_SPAN * self._jitter(),
            open_sealed=partial(self._open_sealed, binding_of(statement)),
            bnd=bnd,
        )
        self._cooldown.succeed()
        self._waiting.place = None
        pins = answer.get("pins")
        # It only says when to look: whatever else stands there isn't worth losing tokens for.
        if isinstance(pins, int) and not isinstance(pins, bool) and 0 < pins <= MAX_VERSION:
            self._hear_pins(pins)

    def _is_signed(self, problem: Problem, statement: bytes) -> bool:
        """Tell whether the service vouches for this refusal; its keys are asked for once."""
        if problem.signed is None:
            return False
        try:
            keys = self._exchange.get(KEYS_PATH)
        except ClientError:
            return False
        return is_signed(problem, keys, self._issuer, self._app, binding_of(statement))

    def _open_sealed(self, binding: bytes, session_id: str, sealed: bytes) -> bytes | None:
        """Return a session key; None where the device can't open it (protocol, section 5)."""
        info = _SEAL_LABEL + binding + length_prefixed.join(session_id.encode())
        return self._device.open_sealed(info, sealed)


def _http_client(url: httpx.URL, transport: httpx.BaseTransport | None) -> httpx.Client:
    """Return what talks to the service."""
    return httpx.Client(
        base_url=url,
        # Nothing is compressed: see exchange.
        headers={"content-type": "application/json", "accept-encoding": "identity"},
        timeout=_TIMEOUT,
        transport=transport,
        # Loopback is never reached through the proxy that an environment names.
        trust_env=url.scheme == "https",
    )
