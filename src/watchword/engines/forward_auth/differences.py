"""Declare what every engine that asks ``/authz`` does unlike the Python gate, for the list of each of them."""

from typing import Final

from watchword.engines.interface import Difference, Divergence


def no_bodies(why: str) -> Difference:
    """Return that a request with a body is refused where a proof is asked for.

    :param why: nobody could compare it with its digest, in the engine's own case.
    """
    return Difference(
        "no-bodies",
        Divergence.STRICTER,
        "compares the body with its digest on routes with a proof",
        "refuses a request with a body there",
        why,
    )


def dropped_answer(name: str) -> Difference:
    """Return that a refusal says that a field is missing which the engine dropped before.

    :param name: of the difference, in the engine's own list.
    """
    return Difference(
        name,
        Divergence.ANSWER,
        "says that a field has another sign for a hyphen",
        "says that the field is missing",
        "it was dropped before the gate saw it",
    )


def broken_chunks(status: int) -> Difference:
    """Return that broken chunks end in another status, from an engine that sends a body on while it reads it."""
    return Difference(
        "broken-chunks-answer",
        Divergence.ANSWER,
        "refuses broken chunks by 400",
        f"answers {status}, when the API has seen the head and no whole body",
        "it sends a body on while it reads it",
    )


ASTERISK_ANSWERED: Final = Difference(
    "asterisk-answered",
    Divergence.ANSWER,
    "refuses the target *",
    "answers OPTIONS * by itself with 200 and nothing in it; the API sees none",
    "Go's server does so before any handler",
)
NEW_REPLAY_FILE: Final = Difference(
    "new-replay-file",
    Divergence.STRICTER,
    "takes proofs that were made before it started",
    "refuses, in mode shared, proofs that are older than its file of used ones",
    "a file that was lost doesn't know what was used before",
)
NO_UPGRADE: Final = Difference(
    "no-upgrade",
    Divergence.STRICTER,
    "lets a WebSocket through, and ends it when its instance is revoked",
    "takes Upgrade away",
    "nobody would end it",
)
