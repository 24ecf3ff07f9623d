"""Replay what fuzzing has kept, and mutate it: the short run of ``make fuzz``, without atheris."""

import time
from dataclasses import replace

import pytest
from fuzz.corpora import CORPUS, corpus, fewest
from fuzz.replay import SLOW, SlowInputError, judge, mutate, replay
from fuzz.targets import TARGETS

BENT = 2000
MAX_CORPORA_BYTES = 256 * 1024


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_raises_or_takes_long(name: str) -> None:
    """Corpus, fresh seeds and 2,000 mutated inputs: no foreign exception, none above 50 ms."""
    assert replay(name, BENT) > BENT


def test_corpora_are_small_and_belong_to_targets() -> None:
    """Each folder is a target's, and all together stay small."""
    folders = sorted(folder.name for folder in CORPUS.iterdir())
    assert folders == sorted(TARGETS)
    assert all(corpus(name) for name in TARGETS)
    size = sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file())
    assert size <= MAX_CORPORA_BYTES


def test_foreign_exceptions_are_finds() -> None:
    """What isn't MalformedError or RefusedError comes out of a target."""

    def parse(data: bytes) -> None:
        raise IndexError(len(data))

    with pytest.raises(IndexError):
        judge(replace(TARGETS["cbor"], parse=parse), b"input")


def test_slow_inputs_are_finds() -> None:
    """An input that takes longer than it may is told with its time."""

    def parse(data: bytes) -> None:
        until = time.thread_time() + SLOW * 1.2
        while time.thread_time() < until:
            pass

    with pytest.raises(SlowInputError, match="ms for 5 bytes"):
        judge(replace(TARGETS["cbor"], parse=parse), b"input")


def test_mutated_inputs_are_many_and_the_same_each_time() -> None:
    """The run can be repeated, and doesn't feed the same bytes over and over."""
    inputs = [b"one input", b"another input of some length"]
    mutated = list(mutate(inputs, 500, b"salt"))
    assert mutated == list(mutate(inputs, 500, b"salt"))
    assert len(set(mutated)) > 400


def test_fewest_inputs_keep_what_is_reached() -> None:
    """An input that reaches nothing new isn't kept, and the smaller one of two is."""
    target = TARGETS["cbor"]
    assert fewest(target, [b"\x01\x02", b"\x01", b"\x02"]) == [b"\x01", b"\x01\x02"]
