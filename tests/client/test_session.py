"""Store and restore a session."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.client import UnreadableAnswerError
from watchword.client.session import Session

ANSWER = {
    "instance": "the-instance",
    "level": "hardware",
    "tokens": [{"aud": "a", "token": "the-token", "expires_in": 300}],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text("ab", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
    ),
    max_leaves=10,
)


def session() -> Session:
    """Return a session of one token, sent for at second 1000."""
    return Session.from_answer(ANSWER, ["a"], 1000.0, renew_share=0.7)


def test_a_token_lives_from_when_it_was_asked_for() -> None:
    """Expiry and renewal count from the request, on this device's clock."""
    held = session().tokens["a"]
    assert (held.expires_at, held.renew_at) == (1300.0, 1210.0)


def test_a_session_survives_json() -> None:
    """What an app stored brings the same session back."""
    assert Session.from_export(json.loads(json.dumps(session().export()))) == session()


def test_repr_hides_token_and_instance() -> None:
    """A log line with a session in it gives nothing away."""
    assert "the-token" not in repr(session())
    assert "the-instance" not in repr(session())


@pytest.mark.parametrize(
    "change",
    [
        {"instance": None},
        {"instance": ""},
        {"level": 3},
        {"tokens": []},
        {"tokens": "a"},
        {"tokens": [{"aud": "b", "token": "t", "expires_in": 300}]},
        {"tokens": [{"aud": "a", "token": "", "expires_in": 300}]},
        {"tokens": [{"aud": "a", "token": "t", "expires_in": "300"}]},
        {"tokens": [{"aud": "a", "token": "t", "expires_in": True}]},
        {"tokens": [{"aud": "a", "token": "t", "expires_in": -1}]},
        {"tokens": [{"aud": ["a"], "token": "t", "expires_in": 300}]},
    ],
)
def test_an_incomplete_answer_is_no_session(change: dict[str, Any]) -> None:
    """A missing, empty or mistyped member is said aloud; no placeholder takes its place."""
    with pytest.raises(UnreadableAnswerError):
        Session.from_answer(ANSWER | change, ["a"], 0.0, renew_share=0.7)


@given(st.dictionaries(st.sampled_from(["instance", "level", "tokens", "x"]), JSON))
def test_any_answer_is_a_session_or_unreadable(answer: dict[str, Any]) -> None:
    """No other error comes out of an answer, whatever it holds."""
    try:
        read = Session.from_answer(answer, ["a"], 0.0, renew_share=0.7)
    except UnreadableAnswerError:
        return
    assert read.instance == answer["instance"] != ""


@given(JSON | st.dictionaries(st.sampled_from(["v", "instance", "level", "tokens"]), JSON))
def test_any_export_is_a_session_or_a_value_error(document: Any) -> None:
    """A stored session that was damaged says so in one way."""
    try:
        read = Session.from_export(document)
    except ValueError:
        return
    assert read.instance == document["instance"] != ""


def test_an_export_of_another_version_is_refused() -> None:
    """A newer app's session isn't misread by an older one."""
    with pytest.raises(ValueError, match="another version"):
        Session.from_export(session().export() | {"v": 2})
