"""Put a key of one's own where the gate puts its key, or a placeholder where it doesn't belong."""

from collections.abc import Iterator
from dataclasses import replace

from watchword.broker.interface import PlaceKind
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
from watchword.drill.requests import TOKEN_HEADER
from watchword.drill.third_party_keys import (
    INJECTED_EVIDENCE,
    as_genuine,
    heard,
    holds,
    injected_samples,
    unchanged,
)
from watchword.drill.wire import Answer, Call
from watchword.reasons import Reason

_MARKER_BYTES = 12


def _added_to(call: Call, injection: Injection, name: str, value: str) -> Call:
    """Return the call with one more value in the key's place, by whichever spelling of its name."""
    if injection.rule.place.kind is PlaceKind.HEADER:
        return replace(call, headers=(*call.headers, (name, value)))
    mark = "&" if "?" in call.target else "?"
    return replace(call, target=f"{call.target}{mark}{name}={value}")


def _spellings(injection: Injection) -> Iterator[str]:
    """Yield the place's name as servers may take it: CGI folds signs, all fold case and undo escapes."""
    name = injection.rule.place.name
    yield name
    if injection.rule.place.kind is PlaceKind.HEADER:
        yield name.upper()
        if "-" in name:
            yield name.replace("-", "_")
            yield name.replace("-", ".")
    else:
        yield f"%{ord(name[0]):02x}{name[1:]}"
        yield f"{name[:-1]}%{ord(name[-1]):02X}"


def _own_key(context: AttackContext) -> Attempts:
    """Bring a key that the third party doesn't know: where it gets there, the answer is another."""
    attempts = []
    for sample, injection in injected_samples(context):
        if injection.rule.place.placeholder is not None:
            continue
        control = context.wire.send(as_genuine(context, sample, sample.call()))
        for name in _spellings(injection):
            marker = context.random(_MARKER_BYTES).hex()
            value = injection.rule.place.prefix + marker
            call = _added_to(sample.call(), injection, name, value.replace(" ", "%20"))
            if injection.rule.place.kind is PlaceKind.HEADER:
                call = _added_to(sample.call(), injection, name, value)
            answer = context.wire.send(as_genuine(context, sample, call))
            told = _echoed(sample, marker, answer, "the third party was sent the client's own key")
            attempts.append(unchanged(sample, answer, control, told))
    if not attempts:
        raise MissingError(Need.INJECTED_ROUTE, "one that adds a key, and replaces no placeholder")
    return attempts


def _echoed(sample: Sample, marker: str, answer: Answer, told: str) -> str:
    """Return what is wrong where an answer that repeats the request repeats this too."""
    return told if sample.echo and is_of_the_api(answer) and holds(marker, heard(answer)) else ""


def _passed_on(context: AttackContext) -> Attempts:
    """Look whether the third party is sent what is between the app and us: the token, its proof, cookies."""
    attempts = []
    for sample, _ in injected_samples(context):
        if not sample.echo:
            continue
        marker = context.random(_MARKER_BYTES).hex()
        call = as_genuine(context, sample, sample.call().with_header("Cookie", f"session={marker}"))
        answer = context.wire.send(call)
        token = call.header(TOKEN_HEADER) or marker
        found = any(_echoed(sample, each, answer, "x") for each in (marker, token))
        told = "the third party was sent a cookie or the token" * found
        attempts.append(Attempt(sample, answer, served=(0, 1), leaked=told))
    if not attempts:
        raise MissingError(Need.ECHO, "of a third party")
    return attempts


def _misplaced(context: AttackContext) -> Attempts:
    """Send the placeholder not at all, twice, or in another place alone."""
    attempts = []
    for sample, injection in injected_samples(context):
        if injection.rule.place.placeholder is None:
            continue
        attempts += [
            Attempt(sample, context.wire.send(as_genuine(context, sample, call)))
            for call in _without_one(sample, injection, injection.rule.place.placeholder)
        ]
    if not attempts:
        raise MissingError(Need.INJECTED_ROUTE, "one that replaces a placeholder")
    return attempts


def _without_one(sample: Sample, injection: Injection, placeholder: str) -> Iterator[Call]:
    call, place = sample.call(), injection.rule.place
    yield _added_to(call, injection, place.name, placeholder)
    if place.kind is PlaceKind.HEADER:
        bare = call.with_header(place.name, None)
    else:
        path, _, query = call.target.partition("?")
        kept = [each for each in query.split("&") if each.partition("=")[0] != place.name]
        bare = replace(call, target=path + ("?" + "&".join(kept) if any(kept) else ""))
    yield bare
    yield bare.with_header("X-Other", placeholder)
    yield _added_to(bare, injection, place.name, "x" + placeholder[1:])


ATTACK = Attack(
    id="lent-key-replaced",
    title="Bring a key of one's own to the third party",
    techniques=("MT-B18",),
    protections={"PR-B06": INJECTED_EVIDENCE},
    needs=(Need.GENUINE,),
    sends="Requests of a genuine instance with another key in the key's place, in several spellings. Then with a "
    "placeholder that is missing, repeated or in another place.",
    must="The gate overwrites whatever stands in the place, so the third party answers as before. A placeholder "
    "counts once, where the file says.",
    blind="A third party that answers without checking the key hides what it was sent, unless a sample of it repeats "
    "its headers (echo: true).",
    variants=(
        Variant("own-key", _own_key),
        Variant("token-passed-on", _passed_on),
        Variant("placeholder-misplaced", _misplaced, frozenset({Reason.SECRET_PLACEHOLDER})),
    ),
)
