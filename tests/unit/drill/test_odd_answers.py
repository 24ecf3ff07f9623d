"""Show that a service which answers oddly ends a variant, and never the run."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from watchword.client import TestInstanceDevice
from watchword.drill.enrolment import again
from watchword.drill.interface import AttackContext, Facts, MissingError, Phone
from watchword.drill.tokens import published_key
from watchword.drill.wire import Answer, Call, Part
from watchword.encoding import base64url
from watchword.reasons import WatchwordError
from watchword.vocabulary import Environment, Platform

FACTS = Facts(
    "clinic", "https://i", "https://a", {"app": frozenset({"https://a"})}, Environment.LAB, 300
)
ODD: tuple[Any, ...] = (
    {"tokens": 5},
    {"tokens": ["x"]},
    {"tokens": [[]]},
    {"tokens": [{}]},
    {"instance": 1, "level": "hardware", "tokens": [{"aud": "https://a", "token": 7}]},
    {"instance": "i"},
    {"keys": 5},
    {"keys": ["x"]},
    {"keys": [{"kid": "k"}]},
    {"keys": {}},
)


class Odd:
    """Answer everything with the same JSON; implements the wire."""

    def __init__(self, document: Any) -> None:
        self._answer = Answer(200, (), json.dumps(document).encode())

    def send(self, _call: Call) -> Answer:
        """Return the answer."""
        return self._answer

    def send_together(self, calls: Sequence[Call]) -> list[Answer]:
        """Return it for each."""
        return [self._answer for _ in calls]

    def authority(self, _part: Part) -> str:
        """Return a host."""
        return "a.example"

    def scheme(self, _part: Part) -> str:
        """Return a scheme."""
        return "http"


def context(document: Any) -> AttackContext:
    """Return an attack context whose service answers so."""
    return AttackContext(FACTS, (), Odd(document), lambda: 1000.0, bytes, lambda _: None)


@pytest.mark.parametrize("document", ODD, ids=json.dumps)
def test_an_odd_enrolment_is_an_error_of_ours_or_a_refusal(document: Any) -> None:
    """What nobody can read proves nothing, and is told as that."""
    phone = Phone("test", "app", Platform.IOS, TestInstanceDevice("code"))
    body = {"statement": base64url.encode(b"{}"), "evidence": {}}
    with pytest.raises(WatchwordError):
        again(context(document), "/v1/attestations", body, phone)


@pytest.mark.parametrize("document", ODD, ids=json.dumps)
def test_odd_keys_are_no_keys(document: Any) -> None:
    """Such a service publishes none of that name."""
    with pytest.raises(MissingError):
        published_key(context(document), "k")
