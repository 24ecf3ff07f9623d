"""Send many requests, few enough to do no harm, and count those that reached the API: scraping, sign-ins, and quotas of one instance."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from watchword.drill.enrolment import enrol_genuine, renew
from watchword.drill.interface import AttackContext, Attempt, Held, MissingError, Need, Sample
from watchword.drill.judgements import is_of_the_api
from watchword.drill.requests import genuine_call
from watchword.drill.wire import Answer, Call
from watchword.vocabulary import Proof

MAX_REQUESTS: Final = 380
"""Most requests of one attack to the API: enough to tell a limit from none, too few to be a load."""

TOGETHER: Final = 8
"""Requests that are sent at one moment, where a limit that counts late would let several through."""

_UNLIMITED: Final = 15 * TOGETHER
"""Requests of one instance in a row that no limit which deserves the name lets pass."""

_MARGIN: Final = 20
TOO_SLOW: Final = "requests went out too slowly to go past it"
_FIRST_BROKEN: Final = 500

Counts = Callable[[Answer], bool]
"""Tell whether an answer says that the request reached the API."""


def tallied(sample: Sample, answers: Sequence[Answer], counts: Counts = is_of_the_api) -> Attempt:
    """Return how many of the answers were the API's; a refusal that is a breakdown stands for all.

    :param sample: one that the genuine app is served.
    """
    refused = [each for each in answers if not counts(each)]
    broken = [each for each in refused if each.status == 0 or each.status >= _FIRST_BROKEN]
    shown = (broken or refused or answers)[0]
    return Attempt(sample, shown, served=(len(answers) - len(refused), len(answers)))


def numbered_sample(context: AttackContext) -> Sample:
    """Return a sample that reads the record of a number.

    :raises MissingError: when there is none.
    """
    for sample in context.guarded:
        last = sample.target.partition("?")[0].rpartition("/")[2]
        if sample.method == "GET" and last.isdigit():
            return sample
    raise MissingError(Need.SAMPLE, "a GET whose path ends in a number")


def at_number(target: str, number: int) -> str:
    """Return a target with another number at the end of its path."""
    path, mark, query = target.partition("?")
    return f"{path.rpartition('/')[0]}/{number}{mark}{query}"


def disguised(call: Call, number: int) -> Call:
    """Return the call as if somebody else sent it from elsewhere: all of this is free text."""
    agents = ("okhttp/4.12.0", "CFNetwork/1568.200.51 Darwin/24.1.0", "Dart/3.5 (dart:io)")
    # 198.51.100.0/24 and 203.0.113.0/24 are for documentation (RFC 5737): nobody's.
    address = f"{'198.51.100' if number % 2 else '203.0.113'}.{number % 254 + 1}"
    call = call.with_header("User-Agent", agents[number % len(agents)])
    for name in ("X-Forwarded-For", "X-Real-IP", "True-Client-IP"):
        call = call.with_header(name, address)
    return call


def past_the_limit(
    context: AttackContext,
    sample: Sample,
    call: Callable[[Held, int], Call],
    counts: Callable[[Held], Counts],
) -> Attempt:
    """Send more requests of one genuine instance than its limit allows, and count what was clearly too much.

    Halfway the instance is renewed, since a new token must bring no new limit; about where the limit is met several go
    out at one moment.

    :param sample: one that the genuine app is served.
    :param call: returns the request of a number.
    :param counts: returns what tells whether an answer is the API's; it may send a request itself.
    :raises MissingError: where there is no limit, or none that so few requests exceed.
    """
    if context.facts.rate is None:
        return _without_limit(context, sample, call, counts)
    requests, seconds = limit_of(context)
    total = min(MAX_REQUESTS, 2 * requests + _MARGIN)
    held = enrol_genuine(context)
    reaches = counts(held)
    began = context.now()
    half = min(total, requests) // 2
    answers = [context.wire.send(call(held, number)) for number in range(half)]
    if allowed_in((requests, seconds), (context.now() - began) * total / max(1, half)) >= total:
        raise MissingError(Need.RATE, TOO_SLOW)  # Known by now: the rest would take as long.
    held = renew(context, held).held or held
    border = max(half, requests - TOGETHER)
    answers += [context.wire.send(call(held, number)) for number in range(half, border)]
    for first in range(border, total, TOGETHER):
        numbers = range(first, min(first + TOGETHER, total))
        answers += context.wire.send_together([call(held, number) for number in numbers])
    return excess(sample, answers, reaches, allowed_in((requests, seconds), context.now() - began))


def allowed_in(rate: tuple[int, int], elapsed: float) -> int:
    """Return how many requests of one instance a limit lets pass in so many seconds, generously.

    A full bucket, what flows in meanwhile, and a twentieth for what nobody measures: clocks, and how long answers took.
    """
    requests, seconds = rate
    return requests + math.ceil(max(0.0, elapsed) * requests / seconds) + max(2, requests // 20)


def excess(sample: Sample, answers: Sequence[Answer], counts: Counts, allowed: int) -> Attempt:
    """Return how many of the answers were served beyond what is allowed, of how many that went out beyond it.

    :raises MissingError: when not more went out than is allowed: a limit would have been met by none.
    """
    if allowed >= len(answers):
        raise MissingError(Need.RATE, TOO_SLOW)
    attempt = tallied(sample, answers, counts)
    served, of = attempt.served or (0, 0)
    return replace(attempt, served=(max(0, served - allowed), of - allowed))


def each_of(context: AttackContext, calls: Iterable[Call]) -> list[Answer]:
    """Send requests one after the other."""
    return [context.wire.send(each) for each in calls]


def _without_limit(
    context: AttackContext,
    sample: Sample,
    call: Callable[[Held, int], Call],
    counts: Callable[[Held], Counts],
) -> Attempt:
    """Send as many requests as show that no limit is met: a limit that nobody set is open, and not untried.

    :raises MissingError: where one of the API's limits holds there, which has an attack of its own, or something else stops them.
    """
    if _is_limited(context, sample):
        raise MissingError(
            Need.RATE, "one of its `limits` holds there: limit-with-instance tries it"
        )
    held = enrol_genuine(context)
    reaches = counts(held)
    answers: list[Answer] = []
    for first in range(0, _UNLIMITED, TOGETHER):
        numbers = range(first, first + TOGETHER)
        answers += context.wire.send_together([call(held, number) for number in numbers])
    attempt = tallied(sample, answers, reaches)
    if attempt.served != (_UNLIMITED, _UNLIMITED):
        raise MissingError(Need.RATE, f"something else answers {attempt.answer.status} in between")
    return attempt


def least_limited(context: AttackContext) -> Sample:
    """Return a sample on which none of the API's limits holds, of an API without a rate; any where there is none."""
    if context.facts.rate is None:
        for sample in context.guarded:
            if sample.injection is None and not _is_limited(context, sample):
                return sample
    return context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)


