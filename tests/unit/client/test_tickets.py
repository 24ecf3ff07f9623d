"""Keep the ticket that came with the next challenge; what can't be one is none."""

from typing import Any

import pytest

from watchword.client.session import NextChallenge, _next_challenge


@pytest.mark.parametrize("ticket", [None, 7, "", "x" * 5463, ["x"], {}])
def test_what_is_no_ticket_is_left_out(ticket: Any) -> None:
    """The challenge counts all the same."""
    given = {"challenge": "AAAA", "expires_in": 300, "ticket": ticket}
    found = _next_challenge(given, 10.0)
    assert found == NextChallenge("AAAA", 310.0)
    assert found is not None
    assert "ticket" not in found.export()


def test_a_ticket_is_kept_with_its_challenge() -> None:
    """Over a restart too; a session of before has none."""
    found = _next_challenge({"challenge": "AAAA", "expires_in": 300, "ticket": "BBBB"}, 10.0)
    assert found == NextChallenge("AAAA", 310.0, "BBBB")
    assert found is not None
    assert NextChallenge.from_export(found.export()) == found
    assert "BBBB" not in repr(found)
    old = {"challenge": "AAAA", "expires_at": 310.0}
    assert NextChallenge.from_export(old) == NextChallenge("AAAA", 310.0)
