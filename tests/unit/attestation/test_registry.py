"""Formats are found by name and by evidence; added ones take nobody's name."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.attestation import forge, forge_play
from tests.unit.attestation.own_format import UNREADABLE, Echo, EchoFormat

from watchword.attestation.interface import (
    CLOCK_LEEWAY,
    MAX_AGE,
    AndroidKeyChain,
    Expected,
    PlayIntegrityPayload,
    PlayIntegrityToken,
    ProofKeySignature,
    age_refusals,
    describe_age,
)
from watchword.attestation.registry import (
    FORMATS,
    FormatNameError,
    examine,
    find_format,
    format_of,
    verify,
    verify_renewal,
    with_formats,
)
from watchword.reasons import MalformedError, Reason, RefusedError

EXPECTED = Expected(forge.BINDING, forge.ANDROID_APP)
GOOD = Echo("fine", forge.BINDING)


def test_added_formats_stand_beside_the_built_in_ones() -> None:
    """The built-in table stays as it is."""
    own = EchoFormat()
    formats = with_formats([own])
    assert set(formats) == {"app-attest", "android-key", "play-integrity", "echo"}
    assert find_format("echo", formats) is own
    assert "echo" not in FORMATS
    with pytest.raises(MalformedError) as caught:
        find_format("echo")
    assert caught.value.reason is Reason.EVIDENCE_FORMAT_UNKNOWN


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_name_of_ours_is_taken(name: str) -> None:
    """An added format can't stand in for one that clients and policies know."""
    with pytest.raises(FormatNameError, match=name):
        with_formats([EchoFormat(name)])


def test_no_added_name_is_taken_twice() -> None:
    """Of two formats of one name nobody could say which one judged."""
    with pytest.raises(FormatNameError, match="echo"):
        with_formats([EchoFormat(), EchoFormat()])


def test_tables_cannot_be_changed() -> None:
    """Who has the table can't put a format into it."""
    for formats in (FORMATS, with_formats([])):
        with pytest.raises(TypeError):
            formats["echo"] = EchoFormat()  # type: ignore[index]


def test_evidence_of_play_integrity_has_its_format() -> None:
    """Tokens, and what Google decoded, are of one format."""
    play = find_format("play-integrity")
    assert format_of(PlayIntegrityToken(b"")) is play
    assert format_of(PlayIntegrityPayload(b"")) is play
    assert format_of(ProofKeySignature(b"")) is play
    with pytest.raises(TypeError):
        format_of(GOOD)


def test_own_format_is_verified_by_whoever_names_it() -> None:
    """Claims or a refusal, as for a built-in one; nothing is verified on a guess."""
    trust, own = forge.trust(), EchoFormat()
    assert verify(GOOD, EXPECTED, trust, forge.NOW, own).claims.provider == {"word": "fine"}
    with pytest.raises(RefusedError) as caught:
        verify(replace(GOOD, binding=bytes(32)), EXPECTED, trust, forge.NOW, own)
    assert caught.value.reason is Reason.ATTESTATION_BINDING
    with pytest.raises(TypeError):
        verify(GOOD, EXPECTED, trust, forge.NOW)


def test_own_format_renews_by_the_proof_key() -> None:
    """A signature by another key is refused with a reason of its own."""
    with pytest.raises(RefusedError) as caught:
        verify_renewal(
            ProofKeySignature(b""), b"x", forge.spki(forge.p256()), forge.ANDROID_APP, EchoFormat()
        )
    assert caught.value.reason is Reason.EVIDENCE_SIGNATURE


def test_own_format_may_say_that_it_cannot_read_evidence() -> None:
    """What it raises as malformed is a refusal, in both faces."""
    unread = replace(GOOD, word=UNREADABLE)
    found = examine(unread, EXPECTED, forge.trust(), forge.NOW, EchoFormat())
    assert (found.claims, [each.reason for each in found.refusals]) == (
        None,
        [Reason.EVIDENCE_MALFORMED],
    )
    with pytest.raises(RefusedError):
        verify(unread, EXPECTED, forge.trust(), forge.NOW, EchoFormat())


@pytest.mark.parametrize(
    ("ago", "is_refused"),
    [
        (MAX_AGE, False),
        (MAX_AGE + timedelta(microseconds=1), True),
        (-CLOCK_LEEWAY, False),
        (-CLOCK_LEEWAY - timedelta(microseconds=1), True),
    ],
)
def test_age_of_a_statement(ago: timedelta, is_refused: bool) -> None:
    """Providers share one rule on age, and one reason; vendors name their own."""
    said = replace(GOOD, said_at=forge.NOW - ago)
    found = examine(said, EXPECTED, forge.trust(), forge.NOW, EchoFormat())
    wanted = [Reason.EVIDENCE_AGE] if is_refused else []
    assert [each.reason for each in found.refusals] == wanted
    named = age_refusals(forge.NOW - ago, forge.NOW, reason=Reason.PLAY_AGE)
    assert [each.reason for each in named] == ([Reason.PLAY_AGE] if is_refused else [])


def test_ages_are_told_in_seconds() -> None:
    """A person sees on which side of now it lies."""
    assert describe_age(timedelta(seconds=3.9)) == "3 s ago"
    assert describe_age(timedelta(seconds=-70)) == "70 s ahead"


def test_evidence_of_one_format_is_none_for_another() -> None:
    """Mixed-up formats are a slip of the program, which never ends in claims."""
    with pytest.raises(TypeError):
        examine(
            AndroidKeyChain(()), EXPECTED, forge_play.trust(), forge.NOW, FORMATS["play-integrity"]
        )
