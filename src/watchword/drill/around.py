"""Add headers to requests so that a gate and the API behind it may read them differently; tell whether they changed anything."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from watchword.drill.interface import AttackContext, Attempt, MissingError, Need, Sample
from watchword.drill.judgements import is_of_the_api
from watchword.drill.requests import credential_of, with_token
from watchword.drill.wire import Answer, Call
from watchword.vocabulary import Mode, Proof

RESULT_NAMES = ("Watchword-Instance", "Watchword-Level", "Watchword-App", "Watchword-Verdict")
"""Headers by which a gate tells the API who is there (protocol, section 7)."""


MAX_NAME: Final = 64
"""Most characters of a header's name that is made up."""

MAX_ARMED: Final = 8
"""Most samples that are sent in every disguise."""

_FIRST_ERROR: Final = 400
_HEX_BYTES: Final = 8


def strictest(context: AttackContext) -> Sample:
    """Return a sample that asks for a proof, one that asks for a token alone where none does."""
    return context.sample(Proof.SESSION, Proof.DEVICE, Proof.BEARER)


def with_stolen_token(context: AttackContext, sample: Sample, call: Call) -> Call:
    """Return the call as a thief sends it who has the token and not the key: it opens routes that ask for no proof.

    Where the sample itself asks for none, or there is no genuine instance to steal from, he has nothing.
    """
    if sample.proof is Proof.BEARER:
        return call
    try:
        held = context.genuine()
    except MissingError:
        return call
    return with_token(call, credential_of(held, context.facts.audience).token)


def named(context: AttackContext, name: str) -> Answer:
    """Ask for the strictest sample by another name of its path, with what a thief of the token has.

    That is enough for a laxer route, and not for the path's own.
    """
    sample = strictest(context)
    _, mark, query = sample.target.partition("?")
    call = replace(sample.call(), target=name + mark + query)
    return context.wire.send(with_stolen_token(context, sample, call))


def path_of(sample: Sample) -> str:
    """Return a sample's path.

    :raises MissingError: for the root, which has no other name.
    """
    path = sample.target.partition("?")[0]
    if not path.strip("/"):
        raise MissingError(Need.SAMPLE, "one whose path is more than /")
    return path


def first_and_rest(path: str) -> tuple[str, str]:
    """Return the path's first segment and the rest, each with its slash."""
    first, slash, rest = path[1:].partition("/")
    return f"/{first}", slash + rest


def known_by(context: AttackContext, names: Sequence[str]) -> list[Attempt]:
    """Ask by names that an API may or may not take for the path; return what it knows, and what was refused.

    What the API answers to any path that it hasn't is no sign that it knows this one.  Where it knows none of them, the
    path is asked for by its own name.
    """
    sample = strictest(context)
    nonsense = named(context, f"/{context.random(_HEX_BYTES).hex()}{path_of(sample)}")
    attempts = []
    for name in names:
        answer = named(context, name)
        if not is_of_the_api(answer):
            attempts.append(Attempt(sample, answer))
        elif answer.status != nonsense.status:
            attempts.append(Attempt(sample, answer, served=(1, 1)))
    return attempts or [Attempt(sample, named(context, path_of(sample)))]


def echo_sample(context: AttackContext) -> Sample:
    """Return a sample whose answer repeats the headers that the API saw.

    :raises MissingError: when there is none.
    """
    for sample in context.samples:
        if sample.echo and not sample.login:
            return sample
    raise MissingError(Need.ECHO)


def armed(context: AttackContext) -> Iterator[Sample]:
    """Yield a sample of each route and method, those that sign in and those that are open to all aside.

    Rules are the route's, so that one is enough; of more than :data:`MAX_ARMED` routes the first are tried.
    """
    found: dict[tuple[str | None, str], Sample] = {}
    for sample in context.samples:
        if not sample.login and sample.mode is not Mode.OFF:
            found.setdefault((sample.route, sample.method), sample)
    yield from list(found.values())[:MAX_ARMED]


def _renamed_decoy(plain: Call, decorated: Call) -> Call:
    """Return the plain call with the headers that the other has beyond it, by names of the same length without a meaning."""
    added = [pair for pair in decorated.headers if pair not in plain.headers]
    renamed = tuple((("X-" + "n" * MAX_NAME)[: len(name)], value) for name, value in added)
    return Call(plain.part, plain.method, plain.target, plain.headers + renamed, plain.body)


def if_it_matters(
    context: AttackContext, sample: Sample, plain: Call, decorated: Call
) -> list[Attempt]:
    """Send a request plain, with added headers and plain again; return the one with headers, or nothing where they changed nothing.

    What anybody may ask for is served plain.  It is a bypass only where the headers make the API serve something else; an
    answer that changes by itself is told from that by its status alone.  An API that repeats its headers answers every
    header otherwise: the plain request has the added headers too, under names that nobody reads.  A gate that removes the
    added headers, as it should, leaves the answer to the request without it.
    """
    decoy = _renamed_decoy(plain, decorated)
    before, after, again = (context.wire.send(each) for each in (decoy, decorated, decoy))
    if not is_of_the_api(after):
        return [Attempt(sample, after)]
    steady = len(before.body) == len(again.body)
    if after.status >= _FIRST_ERROR or _alike(before, after, steady=steady):
        return []
    if _alike(context.wire.send(plain), after, steady=steady):
        return []
    return [Attempt(sample, after, served=(1, 1))]


def _alike(one: Answer, other: Answer, *, steady: bool) -> bool:
    """Tell whether two answers are the same, as far as such answers stay the same."""
    return one.status == other.status and not (steady and len(one.body) != len(other.body))