def _is_limited(context: AttackContext, sample: Sample) -> bool:
    """Tell whether one of the API's limits holds on a sample, whatever the app's version is."""
    return any(
        each.enforced and not each.below and (not each.routes or sample.route in each.routes)
        for each in context.facts.limits
    )


def limit_of(context: AttackContext) -> tuple[int, int]:
    """Return how many requests one instance may send in how many seconds.

    :raises MissingError: where there is no limit, or none that so few requests exceed.
    """
    if context.facts.rate is None:
        raise MissingError(Need.RATE)
    requests, seconds = context.facts.rate
    if requests + requests // 20 + _MARGIN > MAX_REQUESTS:
        raise MissingError(Need.RATE, f"one that {MAX_REQUESTS} requests exceed, got {requests}")
    return requests, seconds


_UNANSWERED: Final = frozenset({0, 429, 500, 502, 503, 504})
_EITHERS: Final = frozenset({401, 403})


def login_sample(context: AttackContext) -> Sample:
    """Return the sample that signs in.

    :raises MissingError: when there is none.
    """
    for sample in context.samples:
        if sample.login:
            return sample
    raise MissingError(Need.LOGIN)


def made_up_name(context: AttackContext) -> str:
    """Return a user's name that is nobody's: no account of a real person is locked by a drill."""
    return f"drill-{context.random(8).hex()}"


