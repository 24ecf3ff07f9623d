"""Guess the key character by character, by where answers are cut that show the guess."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from watchword.drill.enrolment import enrol_genuine
from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempt,
    Attempts,
    Injection,
    MissingError,
    Need,
    Sample,
    Variant,
)
from watchword.drill.judgements import is_of_the_api
from watchword.drill.third_party_keys import (
    INJECTED_EVIDENCE,
    as_genuine,
    borrowed_value,
    injected_samples,
    percent_encoded,
)
from watchword.drill.wire import Answer, Call

PAIRS: Final = 10
"""How many right guesses are sent, each beside a wrong one of the same length.

Where a way cuts answers by chance, all ten pairs differ in the same direction in one run of 512 at most.
"""

_FIRST: Final = 3


def guesses(value: str) -> Sequence[tuple[str, str]]:
    """Return beginnings of a key of many lengths, each with one whose last character alone is wrong."""
    lengths = {_FIRST + (len(value) - 1 - _FIRST) * number // PAIRS for number in range(PAIRS)}
    return [(value[:each], value[: each - 1] + _other(value[each - 1])) for each in sorted(lengths)]


def _other(character: str) -> str:
    return "8" if character != "8" else "9"


def _asking(sample: Sample, guess: str) -> Call:
    """Return the sample's request with a guess at its end, for an answer that is plain text."""
    mark = "&" if "?" in sample.target else "?"
    target = f"{sample.target}{mark}drill={percent_encoded(guess)}"
    return replace(sample.call(), target=target).with_header("Accept", "text/plain")


def _shows(answer: Answer, guess: str) -> bool:
    """Tell whether an answer ends with a guess, where its last piece may be cut off."""
    ends = (guess.encode("latin-1"), percent_encoded(guess).encode("ascii"))
    return answer.body.rstrip(b"\r\n").endswith(ends)


def _shape(answer: Answer) -> tuple[int, int, tuple[int, ...]]:
    return answer.status, len(answer.pieces), answer.pieces


def _boundaries(context: AttackContext) -> Attempts:
    echoing = [
        (sample, injection) for sample, injection in injected_samples(context) if sample.echo
    ]
    if not echoing:
        raise MissingError(Need.ECHO, "of a third party")
    return [_compared(context, *each) for each in echoing[:1]]


def _compared(context: AttackContext, sample: Sample, injection: Injection) -> Attempt:
    """Send right and wrong guesses in turn; return whether what comes back tells them apart."""
    # With a quota of its own: what the run's other attacks use of theirs isn't in the way.
    held = enrol_genuine(context)
    pairs = guesses(borrowed_value(context, injection))
    shapes: list[tuple[int, int, tuple[int, ...]]] = []
    answer = Answer(0)
    for guess in (guess for pair in pairs for guess in pair):
        answer = context.wire.send(as_genuine(context, sample, _asking(sample, guess), held))
        if not is_of_the_api(answer):
            return Attempt(sample, answer, unsure=f"a guess was answered {answer.status}")
        if not _shows(answer, guess):
            return Attempt(sample, answer, unsure="no answer ended with what it was asked for")
        shapes.append(_shape(answer))
    more = sum(right > wrong for right, wrong in zip(shapes[::2], shapes[1::2], strict=True))
    less = sum(right < wrong for right, wrong in zip(shapes[::2], shapes[1::2], strict=True))
    if len(pairs) in {more, less}:
        told = f"right guesses of {injection.rule.secret} are cut otherwise than wrong ones"
        return Attempt(sample, answer, leaked=f"{told}: {len(pairs)} of {len(pairs)}")
    doubt = f"{more + less} of {len(pairs)} right guesses were cut otherwise than wrong ones"
    return Attempt(sample, answer, served=(0, 1), unsure=doubt if more + less else "")


ATTACK = Attack(
    id="injected-key-oracle",
    title="Guess an injected key by where answers are cut",
    techniques=("MT-B18", "MT-C07"),
    protections={"PR-B06": INJECTED_EVIDENCE},
    needs=(Need.SERVICE, Need.GENUINE, Need.KEYS),
    sends="Requests of a genuine instance to a third party that repeats them: beginnings of the key in ten lengths, "
    "and the same with one wrong character.",
    must="Answers to right guesses come in the same pieces as answers to wrong ones.",
    blind="It needs a sample with echo: true whose answer ends with the request's target; elsewhere it is unsure. It "
    "compares the status and the sizes of pieces, not times. If the answer isn't chunked, it sees what one read of the "
    "connection brings, and is unsure if the network cuts answers by itself. It guesses the key only as it is, in no "
    "encoding.",
    variants=(Variant("boundaries", _boundaries),),
)
