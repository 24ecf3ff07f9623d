"""Declare where nginx that asks /authz isn't equal to the Python gate, so that it can be held to all the rest."""

from typing import Final

from watchword.engines.interface import Difference, Divergence

_D = Divergence

DIFFERENCES: Final = (
    Difference(
        "no-bodies",
        _D.STRICTER,
        "compares the body with its digest on routes with a proof",
        "refuses a request with a body there",
        "nginx sends no body with its question, and nobody else sees it before the API does",
    ),
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
    Difference(
        "odd-lines-dropped-answer",
        _D.ANSWER,
        "says that a field has another sign for a hyphen",
        "says that the field is missing",
        "it was dropped before the gate saw it",
    ),
    Difference(
        "new-replay-file",
        _D.STRICTER,
        "takes proofs that were made before it started",
        "refuses, in mode shared, proofs that are older than its file of used ones",
        "a file that was lost doesn't know what was used before",
    ),
    Difference(
        "no-upgrade",
        _D.STRICTER,
        "lets a WebSocket through, and ends it when its instance is revoked",
        "takes Upgrade away",
        "nobody would end it",
    ),
    Difference(
        "many-fields-while-kept",
        _D.LOOSER,
        "refuses a request of more than 100 fields",
        "passes one of less than 10,000 bytes while a verdict on its token, method, host and target is kept",
        "it counts no fields; token, level, revocation and route are what the verdict says",
    ),
)
