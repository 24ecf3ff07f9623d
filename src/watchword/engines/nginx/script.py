"""Put together the Lua that nginx runs; it holds no secret, and stays the same from push to push."""

from typing import Final

from watchword.engines.lua_parts.text import part, quoted, refusals, settings, shared
from watchword.reasons import Reason
from watchword.tokens.interface import TOKEN_TYPE
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS

LOOK_SECONDS: Final = 0.2
"""How often each worker looks for another private file."""

CACHED_TOKENS: Final = 8192
"""Verified tokens that each worker remembers, in each of two generations."""

REPLAY_SETS: Final = 2**18
"""Sets of the table of used proofs: 32 MiB, room for about 1.8 million."""

_OWN: Final = "watchword.engines.nginx"

_GROUPS: Final = ("request.", "token.", "proof.", "gate.")


def script(api: str, state_file: str, replay_directory: str, *, proofs: bool) -> str:
    """Return the whole script.

    :param api: part of the name of the table of used proofs.
    :param proofs: whether any route asks for a proof; without one no table of used proofs is made.
    :raises ValueError: for a text that can't be one of Lua.
    """
    fields = {
        "api": quoted(api),
        "state_file": quoted(state_file),
        "token_type": quoted(TOKEN_TYPE),
        "proof_life": str(PROOF_LIFE_SECONDS),
        "look_seconds": str(LOOK_SECONDS),
        "cached_tokens": str(CACHED_TOKENS),
        "replay_directory": quoted(replay_directory),
        "replay_sets": str(REPLAY_SETS),
    }
    known = [reason for reason in Reason if reason.code.startswith(_GROUPS)]
    return "\n".join(
        (
            part(_OWN, "lua/01_start"),
            settings(fields),
            refusals(known),
            shared("sha256"),
            shared("base64"),
            shared("system"),
            shared("prepared"),
            part(_OWN, "lua/02_json"),
            part(_OWN, "lua/03_crypto"),
            part(_OWN, "lua/04_state"),
            shared("replay") if proofs else part(_OWN, "lua/no_replay"),
            part(_OWN, "lua/05_tokens"),
            shared("proofs"),
            part(_OWN, "lua/06_dpop"),
            part(_OWN, "lua/07_head"),
            part(_OWN, "lua/08_rate"),
            part(_OWN, "lua/09_gate"),
        )
    )
