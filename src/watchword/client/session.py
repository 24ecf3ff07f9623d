"""Keep what an enrolled app remembers: its instance and tokens, in a form that can be stored."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from watchword.client.errors import UnreadableAnswerError
from watchword.client.exchange import is_place
from watchword.client.own_token import OwnToken, read_own_token
from watchword.encoding import base64url
from watchword.encoding.phrases import other_format
from watchword.reasons import MalformedError

SESSION_KEY_BYTES: Final = 32
"""Bytes of a session key (protocol, section 5)."""

VERSION: Final = 3
"""Of what is stored; version 2 is read too, whose times are the wall clock's."""

WALL_CLOCK_VERSION: Final = 2

_MAX_SEALED_CHARACTERS: Final = 256
_MAX_CHALLENGE_CHARACTERS: Final = 1024
_MAX_TICKET_CHARACTERS: Final = 5462

OpenSealed = Callable[[str, bytes], bytes | None]
"""Open the sealed key of one session, named by its ``sid``; None where the device can't."""


@dataclass(frozen=True, slots=True)
class HeldToken:
    """Hold one token and the keys of its proofs; its text and its session key are in no repr.

    :param expires_at: seconds on this device's boot clock.
    :param renew_at: from then on the token is replaced, while it still works.
    :param session_key: what session proofs are made with; None where the device can't open it, or the
        service sent none.
    :param own: what the token says of its keys; None if that can't be read.
    """

    token: str = field(repr=False)
    expires_at: float
    renew_at: float
    session_key: bytes | None = field(default=None, repr=False)
    own: OwnToken | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NextChallenge:
    """Hold the challenge that came with the last tokens, for the renewal after them.

    :param expires_at: seconds on this device's boot clock.
    :param ticket: what the service wants to see again beside it; None where it gave nothing.
    """

    challenge: str = field(repr=False)
    expires_at: float
    ticket: str | None = field(default=None, repr=False)

    def export(self) -> dict[str, Any]:
        """Return a JSON-ready copy."""
        ticket = {} if self.ticket is None else {"ticket": self.ticket}
        return {"challenge": self.challenge, "expires_at": self.expires_at} | ticket

    @classmethod
    def from_export(cls, document: Any) -> "NextChallenge":
        """Return the challenge behind an export."""
        return cls(
            _text(document["challenge"]),
            _seconds(document["expires_at"]),
            _ticket(document.get("ticket")),
        )


@dataclass(frozen=True, slots=True)
class Session:
    """Hold an enrolled instance.

    :param level: what the service attested, for example ``hardware``.
    :param tokens: by audience.
    :param bnd: what they are bound to, None for nothing.
    :param next_challenge: for the next renewal, None where the service gave none or it was refused.
    :param unopened: whether the device couldn't open a session key that came.
    """

    instance: str = field(repr=False)
    level: str
    tokens: Mapping[str, HeldToken]
    bnd: str | None = field(default=None, repr=False)
    next_challenge: NextChallenge | None = None
    unopened: bool = False

    @classmethod
    def from_answer(
        cls,
        answer: Mapping[str, Any],
        audiences: Sequence[str],
        sent_at: float,
        *,
        renew_share: float,
        open_sealed: OpenSealed,
        bnd: str | None = None,
    ) -> "Session":
        """Return the session that an enrolment or a renewal answered with.

        :param audiences: what was asked for; a token for each must be there.
        :param sent_at: when the request was sent, on the boot clock.
        :param renew_share: the part of a token's life after which it is renewed, 0 to 1.
        :param bnd: what the statement bound the tokens to.
        :raises UnreadableAnswerError: if anything is missing or of another type.
        """
        try:
            given = {token["aud"]: token for token in answer["tokens"]}
            tokens, unopened = {}, False
            for audience in audiences:
                life = _seconds(given[audience]["expires_in"])
                token = _text(given[audience]["token"])
                own, sealed = _own(token), given[audience].get("session_key")
                key = _unsealed(sealed, own, open_sealed)
                asked = own is not None and own.device_for_session
                unopened = unopened or (key is None and (sealed is not None or asked))
                tokens[audience] = HeldToken(
                    token=token,
                    expires_at=sent_at + life,
                    renew_at=sent_at + life * renew_share,
                    session_key=key,
                    own=own,
                )
            return cls(
                _text(answer["instance"]),
                _text(answer["level"]),
                tokens,
                bnd,
                _next_challenge(answer.get("next"), sent_at),
                unopened,
            )
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError, MalformedError):
            raise UnreadableAnswerError(
                "got an answer without an instance, a level and a token for each audience"
            ) from None

    def postponed(self, now: float, share: float) -> "Session":
        """Return the session with renewals put off by ``share`` of what a token had left."""
        return replace(
            self,
            tokens={
                audience: replace(held, renew_at=now + (held.expires_at - now) * share)
                for audience, held in self.tokens.items()
            },
        )

    def outdated(self) -> "Session":
        """Return the session after another boot: what was counted on the old boot clock has ended."""
        return replace(
            self,
            tokens={
                audience: replace(held, expires_at=0.0, renew_at=0.0)
                for audience, held in self.tokens.items()
            },
            next_challenge=None,
        )

    def moved(self, to_uptime: Callable[[float], float]) -> "Session":
        """Return the session with its times on another clock."""
        return replace(
            self,
            tokens={
                audience: replace(
                    held,
                    expires_at=to_uptime(held.expires_at),
                    renew_at=to_uptime(held.renew_at),
                )
                for audience, held in self.tokens.items()
            },
        )

    def export(self) -> dict[str, Any]:
        """Return a JSON-ready copy; store it where only the app can read it: it holds tokens and keys."""
        ahead = self.next_challenge
        return {
            "instance": self.instance,
            "level": self.level,
            "bnd": self.bnd,
            "next": None if ahead is None else ahead.export(),
            "unopened": self.unopened,
            "tokens": {
                audience: {
                    "token": held.token,
                    "expires_at": held.expires_at,
                    "renew_at": held.renew_at,
                    "session_key": None
                    if held.session_key is None
                    else base64url.encode(held.session_key),
                }
                for audience, held in self.tokens.items()
            },
        }

    @classmethod
    def from_export(cls, document: Any) -> "Session":
        """Return the session behind an export; of version 2, with its times as they are.

        :raises ValueError: if it isn't one.
        """
        try:
            ahead = document.get("next")
            return cls(
                instance=_text(document["instance"]),
                level=_text(document["level"]),
                tokens={audience: _restored(held) for audience, held in document["tokens"].items()},
                bnd=None if document["bnd"] is None else _text(document["bnd"]),
                next_challenge=None if ahead is None else NextChallenge.from_export(ahead),
                unopened=document.get("unopened", False) is True,
            )
        except (TypeError, KeyError, AttributeError, OverflowError, MalformedError):
            raise ValueError("got something that isn't a stored session") from None


