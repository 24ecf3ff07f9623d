"""Put together the Lua script with which a stock Envoy verifies proofs of possession.

The parts are data of this package (``lua/*.lua``) and of :mod:`watchword.engines.lua_parts`; what differs from
gate to gate, and what must be the same here and there (reasons and their public classes), is written between the
first part and the rest.
The script holds no secret: an engine's admin endpoint shows it.  What is secret it reads from the private
file (:mod:`watchword.engines.envoy.secrets`).
"""

import re
from dataclasses import dataclass
from typing import Final

from watchword.engines.lua_parts.text import part, refusals, settings, shared
from watchword.reasons import Reason
from watchword.tokens.interface import LEEWAY_SECONDS, MAX_LEEWAY_SECONDS
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS

MIN_REPLAY_SETS: Final = 2**4
MAX_REPLAY_SETS: Final = 2**24
"""Bounds of the number of sets in the replay table, each of 8 entries of 16 bytes."""

_PATH: Final = re.compile(r"/[A-Za-z0-9._/-]{1,255}")
_OWN: Final = "watchword.engines.envoy"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_REASONS: Final = (
    Reason.TOKEN_MISSING,
    Reason.TOKEN_MALFORMED,
    Reason.TOKEN_KEY_UNKNOWN,
    Reason.TOKEN_SIGNATURE,
    Reason.TOKEN_ISSUER,
    Reason.TOKEN_AUDIENCE,
    Reason.TOKEN_EXPIRED,
    Reason.TOKEN_INSTANCE_REVOKED,
    Reason.PROOF_MISSING,
    Reason.PROOF_AMBIGUOUS,
    Reason.PROOF_MALFORMED,
    Reason.PROOF_COMPONENTS,
    Reason.PROOF_ALGORITHM,
    Reason.PROOF_KEY,
    Reason.PROOF_EPOCH,
    Reason.PROOF_EXPIRED,
    Reason.PROOF_EARLY,
    Reason.PROOF_SIGNATURE,
    Reason.PROOF_REPLAYED,
    Reason.REQUEST_MALFORMED,
    Reason.REQUEST_HEADER_DUPLICATED,
    Reason.REQUEST_HEADERS_TOO_LARGE,
    Reason.GATE_REPLAY_FULL,
    Reason.GATE_REPLAY_UNAVAILABLE,
    Reason.GATE_INTERNAL,
)


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """Hold what differs from gate to gate.

    :param api: name of the API; part of the replay table's name.
    :param generation: of the private file; a file of another one is refused.
    :param private_file: absolute path of what :func:`watchword.engines.envoy.secrets.render` wrote.
    :param leeway: seconds by which clocks may differ, 0 to ``MAX_LEEWAY_SECONDS``.
    :param replay_directory: where the replay table is kept; in memory, since it is written at each request.
    :param replay_sets: a power of two, :data:`MIN_REPLAY_SETS` to :data:`MAX_REPLAY_SETS`; the default
        takes 32 MiB and holds about 1.8 million proofs.
    :param cached_tokens: how many tokens each worker remembers in each of two generations.
    :raises ValueError: on anything that isn't so.
    """

    api: str
    generation: int
    private_file: str
    leeway: int = LEEWAY_SECONDS
    replay_directory: str = "/dev/shm"  # noqa: S108 - a file there must be ours, with mode 0600.
    replay_sets: int = 2**18
    cached_tokens: int = 8192

    def __post_init__(self) -> None:
        """Refuse what could be read as Lua, or wouldn't work."""
        if not _NAME.fullmatch(self.api):
            raise ValueError(f"api: got {self.api!r}, expected 1 to 64 of A-Z a-z 0-9 _ -")
        for field in ("private_file", "replay_directory"):
            if not _PATH.fullmatch(getattr(self, field)):
                raise ValueError(
                    f"{field}: got {getattr(self, field)!r}, expected an absolute path of at most"
                    " 256 characters A-Z a-z 0-9 . _ / -"
                )
        if not 0 <= self.leeway <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"leeway: got {self.leeway}, expected 0 to {MAX_LEEWAY_SECONDS} s")
        sets = self.replay_sets
        if not MIN_REPLAY_SETS <= sets <= MAX_REPLAY_SETS or sets & (sets - 1):
            raise ValueError(
                f"replay_sets: got {sets}, expected a power of two, {MIN_REPLAY_SETS} to"
                f" {MAX_REPLAY_SETS}"
            )
        if not 1 <= self.cached_tokens <= 2**20:
            raise ValueError(f"cached_tokens: got {self.cached_tokens}, expected 1 to {2**20}")
        if not 0 <= self.generation < 2**53:
            raise ValueError(f"generation: got {self.generation}, expected 0 to 2^53 - 1")


def script(options: ScriptOptions) -> str:
    """Return the whole script, for ``default_source_code.inline_string`` of the Lua filter."""
    return "\n".join(
        (
            part(_OWN, "lua/01_closed"),
            _settings(options),
            refusals(_REASONS),
            shared("sha256"),
            shared("base64"),
            shared("system"),
            shared("prepared"),
            part(_OWN, "lua/02_secrets"),
            shared("replay"),
            part(_OWN, "lua/03_tokens"),
            shared("proofs"),
            part(_OWN, "lua/04_gate"),
        )
    )


def _settings(options: ScriptOptions) -> str:
    """Return the settings as Lua; every string was held to letters that need no quoting."""
    return settings(
        {
            "api": f'"{options.api}"',
            "generation": f'"{options.generation}"',
            "private_file": f'"{options.private_file}"',
            "leeway": str(options.leeway),
            "life": str(PROOF_LIFE_SECONDS + options.leeway),
            "replay_directory": f'"{options.replay_directory}"',
            "replay_sets": str(options.replay_sets),
            "cached_tokens": str(options.cached_tokens),
        }
    )
