"""What of a secret is left in the rest of a report: nothing that is longer than its first characters."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.scan.app import Coverage, Disagreement, Gap, Part
from watchword.scan.interface import Confidence, Finding, Location, Secret, Severity, Verdict
from watchword.scan.service import SHORTEST, Redaction

VALUE = "Tr0ub4dor-And/3+more"
SECRET = Secret("crypto-key", VALUE)
_ANY = st.text(st.characters())


@pytest.mark.parametrize(
    "text",
    [
        f"The app names the path /v1/{VALUE}/x.",
        f"The app names {VALUE.lower()}.example.net.",
        f"https://x.example/?k={'Tr0ub4dor-And%2F3%2Bmore'}&y",
        *(base64.b64encode(f"{'u' * each}{VALUE}:p".encode()).decode() for each in range(3)),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
        VALUE.encode().hex(),
        f"İ {VALUE} ß {VALUE}",
    ],
)
def test_a_secret_goes_in_each_of_its_forms(text: str) -> None:
    """What may be shown of it stands there instead."""
    said = Redaction([SECRET]).text(text)
    assert "Tr0u... (20 characters)" in said
    assert VALUE.lower() not in said.lower()
    assert "And" not in said
    # Of base64 a character or two at the ends are left, which depend on what stands beside.
    assert len(said) < len(text) + len(SECRET.redacted)


def test_every_text_of_a_finding_is_looked_at() -> None:
    """By kind in a subject, which is to stay the same when the secret is changed."""
    place = Location(f"assets/{VALUE}.json", f"com.{VALUE}", f"get{VALUE}", 3)
    found = Finding(
        "api-paths",
        Verdict.INFO,
        Severity.INFO,
        Confidence.CERTAIN,
        f"/v1/{VALUE}",
        f"Path {VALUE}",
        (place, place),
        f"in {VALUE}",
    )
    clean = Redaction([SECRET]).finding(found)
    assert VALUE not in repr(clean)
    assert clean.subject == "/v1/crypto-key"
    assert len(clean.locations) == 1
    assert clean.locations[0].line == 3


def test_what_was_missed_names_no_secret_either() -> None:
    """Entries may be called by one."""
    gaps = (Gap(Part.DEX, VALUE, f"damaged near {VALUE}"),)
    hidden = Redaction([SECRET])
    assert VALUE not in repr(hidden.coverage(Coverage((), gaps)))
    assert VALUE not in repr(hidden.disagreements([Disagreement(VALUE, VALUE)]))


@pytest.mark.parametrize("value", ["password", "short", "", "cleartext"])
def test_words_and_short_ones_stay(value: str) -> None:
    """They stand in sentences of ours, which would say nothing any more."""
    said = f"It takes {value} or codes in cleartext."
    assert Redaction([Secret("x", value)]).text(said) == said


def test_a_secret_of_letters_goes_as_it_is_written_and_no_other_word_does() -> None:
    """In another case it may be a word of ours."""
    hidden = Redaction([Secret("x", "SuperWord")])
    assert "SuperWord" not in hidden.text("It is SuperWord.")
    assert hidden.text("It is superword.") == "It is superword."


def test_of_two_secrets_within_each_other_the_longer_goes() -> None:
    """So that nothing of it is left."""
    hidden = Redaction([Secret("a", "abcd1234"), Secret("b", "abcd1234-efgh5678")])
    assert "efgh" not in hidden.text("x abcd1234-efgh5678 y")


@given(st.text(st.characters(), min_size=SHORTEST), _ANY, _ANY)
def test_any_text_is_taken(value: str, before: str, after: str) -> None:
    """Halves of pairs, what changes its length in another case: nothing is raised, and digits never stay."""
    said = Redaction([Secret("x", f"{value}1")]).text(f"{before} {value}1 {after}")
    assert said.encode()
    assert said != f"{before} {value}1 {after}"
