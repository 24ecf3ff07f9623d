"""Keep what an enrolled app remembers: its instance and tokens, in a form that can be stored."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from watchword.client.errors import UnreadableAnswerError
from watchword.client.own_token import OwnToken, read_own_token
from watchword.encoding import base64url
from watchword.encoding.phrases import other_format
from watchword.reasons import MalformedError

SESSION_KEY_BYTES: Final = 32
"""Bytes of a session key (protocol, section 5)."""

_VERSION: Final = 2
_MAX_SEALED_CHARACTERS: Final = 256

OpenSealed = Callable[[str, bytes], bytes | None]
"""Open the sealed key of one session, named by its ``sid``; None where the device can't."""


@dataclass(frozen=True, slots=True)
class HeldToken:
    """Hold one token and the keys of its proofs; its text and its session key are in no repr.

    :param expires_at: seconds since 1970 on this device's clock.
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
class Session:
    """Hold an enrolled instance.

    :param level: what the service attested, for example ``hardware``.
    :param tokens: by audience.
    :param bnd: what they are bound to, None for nothing.
    """

    instance: str = field(repr=False)
    level: str
    tokens: Mapping[str, HeldToken]
    bnd: str | None = field(default=None, repr=False)

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
        :param sent_at: when the request was sent, seconds since 1970.
        :param renew_share: the part of a token's life after which it is renewed, 0 to 1.
        :param bnd: what the statement bound the tokens to.
        :raises UnreadableAnswerError: if anything is missing or of another type.
        """
        try:
            given = {token["aud"]: token for token in answer["tokens"]}
            tokens = {}
            for audience in audiences:
                life = _seconds(given[audience]["expires_in"])
                token = _text(given[audience]["token"])
                own = _own(token)
                tokens[audience] = HeldToken(
                    token=token,
                    expires_at=sent_at + life,
                    renew_at=sent_at + life * renew_share,
                    session_key=_unsealed(given[audience].get("session_key"), own, open_sealed),
                    own=own,
                )
            return cls(_text(answer["instance"]), _text(answer["level"]), tokens, bnd)
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

    def export(self) -> dict[str, Any]:
        """Return a JSON-ready copy; store it where only the app can read it: it holds tokens and keys."""
        return {
            "v": _VERSION,
            "instance": self.instance,
            "level": self.level,
            "bnd": self.bnd,
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
        """Return the session behind an export.

        :raises ValueError: if it isn't one, or one of another version.
        """
        try:
            if document["v"] != _VERSION:
                raise ValueError(f"stored session: {other_format(document['v'], _VERSION)}")
            return cls(
                instance=_text(document["instance"]),
                level=_text(document["level"]),
                tokens={audience: _restored(held) for audience, held in document["tokens"].items()},
                bnd=None if document["bnd"] is None else _text(document["bnd"]),
            )
        except (TypeError, KeyError, AttributeError, OverflowError, MalformedError):
            raise ValueError("got something that isn't a stored session") from None


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


def _seconds(value: Any) -> float:
    """Return a finite, non-negative number or raise TypeError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not math.isfinite(value) or value < 0:
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    """Return a non-empty string or raise TypeError."""
    if not isinstance(value, str) or not value:
        raise TypeError
    return value
