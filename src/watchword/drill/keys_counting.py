"""Go past a quota of one instance: how many calls are too many, also where a window ends meanwhile."""

import math
from collections.abc import Callable
from typing import Final

from watchword.drill.enrolling import enrol_genuine, renew
from watchword.drill.interface import Arena, Attempt, Held, Sample
from watchword.drill.judging import is_of_the_api
from watchword.drill.needs import MissingError, Need
from watchword.drill.volume import MAX_REQUESTS, TOGETHER, allowed_in, excess
from watchword.drill.wire import Call

_BEYOND: Final = 8
_TOO_SLOW: Final = "a window ended while it was being used up"


def past_a_quota(
    arena: Arena,
    sample: Sample,
    call: Callable[[Held], Call],
    most: int,
    seconds: int,
    need: Need,
) -> Attempt:
    """Use a quota up with a new genuine instance and go on; return how many too many were served.

    Halfway the instance is renewed: a new token must bring no new quota.  At the end of the quota several requests go out at
    one moment, of which only as many as there is room for may pass.

    :param most: requests of one instance in each window of so many seconds, aligned to 1970.
    :param need: what is said to be missing where it can't be shown.
    :raises MissingError: when so few requests don't exceed it, or a window ended on the way.
    """
    total = most + _BEYOND
    if total > MAX_REQUESTS:
        raise MissingError(need, f"one of at most {MAX_REQUESTS - _BEYOND}, got {most}")
    held = enrol_genuine(arena)
    began = arena.now()
    half, border = most // 2, max(most // 2, most - TOGETHER // 2)
    answers = [arena.wire.send(call(held)) for _ in range(half)]
    held = renew(arena, held).held or held
    answers += [arena.wire.send(call(held)) for _ in range(half, border)]
    while len(answers) < total:
        count = min(TOGETHER, total - len(answers))
        answers += arena.wire.send_together([call(held) for _ in range(count)])
    windows = math.floor(arena.now() / seconds) - math.floor(began / seconds) + 1
    if most * windows >= total:
        raise MissingError(need, _TOO_SLOW)
    return excess(sample, answers, is_of_the_api, most * windows)


def past_a_rate(
    arena: Arena, sample: Sample, call: Callable[[Held], Call], requests: int, seconds: int
) -> Attempt:
    """Send more requests of a new genuine instance than flow through a rate; see :func:`past_a_quota`."""
    total = 2 * requests + _BEYOND
    if total > MAX_REQUESTS:
        raise MissingError(Need.LIMIT, f"one of at most {(MAX_REQUESTS - _BEYOND) // 2}")
    held = enrol_genuine(arena)
    began = arena.now()
    answers = [arena.wire.send(call(held)) for _ in range(total)]
    allowed = allowed_in((requests, seconds), arena.now() - began)
    if allowed >= total:
        raise MissingError(Need.LIMIT, "requests went out too slowly to go past it")
    return excess(sample, answers, is_of_the_api, allowed)
