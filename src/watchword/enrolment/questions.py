"""Bound the questions that strangers can make us ask a vendor, who counts them against a quota.

A challenge costs nothing, and evidence of the right form is easily made up: whoever asks for challenges
in a loop has Google decode as many forged tokens as he likes, until the app's quota for the day is
used up and nobody enrols any more.  Two bounds hold in each process: a challenge buys one question, and a
package has so many a minute.
"""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

from watchword.enrolment.interface import CHALLENGE_SECONDS
from watchword.reasons import Reason, RefusedError, UnavailableError

QUESTIONS_A_MINUTE: Final = 120
"""Most questions about one package within a minute; Google's quota by default is 10,000 a day."""

MAX_REMEMBERED: Final = 10_000
"""Most challenges that are remembered, of all packages: about 2 MB.  No more questions are asked then."""

_MINUTE: Final = timedelta(minutes=1)
_LIFE: Final = timedelta(seconds=CHALLENGE_SECONDS)


class VendorQuestions:
    """Know which questions were asked lately; belongs to one event loop and one process."""

    def __init__(
        self, a_minute: int = QUESTIONS_A_MINUTE, remembered: int = MAX_REMEMBERED
    ) -> None:
        """Remember nothing yet.

        :param a_minute: most questions about one package within a minute.
        :param remembered: most challenges that are remembered.
        """
        self._a_minute = a_minute
        self._remembered = remembered
        self._spent: dict[bytes, datetime] = {}
        self._asked: dict[str, deque[datetime]] = {}

    def spend(self, challenge: bytes, package: str, now: datetime) -> None:
        """Return if a question may be asked now, and count it.

        :param challenge: one that was made here and lives; it is remembered for as long as any can live.
        :param package: one that is configured: each has its count kept.
        :raises RefusedError: ``challenge.used`` when it bought its question already.
        :raises UnavailableError: ``service.overloaded`` when too much was asked; the challenge stays good.
        """
        self._forget(now)
        if challenge in self._spent:
            raise RefusedError.because(
                Reason.CHALLENGE_USED, "a token that came with it was sent to Google already"
            )
        asked = self._asked.setdefault(package, deque())
        # One that lies in the future is of before the clock was set back.
        while asked and abs(now - asked[0]) >= _MINUTE:
            asked.popleft()
        if len(asked) >= self._a_minute:
            raise UnavailableError(
                Reason.SERVICE_OVERLOADED,
                f"asked Google to decode {len(asked)} tokens of {package} within a minute, the most "
                "that are sent: a flood of forged tokens, or an app that needs keys of its own",
                _seconds_until(asked[0] + _MINUTE, now),
            )
        if len(self._spent) >= self._remembered:
            raise UnavailableError(
                Reason.SERVICE_OVERLOADED,
                f"remembers {len(self._spent)} challenges that came with tokens, the most there can be",
                _seconds_until(next(iter(self._spent.values())), now),
            )
        asked.append(now)
        self._spent[challenge] = now + _LIFE

    def give_back(self, challenge: bytes) -> None:
        """Let a challenge buy another question, after one that nobody answered.

        The question itself stays counted, so that an outage at Google's opens no flood.
        """
        self._spent.pop(challenge, None)

    def _forget(self, now: datetime) -> None:
        """Drop the challenges that are dead by now; they stand in the order of their age."""
        while self._spent:
            challenge, until = next(iter(self._spent.items()))
            if now < until:
                return
            del self._spent[challenge]


def _seconds_until(at: datetime, now: datetime) -> int:
    return max(1, min(int((at - now).total_seconds()) + 1, CHALLENGE_SECONDS))
