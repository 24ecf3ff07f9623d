"""Ask third parties through the gate that lends their keys, as the genuine app does or nearly so; look for keys in what comes back."""

import base64
import json
import string
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from watchword.drill.interface import Arena, Attempt, Held, Lending, Sample
from watchword.drill.judging import is_of_the_api
from watchword.drill.needs import MissingError, Need
from watchword.drill.requests import credential_of, proved
from watchword.drill.wire import Answer, Call
from watchword.vocabulary import Mode

_REFUSED_BY_THIRD: Final = frozenset({401, 403})
_UNRESERVED: Final = frozenset(f"{string.ascii_letters}{string.digits}-._~")
"""Characters that need no percent-encoding (RFC 3986 section 2.3)."""

_GROUP: Final = 3
_LEAST: Final = 8
"""Values of fewer signs are found anywhere by chance."""

LENT_EVIDENCE: Final = "live:broker.lent"
"""Evidence of PR-B06: that a deployment lends keys, and to nobody else."""


def lent_samples(arena: Arena) -> tuple[tuple[Sample, Lending], ...]:
    """Return the samples that a third party answers, each with what is lent for it.

    :raises MissingError: when there is none.
    """
    found = tuple(
        (each, each.lending)
        for each in arena.samples
        if each.lending is not None and each.mode is not Mode.OFF
    )
    if not found:
        raise MissingError(Need.LENT_ROUTE)
    return found


def lent_sample(arena: Arena) -> tuple[Sample, Lending]:
    """Return the first of them; raises as :func:`lent_samples` does."""
    return lent_samples(arena)[0]


def as_genuine(arena: Arena, sample: Sample, call: Call, held: Held | None = None) -> Call:
    """Return a call with the token and the proof of a genuine instance, the shared one where none is given.

    :raises MissingError: when there is none.
    """
    credential = credential_of(held or arena.genuine(), arena.facts.audience)
    return proved(arena, call, credential, sample.proof)


def beyond(lending: Lending, path: str) -> str:
    """Return the target under which the gate asks the third party for a path."""
    return lending.mount + path


def there(sample: Sample, lending: Lending) -> str:
    """Return the path of a sample as the third party is asked for it."""
    return sample.target.partition("?")[0].removeprefix(lending.mount)


def at(sample: Sample, path: str, *, query: bool = True) -> Call:
    """Return the sample's request under another path, with its own query."""
    _, mark, words = sample.target.partition("?")
    return replace(sample.call(), target=path + (mark + words if query else ""))


def borrowed_value(arena: Arena, lending: Lending) -> str:
    """Return the key that is lent now, to be looked for.

    :raises MissingError: when it can't be borrowed.
    """
    lent = arena.borrowed().lent(lending.rule.secret)
    if lent is None or len(lent.value.text) < _LEAST:
        raise MissingError(Need.KEYS, f"the gate lends nothing for {lending.rule.secret}")
    return lent.value.text


def percent_encoded(text: str) -> str:
    """Return visible ASCII as it stands in the value of a parameter."""
    return "".join(each if each in _UNRESERVED else f"%{ord(each):02X}" for each in text)


def holds(value: str, data: bytes) -> bool:
    """Tell whether data holds a key, plain or in one of the writings that servers put things into.

    Looked for: as it is, percent-encoded, as JSON writes it, in hexadecimal, in base64 and base64url from each of the three
    bytes on which it may begin; case aside.
    """
    text = data.decode("latin-1").lower()
    return any(form in text for form in _forms(value))


def _forms(value: str) -> Iterator[str]:
    raw = value.encode()
    yield value.lower()
    yield percent_encoded(value).lower()
    yield json.dumps(value)[1:-1].lower()
    yield raw.hex()
    for before in range(_GROUP):
        # What stands in groups that the value fills alone is the same, whatever is before and behind it.
        coded = base64.b64encode(b"\x00" * before + raw)
        start = 0 if before == 0 else 4
        whole = coded[start : (before + len(raw)) // _GROUP * 4].decode()
        if len(whole) >= _LEAST:
            yield whole.lower()
            yield whole.replace("+", "-").replace("/", "_").lower()


def heard(answer: Answer) -> bytes:
    """Return all that an answer says: its headers and its body."""
    lines = "\n".join(f"{name}: {value}" for name, value in answer.headers)
    return lines.encode("latin-1", "replace") + b"\n" + answer.body


def unchanged(sample: Sample, answer: Answer, control: Answer, told: str = "") -> Attempt:
    """Return the attempt of somebody who tried to change what the third party is asked, or with which key.

    Where it is answered as before, nothing was changed; where the third party itself refuses, or answers otherwise, something was.

    :param control: the answer to the same request without the attempt.
    :param told: what was found in the answer, empty for nothing.
    """
    if not told and answer.public_class is None and answer.status in _REFUSED_BY_THIRD:
        told = f"the third party refused with {answer.status}: it wasn't sent our key"
    if not told and is_of_the_api(answer) and answer.status != control.status:
        told = f"answered {answer.status} in place of {control.status}: something else was asked"
    return Attempt(sample, answer, served=(0, 1), leaked=told)
