"""Store and restore a session."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.client import (
    EvidenceRefusedError,
    ServiceUnavailableError,
    TestInstanceDevice,
    UnreadableAnswerError,
    WatchwordClient,
)
from watchword.client.own_token import read_own_token
from watchword.client.session import NextChallenge, Session, Stored
from watchword.encoding import base64url, strict_json

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


KEY = bytes(range(32))
SIGNED = strict_json.dumps(
    {"sid": "the-session", "cnf": {"jwk": dict.fromkeys(["crv", "kty", "x", "y"], "v")}}
)
PROVABLE = f"head.{base64url.encode(SIGNED)}.signature"
SEALED = {"aud": "a", "token": PROVABLE, "expires_in": 300, "session_key": base64url.encode(KEY)}


def opened(session_id: str, sealed: bytes) -> bytes | None:
    """Open what nobody sealed."""
    assert session_id == "the-session"
    return sealed


def session_of(answer: dict[str, Any], sent_at: float = 0.0) -> Session:
    """Return the session of an answer."""
    return Session.from_answer(answer, ["a"], sent_at, renew_share=0.7, open_sealed=opened)


def session() -> Session:
    """Return a session of one token, sent for at second 1000."""
    return session_of(ANSWER, 1000.0)


def session_with_key() -> Session:
    """Return a session whose token came with its session key."""
    return replace(session_of(ANSWER | {"tokens": [SEALED]}), bnd="bound")


def test_a_token_lives_from_when_it_was_asked_for() -> None:
    """Expiry and renewal count from the request, on this device's boot clock."""
    held = session().tokens["a"]
    assert (held.expires_at, held.renew_at) == (1300.0, 1210.0)


def test_a_session_survives_json() -> None:
    """What an app stored brings the same session back."""
    for kept in (session(), session_with_key()):
        assert Session.from_export(json.loads(json.dumps(kept.export()))) == kept
    assert session_with_key().tokens["a"].session_key == KEY


def test_a_key_that_the_device_cannot_open_leaves_the_token() -> None:
    """Proofs by the device's own key still work."""
    answer = ANSWER | {"tokens": [SEALED]}
    kept = Session.from_answer(
        answer, ["a"], 0.0, renew_share=0.7, open_sealed=lambda _session, _sealed: None
    )
    assert kept.tokens["a"].session_key is None
    assert kept.tokens["a"].own is not None
    assert Session.from_export(kept.export()) == kept


def test_repr_hides_token_and_instance() -> None:
    """A log line with a session in it gives nothing away."""
    assert "the-token" not in repr(session())
    assert "the-instance" not in repr(session())
    kept = session_with_key()
    for secret in (PROVABLE, "the-session", "bound", repr(KEY)[2:20], base64url.encode(KEY)):
        assert secret not in repr(kept) + repr(kept.tokens)


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
        {"tokens": [SEALED | {"token": "t"}]},
        {"tokens": [SEALED | {"token": "a.b.c"}]},
        {"tokens": [SEALED | {"session_key": 7}]},
        {"tokens": [SEALED | {"session_key": ""}]},
        {"tokens": [SEALED | {"session_key": "=="}]},
        {"tokens": [SEALED | {"session_key": "A" * 257}]},
        {"tokens": [SEALED | {"session_key": base64url.encode(KEY[1:])}]},
    ],
)
def test_an_incomplete_answer_is_no_session(change: dict[str, Any]) -> None:
    """A missing, empty or mistyped member is said aloud; no placeholder takes its place."""
    with pytest.raises(UnreadableAnswerError):
        session_of(ANSWER | change)


@given(st.dictionaries(st.sampled_from(["instance", "level", "tokens", "x"]), JSON))
def test_any_answer_is_a_session_or_unreadable(answer: dict[str, Any]) -> None:
    """No other error comes out of an answer, whatever it holds."""
    try:
        read = session_of(answer)
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


@pytest.mark.parametrize("version", [1, 4, "3", None])
def test_an_export_of_another_version_is_refused(version: Any) -> None:
    """A newer app's session isn't misread by an older one, and the first one has no session keys."""
    with pytest.raises(ValueError, match="got format"):
        Stored.from_export(Stored("boot", session()).export() | {"v": version})


@pytest.mark.parametrize(
    "stored",
    [
        Stored("boot", None),
        Stored("boot", session_with_key(), protocol=True, ahead=-12.5),
        Stored("boot", replace(session(), next_challenge=NextChallenge("c", 9.5), unopened=True)),
        Stored("boot", None, refusal={"type": "evidence-refused"}),
    ],
)
def test_what_outlasts_a_process_survives_json(stored: Stored) -> None:
    """Nothing of it is lost on the way."""
    assert Stored.from_export(json.loads(json.dumps(stored.export()))) == stored


