"""Show that the search for an injected key answers no guess: not by what it sends, not by pieces, not by its time."""

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.apps.gateway.proxy.injection import (
    PIECE_BYTES,
    KeyForms,
    KeyFoundError,
    KeySearch,
)
from watchword.broker.interface import SecretValue

KEYS = (
    "sk-live-4711/ABCdef+xyz=0815",
    "dXNlcjp0aGUtcGFzc3dvcmQtMDgxNQ==",
    "8 bytes!".replace(" ", "_"),
)


class Clock:
    """Be a clock that goes on by what each look takes, and keep what was slept."""

    def __init__(self, *times: float) -> None:
        """Tell these times, one after the other."""
        self.times = list(times)
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        self.now = self.times.pop(0) if self.times else self.now
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Keep what was asked for."""
        self.slept.append(seconds)


def search(key: str, *, whole: bool, clock: Clock | None = None) -> KeySearch:
    """Return a search."""
    clock = clock or Clock()
    return KeySearch(KeyForms(SecretValue(key)), whole=whole, clock=clock, sleep=clock.sleep)


def finished(found: KeySearch) -> list[bytes]:
    """Return the pieces at the end."""

    async def collect() -> list[bytes]:
        return [piece async for piece in found.finish()]

    return asyncio.run(collect())


async def sizes(forms: KeyForms, pieces: Iterable[bytes], *, whole: bool) -> list[int]:
    """Return how long each piece is that goes on, also those of no length."""
    clock = Clock()
    found = KeySearch(forms, whole=whole, clock=clock, sleep=clock.sleep)
    return [
        *(len(found.feed(each)) for each in pieces),
        *[len(each) async for each in found.finish()],
    ]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("key", KEYS)
def test_sizes_depend_on_lengths_alone(key: str, *, whole: bool) -> None:
    """Every form, cut at every third of its lengths: what goes on is as long as for a text that begins no form."""

    async def compare() -> None:
        forms = KeyForms(SecretValue(key))
        for form in forms.texts:
            for count in range(1, len(form), 3):
                right = form[:count]
                if forms.are_in(right):
                    break  # Of one form's text another is a part, which is the whole key too.
                for front in (b"you asked for ", b"x" * 300, b"\nline "):
                    seen = [
                        await sizes(
                            forms, [front + each, b"", b" behind", front + each], whole=whole
                        )
                        for each in (right, right[:-1] + b"\x01", b"\x02" * count)
                    ]
                    assert seen[0] == seen[1] == seen[2]

    asyncio.run(compare())


def test_nothing_goes_on_before_the_end() -> None:
    """Of an answer that is searched whole."""
    found = search(KEYS[0], whole=True)
    assert found.feed(b"a line\n" * 20_000) == b""
    pieces = finished(found)
    assert b"".join(pieces) == b"a line\n" * 20_000
    assert [len(each) for each in pieces] == [65536, 65536, 8928]


def feed_all(found: KeySearch, text: bytes, sent: list[bytes]) -> None:
    """Let a text come in pieces, and keep what goes on."""
    sent.extend(found.feed(text[at : at + 16_384]) for at in range(0, len(text), 16_384))
    sent += finished(found)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("at", [0, PIECE_BYTES - 200, PIECE_BYTES - 10, PIECE_BYTES, 70_000])
def test_a_form_is_found_wherever_it_stands(at: int, *, whole: bool) -> None:
    """Also across the parts in which a long answer is searched; nothing of it is sent."""
    for form in KeyForms(SecretValue(KEYS[0])).texts:
        found = search(KEYS[0], whole=whole)
        text = b"-" * at + form + b"-" * 100_000
        sent: list[bytes] = []
        with pytest.raises(KeyFoundError):
            feed_all(found, text, sent)
        assert sum(map(len, sent)) <= (0 if whole else at)


@pytest.mark.parametrize("key", [*KEYS, "0123456789abcdef0", "x" * 22, "y" * 23, "z" * 200])
def test_forms_are_found_as_by_the_usual_search(key: str) -> None:
    """At each offset of a block, at the beginning and at the end; and nothing else is found."""
    forms = KeyForms(SecretValue(key))
    for form in forms.texts:
        for at in range(17):
            for text in (b"-" * at + form, b"-" * at + form + b"-" * at):
                assert forms.are_in(text)
                assert forms.are_in(bytearray(text))
            for other in (form[:-1] + b"\1", b"\1" + form[1:]):
                text = b"-" * at + other + b"-" * at
                assert forms.are_in(text) is any(each in text for each in forms.texts)
    assert not forms.are_in(b"")


@given(st.binary(max_size=80), st.sampled_from(KEYS), st.data())
def test_what_is_found_is_there(text: bytes, key: str, data: st.DataObject) -> None:
    """In whatever stands around, and with a part of the key in it."""
    forms = KeyForms(SecretValue(key))
    form = data.draw(st.sampled_from(forms.texts))
    at, end = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(form)))
    text = text[:at] + form[:end] + text[at:]
    assert forms.are_in(text) is any(each in text for each in forms.texts)


def test_fields_are_searched_with_the_body() -> None:
    """Of an answer that is searched whole, so that both end alike; those of a stream at once."""
    fields = [(b"x-echo", b"a " + KEYS[0].encode())]
    found = search(KEYS[0], whole=True)
    found.check_fields(fields)
    with pytest.raises(KeyFoundError):
        finished(found)
    with pytest.raises(KeyFoundError):
        search(KEYS[0], whole=False).check_fields(fields)


@pytest.mark.parametrize("took", [0.0, 0.0004, 0.001])
def test_an_answer_goes_out_at_a_time_that_its_length_tells(took: float) -> None:
    """However long the search of a text took: the rest of its time is waited for."""
    length = 100_000
    due = KeyForms(SecretValue(KEYS[0])).seconds(length)
    clock = Clock(50.0, 50.0 + took)
    found = search(KEYS[0], whole=True, clock=clock)
    found.feed(b"-" * length)
    finished(found)
    assert clock.slept[:-1] == [0, 0]
    assert took + clock.slept[-1] == pytest.approx(due)
    assert due > 0.003


def test_the_same_is_done_for_each_text() -> None:
    """As often the clock is looked at, and as often others have their turn, for right guesses and for wrong ones."""
    for length in (100, 5_000, 200_000):
        done = set()
        for guess in (KEYS[0][:20], KEYS[0][:19] + "~", "~" * 20):
            clock = Clock(*map(float, range(100)))
            found = search(KEYS[0], whole=True, clock=clock)
            found.feed((guess.encode() * (length // 20 + 1))[:length])
            finished(found)
            done.add((clock.now, tuple(clock.slept)))
        assert len(done) == 1


def test_a_stream_of_events_waits_for_nothing() -> None:
    """What ends with a line break goes on at once, whatever it begins; else only as much stays as a key may be long."""
    found = search(KEYS[0], whole=False)
    for event in (b"data: sk-live-\n\n", b"data: 1\r\r", b": " + b"x" * 1000 + b"\n\n"):
        assert found.feed(event) == event
    assert len(found.feed(b"x" * 1000)) == 1000 - 256


def test_what_is_held_back_does_not_tell_how_long_a_key_is() -> None:
    """Two keys of different lengths hold back the same."""
    kept = {len(search("k" * size, whole=False).feed(b"x" * 10_000)) for size in (20, 30, 40)}
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        (KEYS[0], (KEYS[0][:-2], KEYS[0][2:])),
        # What stands in front of the secret half of Basic is no secret.
        (KEYS[1], (KEYS[1][:-6],)),
        (KEYS[2], ()),
    ],
)
def test_no_form_tries_a_part_of_a_key(key: str, parts: tuple[str, ...]) -> None:
    """A text with all of a key but two characters at an end, in whatever form, is no hit; so isn't any other text."""
    forms = KeyForms(SecretValue(key)).texts
    for part in (*parts, key[:7], key[-7:], "x" * 40):
        for text in (part.encode(), *KeyForms(SecretValue(part)).texts):
            assert not [each for each in forms if each in text]
