"""Declare where Caddy that asks /authz isn't equal to the Python gate, so that it can be held to all the rest."""

from typing import Final

from watchword.engines.forward_auth.differences import (
    ASTERISK_ANSWERED,
    NEW_REPLAY_FILE,
    NO_UPGRADE,
    broken_chunks,
    dropped_answer,
    no_bodies,
)
from watchword.engines.interface import Difference, Divergence

_D = Divergence

DIFFERENCES: Final = (
    no_bodies("a body that went along with the question would be gone for the API"),
    Difference(
        "no-bodies-answer",
        _D.ANSWER,
        "says what is wrong with a body of chunks, or its size",
        "refuses the digest that its proof covers, since it was told of no body",
        "Caddy tells nobody that a body comes in chunks before it comes",
    ),
    Difference(
        "underscores-dropped",
        _D.CLEANED,
        "refuses fields that decide with an underscore for a hyphen",
        "drops every field with one",
        "its parser does so before anybody sees them",
    ),
    dropped_answer("underscores-dropped-answer"),
    broken_chunks(502),
    ASTERISK_ANSWERED,
    Difference(
        "watchword-fields-removed",
        _D.CLEANED,
        "removes the fields that a gate states",
        "removes every field whose name begins with Watchword",
        "its expression for names knows the beginning of a name alone",
    ),
    NO_UPGRADE,
    NEW_REPLAY_FILE,
)
