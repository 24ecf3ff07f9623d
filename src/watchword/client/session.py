"""Keep what an enrolled app remembers: its instance and tokens, in a form that can be stored."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from watchword.client.errors import UnreadableAnswerError

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class HeldToken:
    """Hold one token; its text is in no repr.

    :param expires_at: seconds since 1970 on this device's clock.
    :param renew_at: from then on the token is replaced, while it still works.
    """

    token: str = field(repr=False)
    expires_at: float
    renew_at: float


@dataclass(frozen=True, slots=True)
class Session:
    """Hold an enrolled instance.

    :param level: what the service attested, for example ``hardware``.
    :param tokens: by audience.
    """

    instance: str = field(repr=False)
    level: str
    tokens: Mapping[str, HeldToken]

    @classmethod
    def from_answer(
        cls,
        answer: Mapping[str, Any],
        audiences: Sequence[str],
        sent_at: float,
        *,
        renew_share: float,
    ) -> "Session":
        """Return the session that an enrolment or a renewal answered with.

        :param audiences: what was asked for; a token for each must be there.
        :param sent_at: when the request was sent, seconds since 1970.
        :param renew_share: the part of a token's life after which it is renewed, 0 to 1.
        :raises UnreadableAnswerError: if anything is missing or of another type.
        """
        try:
            given = {token["aud"]: token for token in answer["tokens"]}
            tokens = {}
            for audience in audiences:
                life = _seconds(given[audience]["expires_in"])
                tokens[audience] = HeldToken(
                    token=_text(given[audience]["token"]),
                    expires_at=sent_at + life,
                    renew_at=sent_at + life * renew_share,
                )
            return cls(_text(answer["instance"]), _text(answer["level"]), tokens)
        except (TypeError, KeyError, ValueError):
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
        """Return a JSON-ready copy; store it where only the app can read it: it holds tokens."""
        return {
            "v": _VERSION,
            "instance": self.instance,
            "level": self.level,
            "tokens": {
                audience: {
                    "token": held.token,
                    "expires_at": held.expires_at,
                    "renew_at": held.renew_at,
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
                raise ValueError("got a stored session of another version")
            return cls(
                instance=_text(document["instance"]),
                level=_text(document["level"]),
                tokens={
                    audience: HeldToken(
                        token=_text(held["token"]),
                        expires_at=_seconds(held["expires_at"]),
                        renew_at=_seconds(held["renew_at"]),
                    )
                    for audience, held in document["tokens"].items()
                },
            )
        except (TypeError, KeyError, AttributeError, OverflowError):
            raise ValueError("got something that isn't a stored session") from None


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
