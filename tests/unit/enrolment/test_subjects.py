"""Name instances to APIs."""

from hypothesis import given
from hypothesis import strategies as st

from watchword.enrolment.service import pairwise_subject

KEY = bytes(range(32))


def test_subject_is_stable() -> None:
    """The same instance has the same subject at the same API, in every release."""
    assert pairwise_subject("instance", "https://a.example", KEY) == (
        "t1n_uTpaY919aHWX9ndFJu5-AWmyKgVuUP7OO2EXNJc"
    )


@given(a=st.text(), b=st.text(), c=st.text(), d=st.text())
def test_subjects_of_different_pairs_differ(a: str, b: str, c: str, d: str) -> None:
    """No two pairs of instance and audience share a subject, however their texts join."""
    if (a, b) != (c, d):
        assert pairwise_subject(a, b, KEY) != pairwise_subject(c, d, KEY)


def test_subject_needs_the_key() -> None:
    """Under another key the same instance is somebody else."""
    assert pairwise_subject("i", "a", KEY) != pairwise_subject("i", "a", bytes(32))
