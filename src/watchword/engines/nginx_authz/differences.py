"""Declare where nginx that asks /authz isn't equal to the Python gate, so that it can be held to all the rest."""

from typing import Final

from watchword.engines.forward_auth.differences import (
    NEW_REPLAY_FILE,
    NO_UPGRADE,
    dropped_answer,
    no_bodies,
)
from watchword.engines.interface import Difference, Divergence

_D = Divergence

DIFFERENCES: Final = (
    no_bodies("nginx sends no body with its question, and nobody else sees it before the API does"),
    Difference(
        "no-bodies-answer",
        _D.ANSWER,
        "refuses a body over the route's size by 413",
        "refuses it because there is one",
        "a body that nginx doesn't show is refused before its size is known",
    ),
    Difference(
        "odd-lines-dropped",
        _D.CLEANED,
        "refuses fields with another sign for a hyphen and lines that are no fields",
        "drops them",
        "its parser does so before anybody sees them",
    ),
    dropped_answer("odd-lines-dropped-answer"),
    NEW_REPLAY_FILE,
    NO_UPGRADE,
    Difference(
        "many-fields-while-kept",
        _D.LOOSER,
        "refuses a request of more than 100 fields, and at /authz an X-Forwarded field of no known meaning",
        "passes one of less than 10,000 bytes while a verdict on its token, method, host and target is kept",
        "it counts no fields and knows no wildcard; token, level, revocation and route are what the verdict says",
    ),
)