@dataclass(frozen=True, slots=True)
class Stored:
    """Hold all that outlasts the process.

    :param boot_id: of the boot in which its times were counted; None where they are the wall clock's.
    :param session: None where there is no instance.
    :param protocol: whether the service said that it speaks 1.1.
    :param ahead: what the service's time is ahead of the boot clock, None where it isn't known.
    :param refusal: see :meth:`watchword.client.cooldown.Cooldown.export`.
    :param place: in the line of those who enrol; it counts in any boot.
    """

    boot_id: str | None
    session: Session | None
    protocol: bool = False
    ahead: float | None = None
    refusal: Mapping[str, Any] | None = None
    place: str | None = None

    def export(self) -> dict[str, Any]:
        """Return a JSON-ready copy."""
        return {
            "v": VERSION,
            "boot_id": self.boot_id,
            "protocol": "1.1" if self.protocol else None,
            "ahead": self.ahead,
            "refusal": None if self.refusal is None else dict(self.refusal),
            "session": None if self.session is None else self.session.export(),
            "place": self.place,
        }

    @classmethod
    def from_export(cls, document: Any) -> "Stored":
        """Return what is behind an export of this version or of the one before.

        :raises ValueError: if it is none, or one of another version.
        """
        try:
            if document["v"] == WALL_CLOCK_VERSION:
                return cls(None, Session.from_export(document))
            if document["v"] != VERSION:
                raise ValueError(f"stored session: {other_format(document['v'], VERSION)}")
            session, ahead = document["session"], document["ahead"]
            # Not there in what was stored before there were places.
            place = document.get("place")
            return cls(
                _text(document["boot_id"]),
                None if session is None else Session.from_export(session),
                document["protocol"] == "1.1",
                None if ahead is None else _number(ahead),
                document["refusal"],
                place if is_place(place) else None,
            )
        except (TypeError, KeyError, AttributeError):
            raise ValueError("got something that isn't a stored session") from None


def _next_challenge(given: Any, sent_at: float) -> NextChallenge | None:
    """Return the challenge for the next renewal; None for what can't be one: tokens count without it."""
    try:
        challenge, life = _text(given["challenge"]), _seconds(given["expires_in"])
    except (TypeError, KeyError):
        return None
    if len(challenge) > _MAX_CHALLENGE_CHARACTERS:
        return None
    return NextChallenge(challenge, sent_at + life, _ticket(given.get("ticket")))


def _ticket(given: Any) -> str | None:
    """Return a ticket, None for what can't be one: a renewal works without it."""
    return given if isinstance(given, str) and 0 < len(given) <= _MAX_TICKET_CHARACTERS else None


def _restored(held: Mapping[str, Any]) -> HeldToken:
    token, key = _text(held["token"]), held["session_key"]
    return HeldToken(
        token=token,
        expires_at=_seconds(held["expires_at"]),
        renew_at=_seconds(held["renew_at"]),
        session_key=None if key is None else _session_key(base64url.decode(_text(key))),
        own=_own(token),
    )


def _own(token: str) -> OwnToken | None:
    try:
        return read_own_token(token)
    except ValueError:
        return None


def _unsealed(sealed: Any, own: OwnToken | None, open_sealed: OpenSealed) -> bytes | None:
    """Return the session key out of an answer; None if there is none or the device can't open it."""
    if sealed is None:
        return None
    if own is None:
        raise ValueError("got a session key beside a token that names no session")
    key = open_sealed(own.session_id, base64url.decode(_text(sealed), _MAX_SEALED_CHARACTERS))
    return None if key is None else _session_key(key)


def _session_key(key: bytes) -> bytes:
    if len(key) != SESSION_KEY_BYTES:
        raise ValueError("got a session key of another length")
    return key


def _number(value: Any) -> float:
    """Return a finite number or raise TypeError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _seconds(value: Any) -> float:
    """Return a finite, non-negative number or raise TypeError."""
    number = _number(value)
    if number < 0:
        raise TypeError
    return number


def _text(value: Any) -> str:
    """Return a non-empty string or raise TypeError."""
    if not isinstance(value, str) or not value:
        raise TypeError
    return value
