"""Put a key of one's own where the gate puts its key, or a placeholder where it doesn't belong."""

from collections.abc import Iterator
from dataclasses import replace

from watchword.broker.interface import PlaceKind
from watchword.drill.interface import (
    Arena,
    Attack,
    Attempt,
    Attempts,
    Lending,
    MissingError,
    Need,
    Sample,
    Variant,
)
from watchword.drill.judging import is_of_the_api
from watchword.drill.requests import TOKEN_HEADER
from watchword.drill.third_party_keys import (
    LENT_EVIDENCE,
    as_genuine,
    heard,
    holds,
    lent_samples,
    unchanged,
)
from watchword.drill.wire import Answer, Call
from watchword.reasons import Reason

_MARKER_BYTES = 12


def _added_to(call: Call, lending: Lending, name: str, value: str) -> Call:
    """Return the call with one more value in the key's place, by whichever spelling of its name."""
    if lending.rule.place.kind is PlaceKind.HEADER:
        return replace(call, headers=(*call.headers, (name, value)))
    mark = "&" if "?" in call.target else "?"
    return replace(call, target=f"{call.target}{mark}{name}={value}")


def _spellings(lending: Lending) -> Iterator[str]:
    """Yield the place's name as servers may take it: CGI folds signs, all fold case and undo escapes."""
    name = lending.rule.place.name
    yield name
    if lending.rule.place.kind is PlaceKind.HEADER:
        yield name.upper()
        if "-" in name:
            yield name.replace("-", "_")
            yield name.replace("-", ".")
    else:
        yield f"%{ord(name[0]):02x}{name[1:]}"
        yield f"{name[:-1]}%{ord(name[-1]):02X}"


def _own_key(arena: Arena) -> Attempts:
    """Bring a key that the third party doesn't know: where it gets there, the answer is another."""
    attempts = []
    for sample, lending in lent_samples(arena):
        if lending.rule.place.placeholder is not None:
            continue
        control = arena.wire.send(as_genuine(arena, sample, sample.call()))
        for name in _spellings(lending):
            marker = arena.random(_MARKER_BYTES).hex()
            value = lending.rule.place.prefix + marker
            call = _added_to(sample.call(), lending, name, value.replace(" ", "%20"))
            if lending.rule.place.kind is PlaceKind.HEADER:
                call = _added_to(sample.call(), lending, name, value)
            answer = arena.wire.send(as_genuine(arena, sample, call))
            told = _echoed(sample, marker, answer, "the third party was sent the client's own key")
            attempts.append(unchanged(sample, answer, control, told))
    if not attempts:
        raise MissingError(Need.LENT_ROUTE, "one that adds a key, and replaces no placeholder")
    return attempts


def _echoed(sample: Sample, marker: str, answer: Answer, told: str) -> str:
    """Return what is wrong where an answer that repeats the request repeats this too."""
    return told if sample.echo and is_of_the_api(answer) and holds(marker, heard(answer)) else ""


def _passed_on(arena: Arena) -> Attempts:
    """Look whether the third party is sent what is between the app and us: the token, its proof, cookies."""
    attempts = []
    for sample, _ in lent_samples(arena):
        if not sample.echo:
            continue
        marker = arena.random(_MARKER_BYTES).hex()
        call = as_genuine(arena, sample, sample.call().with_header("Cookie", f"session={marker}"))
        answer = arena.wire.send(call)
        token = call.header(TOKEN_HEADER) or marker
        found = any(_echoed(sample, each, answer, "x") for each in (marker, token))
        told = "the third party was sent a cookie or the token" * found
        attempts.append(Attempt(sample, answer, served=(0, 1), leaked=told))
    if not attempts:
        raise MissingError(Need.ECHO, "of a third party")
    return attempts


def _misplaced(arena: Arena) -> Attempts:
    """Send the placeholder not at all, twice, or in another place alone."""
    attempts = []
    for sample, lending in lent_samples(arena):
        if lending.rule.place.placeholder is None:
            continue
        attempts += [
            Attempt(sample, arena.wire.send(as_genuine(arena, sample, call)))
            for call in _without_one(sample, lending, lending.rule.place.placeholder)
        ]
    if not attempts:
        raise MissingError(Need.LENT_ROUTE, "one that replaces a placeholder")
    return attempts


def _without_one(sample: Sample, lending: Lending, placeholder: str) -> Iterator[Call]:
    call, place = sample.call(), lending.rule.place
    yield _added_to(call, lending, place.name, placeholder)
    if place.kind is PlaceKind.HEADER:
        bare = call.with_header(place.name, None)
    else:
        path, _, query = call.target.partition("?")
        kept = [each for each in query.split("&") if each.partition("=")[0] != place.name]
        bare = replace(call, target=path + ("?" + "&".join(kept) if any(kept) else ""))
    yield bare
    yield bare.with_header("X-Other", placeholder)
    yield _added_to(bare, lending, place.name, "x" + placeholder[1:])


ATTACK = Attack(
    id="lent-key-replaced",
    title="Bring a key of one's own to the third party",
    techniques=("MT-B18",),
    protections={"PR-B06": LENT_EVIDENCE},
    needs=(Need.GENUINE,),
    sends="Requests of a genuine instance with another key in the place of ours, in several spellings; with a placeholder that is missing, twice there or "
    "in another place.",
    must="The gate overwrites whatever stands in the place, so that the third party answers as before; a placeholder counts once, where the file says.",
    blind="A third party that answers without looking at the key hides what it was sent, unless a sample of it repeats its headers (echo: true).",
    variants=(
        Variant("own-key", _own_key),
        Variant("token-passed-on", _passed_on),
        Variant("placeholder-misplaced", _misplaced, frozenset({Reason.SECRET_PLACEHOLDER})),
    ),
)
