"""Put together the Lua script with which a stock Envoy verifies proofs of possession.

The parts are data of this package (``lua/*.lua``); what differs from gate to gate, and what must be the
same here and there (reasons and their public classes), is written between the first part and the rest.
The script holds no secret: an engine's admin endpoint shows it.  What is secret it reads from the private
file (:mod:`watchword.engines.envoy.secrets`).
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from watchword.public_classes import Category, PublicClass
from watchword.reasons import Reason
from watchword.tokens.interface import LEEWAY_SECONDS, MAX_LEEWAY_SECONDS
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS

MIN_REPLAY_SETS: Final = 2**4
MAX_REPLAY_SETS: Final = 2**24
"""Bounds of the number of sets in the replay table, each of 8 entries of 16 bytes."""

_PATH: Final = re.compile(r"/[A-Za-z0-9._/-]{1,255}")
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
    first, *rest = _parts()
    return "\n".join((first, _settings(options), _refusals(), *rest))


@cache
def _parts() -> tuple[str, ...]:
    """Return the parts in the order of their names."""
    folder = resources.files("watchword.engines.envoy").joinpath("lua")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".lua"))
    return tuple(folder.joinpath(name).read_text("utf-8") for name in names)


def _settings(options: ScriptOptions) -> str:
    """Return the settings as Lua; every string was held to letters that need no quoting."""
    fields = {
        "api": f'"{options.api}"',
        "generation": f'"{options.generation}"',
        "private_file": f'"{options.private_file}"',
        "leeway": str(options.leeway),
        "life": str(PROOF_LIFE_SECONDS + options.leeway),
        "replay_directory": f'"{options.replay_directory}"',
        "replay_sets": str(options.replay_sets),
        "cached_tokens": str(options.cached_tokens),
    }
    lines = "\n".join(f"  {name} = {value}," for name, value in fields.items())
    return f"local OPTIONS = {{\n{lines}\n}}\n"


def _refusals() -> str:
    """Return by reason what a refused client is told, as Lua."""
    lines = []
    for reason in _REASONS:
        public = reason.public
        # The members stand in the order of their names, as the other mouths write them.
        rest = (
            f'"status":{public.status},"title":"{public.title}",'
            f'"type":"urn:watchword:problem:{public.slug}"}}'
        )
        more = ""
        if public.status == PublicClass.TOKEN_REQUIRED.status:
            more = ' challenge = "Watchword",'
        elif reason.category is Category.UNAVAILABLE:
            more = ' retry_after = "5",'
        lines.append(
            f'  ["{reason.code}"] = {{ status = "{public.status}",{more} rest = \'{_quoted(rest)}\' }},'
        )
    body = "\n".join(lines)
    return f"local REFUSALS = {{\n{body}\n}}\n"


def _quoted(text: str) -> str:
    """Escape a text for single quotes in Lua."""
    return text.replace("\\", "\\\\").replace("'", "\\'")
