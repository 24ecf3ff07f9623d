"""Try passwords of people that there aren't, and tell whether the API itself looked at them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from watchword.drill.interface import Arena, Held, Sample
from watchword.drill.needs import MissingError, Need
from watchword.drill.requests import genuine_call
from watchword.drill.volume import Counts
from watchword.drill.wire import Answer

_UNANSWERED: Final = frozenset({0, 429, 500, 502, 503, 504})
_EITHERS: Final = frozenset({401, 403})


def login_sample(arena: Arena) -> Sample:
    """Return the sample that signs in.

    :raises MissingError: when there is none.
    """
    for sample in arena.samples:
        if sample.login:
            return sample
    raise MissingError(Need.LOGIN)


def made_up_name(arena: Arena) -> str:
    """Return a user's name that is nobody's: no account of a real person is locked by a drill."""
    return f"drill-{arena.random(8).hex()}"


def guess(arena: Arena, sample: Sample, name: str) -> Sample:
    """Return the sign-in with this name and a password that is wrong."""
    body = sample.body.replace(b"{name}", name.encode())
    return replace(sample, body=body.replace(b"{password}", arena.random(8).hex().encode()))


def wrong_password(arena: Arena, held: Held) -> Answer:
    """Return what the genuine app is answered to a wrong password.

    :raises MissingError: where not even that reaches the API.
    """
    sample = login_sample(arena)
    wrong = guess(arena, sample, made_up_name(arena))
    answer = arena.wire.send(genuine_call(arena, wrong, held))
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


def reached_from(arena: Arena) -> Callable[[Held], Counts]:
    """Return :func:`reached` by the answer to an instance, which is asked once."""
    return lambda held: reached(wrong_password(arena, held))


def _kind(answer: Answer) -> tuple[int, str]:
    media_type = (answer.header("content-type") or "").partition(";")[0].strip().lower()
    return answer.status, media_type