def guess(context: AttackContext, sample: Sample, name: str) -> Sample:
    """Return the sign-in with this name and a password that is wrong."""
    body = sample.body.replace(b"{name}", name.encode())
    return replace(sample, body=body.replace(b"{password}", context.random(8).hex().encode()))


def wrong_password(context: AttackContext, held: Held) -> Answer:
    """Return what the genuine app is answered to a wrong password.

    :raises MissingError: where not even that reaches the API.
    """
    sample = login_sample(context)
    wrong = guess(context, sample, made_up_name(context))
    answer = context.wire.send(genuine_call(context, wrong, held))
    if not reached(None)(answer):
        raise MissingError(Need.LOGIN, "the genuine app's sign-in isn't answered by the API")
    return answer


def reached(genuine: Answer | None) -> Counts:
    """Return what tells whether the API itself answered a sign-in.

    401 and 403 are an API's words for a wrong password and a gate's for a missing token.  A gate of Watchword's says
    which it is; of another the genuine app's answer tells.

    :param genuine: what the genuine app was answered, None where there is none.
    """

    def counts(answer: Answer) -> bool:
        if answer.public_class is not None or answer.status in _UNANSWERED:
            return False
        if genuine is None or answer.status not in _EITHERS:
            return True
        return _kind(answer) == _kind(genuine)

    return counts


def reached_from(context: AttackContext) -> Callable[[Held], Counts]:
    """Return :func:`reached` by the answer to an instance, which is asked once."""
    return lambda held: reached(wrong_password(context, held))


def _kind(answer: Answer) -> tuple[int, str]:
    media_type = (answer.header("content-type") or "").partition(";")[0].strip().lower()
    return answer.status, media_type


_BEYOND: Final = 8
_TOO_SLOW: Final = "a window ended while it was being used up"


def past_a_quota(
    context: AttackContext,
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
    held = enrol_genuine(context)
    began = context.now()
    half, border = most // 2, max(most // 2, most - TOGETHER // 2)
    answers = [context.wire.send(call(held)) for _ in range(half)]
    held = renew(context, held).held or held
    answers += [context.wire.send(call(held)) for _ in range(half, border)]
    while len(answers) < total:
        count = min(TOGETHER, total - len(answers))
        answers += context.wire.send_together([call(held) for _ in range(count)])
    windows = math.floor(context.now() / seconds) - math.floor(began / seconds) + 1
    if most * windows >= total:
        raise MissingError(need, _TOO_SLOW)
    return excess(sample, answers, is_of_the_api, most * windows)


def past_a_rate(
    context: AttackContext,
    sample: Sample,
    call: Callable[[Held], Call],
    requests: int,
    seconds: int,
) -> Attempt:
    """Send more requests of a new genuine instance than flow through a rate; see :func:`past_a_quota`."""
    total = 2 * requests + _BEYOND
    if total > MAX_REQUESTS:
        raise MissingError(Need.LIMIT, f"one of at most {(MAX_REQUESTS - _BEYOND) // 2}")
    held = enrol_genuine(context)
    began = context.now()
    answers = [context.wire.send(call(held)) for _ in range(total)]
    allowed = allowed_in((requests, seconds), context.now() - began)
    if allowed >= total:
        raise MissingError(Need.LIMIT, "requests went out too slowly to go past it")
    return excess(sample, answers, is_of_the_api, allowed)