STORED_BY_0_2 = """
{"v": 2, "instance": "the-instance", "level": "hardware", "bnd": null,
 "tokens": {"a": {"token": "the-token", "expires_at": 1300.0, "renew_at": 1210.0, "session_key": null}}}
"""


def test_an_export_of_the_version_before_is_read() -> None:
    """An app that was updated keeps its instance."""
    stored = Stored.from_export(json.loads(STORED_BY_0_2))
    assert stored == Stored(None, session())


def test_times_of_the_version_before_are_the_wall_clocks() -> None:
    """They are moved to the boot clock; a clock that is set afterwards changes nothing."""
    wall, boot = 1200.0, 50.0
    client = client_at(lambda: wall, lambda: boot)
    client.import_session(json.loads(STORED_BY_0_2))
    assert client.token("a") == "the-token"
    wall = 9000.0
    assert client.token("a") == "the-token"
    exported = client.export_session()
    assert exported is not None
    held = exported["session"]["tokens"]["a"]
    assert (held["expires_at"], held["renew_at"]) == (150.0, 60.0)


@pytest.mark.parametrize(
    "change",
    [
        {"boot_id": 3},
        {"ahead": "1"},
        {"session": 7},
        {"refusal": 7},
        {"refusal": {"type": "evidence-refused"}},
        {"refusal": {"status": 403, "type": 1, "title": "", "ref": None, "until": 1}},
        {"refusal": {"status": 403, "type": "x", "title": "", "ref": None, "until": "1"}},
    ],
)
def test_a_damaged_store_is_a_value_error(change: dict[str, Any]) -> None:
    """The app enrols anew then."""
    client = client_at(lambda: 0.0, lambda: 0.0)
    with pytest.raises(ValueError, match="got"):
        client.import_session(Stored("boot", session()).export() | change)


@given(
    st.dictionaries(
        st.sampled_from(["boot_id", "protocol", "ahead", "refusal", "session", "v"]),
        JSON | st.just("boot"),
    )
)
def test_any_store_is_read_or_a_value_error(change: dict[str, Any]) -> None:
    """No other error comes out of what was stored, whatever became of it."""
    client = client_at(lambda: 0.0, lambda: 0.0)
    try:
        client.import_session(Stored("boot", session()).export() | change)
    except ValueError:
        return
    exported = client.export_session()
    assert exported is None or exported["v"] == 3


def test_a_stored_refusal_never_lasts_longer_than_an_hour() -> None:
    """Whatever stands in the store."""
    now = 100.0
    client = client_at(lambda: 0.0, lambda: now)
    refusal = {"status": 403, "type": "evidence-refused", "title": "", "ref": "R", "until": 1e12}
    client.import_session(Stored("boot", None).export() | {"refusal": refusal})
    with pytest.raises(EvidenceRefusedError):
        client.token("a")
    now += 3600.0
    with pytest.raises(ServiceUnavailableError):
        client.token("a")


def client_at(wall: Callable[[], float], boot: Callable[[], float]) -> WatchwordClient:
    """Return a client without a service."""

    def away(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    return WatchwordClient(
        "https://attest.example",
        "clinic",
        TestInstanceDevice("code"),
        ["a"],
        clock=wall,
        boot=boot,
        boot_id="boot",
        jitter=lambda: 0.0,
        sleep=lambda _seconds: None,
        transport=httpx.MockTransport(away),
    )


@pytest.mark.parametrize(
    "change",
    [{"session_key": "x"}, {"session_key": 3}, {"session_key": "AA"}, {"token": 3}],
)
def test_a_damaged_key_in_an_export_is_refused(change: dict[str, Any]) -> None:
    """Half a key is none."""
    document = session_with_key().export()
    document["tokens"]["a"] |= change
    with pytest.raises(ValueError, match="session"):
        Session.from_export(document)


@given(JSON)
def test_any_token_is_read_or_a_value_error(payload: Any) -> None:
    """An own token that says something else is no reason for another error."""
    text = base64url.encode(json.dumps(payload).encode())
    with pytest.raises(ValueError, match="isn't a JWT"):
        read_own_token(text)
    try:
        found = read_own_token(f"a.{text}.b")
    except ValueError:
        return
    assert found.session_id == payload["sid"]
