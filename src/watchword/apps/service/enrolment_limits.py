"""Hold back enrolments that come in bulk: by app and by address prefix, in bounded memory.

One genuine phone makes any number of instances, and most evidence doesn't name the phone.  These limits bound how fast:
they delay, and refuse nobody for good.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from watchword.apps.settings.schema import EnrolmentRates
from watchword.gate.interface import Rate
from watchword.gate.rate import RateLimiter
from watchword.reasons import Reason, UnavailableError

MAX_PREFIXES: Final = 100_000
"""Most prefixes that are told apart, 20 MB; those beyond share limits (:class:`watchword.gate.rate.RateLimiter`)."""


class EnrolmentLimits:
    """Give each enrolment room by address and app, or send it away until there is some.

    **Fairness.**  A prefix that has enrolled just now shares half of its app's limit with others of its kind; the other
    half is for prefixes that haven't.  So neither one prefix nor many busy ones keep out a phone at an address of its own.

    **What counts** is what enrols.  An enrolment takes its room before its evidence is looked at, and gives it back
    where it fails: neither nonsense nor a policy that refuses everybody uses up a limit.
    """

    def __init__(self, rates: EnrolmentRates, prefixes: int = MAX_PREFIXES) -> None:
        """Begin with all the room there is.

        :param prefixes: most that are told apart.
        """
        self._addresses = RateLimiter(rates.address, prefixes)
        self._apps = RateLimiter(rates.app)
        self._again = RateLimiter(Rate(max(1, rates.app.requests // 2), rates.app.seconds))

    def __len__(self) -> int:
        """Return how many prefixes are held."""
        return len(self._addresses)

    @contextmanager
    def room(self, app: str, address: str | None, now: datetime) -> Iterator[None]:
        """Take room for one enrolment; an exception gives it back.

        :param app: known, since each has limits of its own.
        :param address: the prefix; None where clients can't be told apart by it.
        :raises UnavailableError: ``enrolment.limit``, with the seconds until there is room.
        """
        at = now.timestamp()
        taken = [(self._apps, app)]
        if address is not None:
            if self._addresses.is_spent(address, at):
                taken.append((self._again, app))
            taken.append((self._addresses, address))
        # All are asked before one counts: what is sent away takes nothing of any.
        wait = max(limiter.wait(name, at) for limiter, name in taken)
        if wait:
            raise UnavailableError(
                Reason.ENROLMENT_LIMIT,
                "got more enrolments of one app, or from one address, than there is room for",
                math.ceil(wait),
            )
        for limiter, name in taken:
            limiter.take(name, at)
        try:
            yield
        except BaseException:
            for limiter, name in taken:
                limiter.give_back(name)
            raise
