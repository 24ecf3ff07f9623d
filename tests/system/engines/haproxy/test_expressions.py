"""No expression of HAProxy's takes many ways through a text that somebody wrote for it."""

import itertools
import re
from collections.abc import Iterator
from typing import Final

import pytest
from tests.system.engines.haproxy.judge import ROWS
from tests.system.engines.haproxy.pcre2 import Expression, TooManyStepsError
from tests.unit.engines.envoy.rig import bundle_of

from watchword.engines.haproxy import text as names
from watchword.engines.haproxy.generation import generate
from watchword.engines.haproxy.hygiene import harmless_options
from watchword.engines.interface import Endpoint, EngineOptions

STEPS_EACH_BYTE: Final = 40
"""Some look at a text from a dozen sides; whoever tries each blank with each other one takes hundreds."""

BYTES: Final = 400
ATOMS: Final = [
    *(
        b",",
        b" ",
        b"\t",
        b"\n",
        b"-",
        b"_",
        b"/",
        b".",
        b"..",
        b'"',
        b"\\",
        b"=",
        b":",
        b"(",
        b"{",
        b"[",
    ),
    *(
        b"a",
        b"A",
        b"1",
        b"0",
        b"te",
        b"close",
        b"host",
        b"dpop",
        b"watchword-level",
        b"x-forwarded-",
    ),
    *(b"%25", b"%2e", b"%41", b'"sub":', b'"a":1'),
]
BEGINNINGS: Final = (b"", b"a,", b"GET/deep/", b"watchword=(", b'{"iss":"', b"7:clinic-ios:1")
ENDS: Final = (b"", b"\x01")

_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|((?:[^\s"\\]|\\.)+)')
_EXCHANGED: Final = re.compile(r"regsub\('([^']*)'")


def _words(line: str) -> list[str]:
    """Return the words of a line as HAProxy reads them (its manual, section 2.2)."""
    return [re.sub(r"\\(.)", r"\1", each[1] or each[2] or "") for each in _WORD.finditer(line)]


def _expressions() -> Iterator[str]:
    """Yield every expression that is written, in whatever file."""
    here = Endpoint("127.0.0.1", 1)
    bundle = bundle_of(ROWS)
    for file in generate(bundle, EngineOptions("/x", here, here), 0):
        lines = [line.strip() for line in file.content.splitlines() if line.strip()]
        if file.name in {names.PAYLOAD, names.VERSIONS}:
            yield from lines
        elif file.name == names.ROUTES:
            yield from (line.rpartition(" ")[0] for line in lines)
        elif file.name == names.CONFIG:
            for line in lines:
                words = _words(line)
                yield from (found for word in words for found in _EXCHANGED.findall(word))
                for at, word in enumerate(words):
                    if word == "reg" and words[at + 1 : at + 2] == ["--"]:
                        yield words[at + 2]
                    elif word == "reg" and words[at - 3 : at - 2] == ["del-header"]:
                        yield words[at - 2]


EXPRESSIONS: Final = sorted(set(_expressions()))


def _subjects() -> Iterator[bytes]:
    for beginning in BEGINNINGS:
        for atoms in itertools.chain(
            ((each,) for each in ATOMS), itertools.product(ATOMS[:6], ATOMS)
        ):
            repeated = b"".join(atoms)
            text = beginning + (repeated * (BYTES // len(repeated) + 1))[:BYTES]
            yield from (text + end for end in ENDS)


def test_each_way_of_writing_an_expression_is_looked_at() -> None:
    """A form that the test doesn't know would be left out unseen."""
    found = "\n".join(EXPRESSIONS)
    for part in (
        "watchword-token",
        "(?(DEFINE)",
        "clinic\\-ios",
        "(?:/(?:o|%6[Ff])",
        '"epo"',
        r"http2[-!#$%&'*+.^_\x60|~]settings",
    ):
        assert part in found
    assert len(EXPRESSIONS) > len(ROWS) + 20


@pytest.mark.parametrize("text", EXPRESSIONS, ids=lambda text: text[:40])
def test_what_a_text_costs_grows_with_its_length_alone(text: str) -> None:
    """A hundred bytes would keep a core busy for a tenth of a second, and any request may have them."""
    expression = Expression(text.encode("latin-1"))
    costly = []
    for subject in _subjects():
        try:
            expression.matches(subject, STEPS_EACH_BYTE * len(subject))
        except TooManyStepsError:
            costly.append(subject)
    assert costly == []


def test_steps_are_counted() -> None:
    """An expression that can read each blank in two places, as that of Connection once could."""
    bad = Expression(rb"^\s*(?:(?:te)?\s*(?:,\s*|$))*$")
    assert bad.matches(b"te , te", 100)
    with pytest.raises(TooManyStepsError):
        bad.matches(b"te," + b"   ," * 24 + b"\x01", 1_000_000)


@pytest.mark.parametrize(
    ("value", "is_harmless"),
    [
        *(
            (each, True)
            for each in (b"", b" ", b",", b" , ,, ", b"te", b",te,", b"te ,\tClose", b"TE,,te , ")
        ),
        *(
            (each, True)
            for each in (b"watchword~level", b"x_rewrite.url, X-Forwarded-Uri", b"HTTP2-SETTINGS")
        ),
        *(
            (each, False)
            for each in (b"x", b"te te", b"te;", b"te,x", b"x,te", b"tee", b"host", b"te\x01")
        ),
        *(
            (each, False)
            for each in (
                b"x-forwarded-for",
                b"forwarded",
                b"x-real-ip",
                b"watchword-levels",
                b"te x-real-ip",
            )
        ),
    ],
)
def test_which_options_do_no_harm(value: bytes, *, is_harmless: bool) -> None:
    """A list of nothing but what is removed here (RFC 9110 section 7.6.1), with blanks and commas as anybody likes."""
    expression = Expression(harmless_options().encode("latin-1"))
    assert expression.matches(value, 10_000) is is_harmless
