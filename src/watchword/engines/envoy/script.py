"""Write the Lua scripts of a stock Envoy, and the private file that each reads.

One marks requests by whether their token still counts (:func:`counts_script`), the other verifies proofs of possession
(:func:`script`).  The parts are in :mod:`watchword.engines.lua`; what differs from gate to gate, and what must be the same
here and there (reasons and their public classes), is written between the first part and the rest.  The scripts hold no
secret: an engine's admin endpoint shows them.

Private files have what a script needs and no configuration dump may show.  They are lines, since stock Lua reads no JSON.
What proofs are verified with (:func:`render_secrets`)::

    watchword-envoy-secrets 2
    issuer https://attest.example
    audience https://api.example
    key eyJhbGciOiJFUzI1NiJ9 128 hexadecimal digits
    secret 3 - 64 hexadecimal digits
    secret 2 1900000000.000 64 hexadecimal digits
    end

A key is one that tokens are signed with: the first segment of each of its tokens, and its x and y.
The number behind an epoch is the time (seconds since 1970) from which its tokens are refused, ``-`` while
it isn't retired.  The last line tells a whole file from one that was cut off.

Who is revoked, and what is cut (:func:`render_revocations`)::

    watchword-envoy-revocations 1
    generation 7
    key 24 hexadecimal digits
    base 16 hexadecimal digits, and how many digests are in the file of this name; or - 0
    cut 1900000000 64 all :com.example.app
    added 16 hexadecimal digits of each digest, with a blank behind it
    end

A cut is of tokens issued before a time, of so many parts of the instances, of a level, and of an app; of either, ``all``.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.engines.lua import part, refusals, settings
from watchword.gate.cuts import Cut
from watchword.gate.revocations import DIGEST_BYTES, DigestParts
from watchword.ports import VerificationKey
from watchword.reasons import Reason
from watchword.tokens import jose
from watchword.tokens.interface import LEEWAY_SECONDS, MAX_LEEWAY_SECONDS, TOKEN_TYPE
from watchword.tokens.proofs.interface import PROOF_LIFE_SECONDS, SESSION_KEY_BYTES, GateSecret

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
    """Hold what differs from gate to gate in the script that verifies proofs.

    :param api: name of the API; part of the replay table's name.
    :param private_file: absolute path of what :func:`render_secrets` wrote.
    :param leeway: seconds by which clocks may differ, 0 to ``MAX_LEEWAY_SECONDS``.
    :param replay_directory: where the replay table is kept; in memory, since it is written at each request.
    :param replay_sets: a power of two, :data:`MIN_REPLAY_SETS` to :data:`MAX_REPLAY_SETS`; the default
        takes 32 MiB and holds about 1.8 million proofs.
    :param cached_tokens: how many tokens each worker remembers in each of two generations.
    :raises ValueError: on anything that isn't so.
    """

    api: str
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
            _require_path(field, getattr(self, field))
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


def _require_path(field: str, path: str) -> None:
    if not _PATH.fullmatch(path):
        raise ValueError(
            f"{field}: got {path!r}, expected an absolute path of at most"
            " 256 characters A-Z a-z 0-9 . _ / -"
        )


def counts_script(state_file: str) -> str:
    """Return the script that marks requests by whether their token still counts.

    It stays the same whoever is revoked, so that its workers go on with what they know.

    :param state_file: absolute path of what :func:`render_revocations` wrote.
    :raises ValueError: for a path that could be read as Lua.
    """
    _require_path("state_file", state_file)
    return "\n".join(
        (
            part("envoy/01_closed"),
            settings({"state_file": f'"{state_file}"'}),
            part("sha256"),
            part("system"),
            part("revocations"),
            part("envoy/counts"),
        )
    )


def script(options: ScriptOptions) -> str:
    """Return the script that verifies proofs, for ``default_source_code.inline_string`` of the Lua filter."""
    return "\n".join(
        (
            part("envoy/01_closed"),
            _settings(options),
            refusals(_REASONS),
            part("sha256"),
            part("base64"),
            part("system"),
            part("prepared"),
            part("envoy/02_secrets"),
            part("replay"),
            part("envoy/03_tokens"),
            part("proofs"),
            part("envoy/04_gate"),
        )
    )


def _settings(options: ScriptOptions) -> str:
    """Return the settings as Lua; every string was held to letters that need no quoting."""
    return settings(
        {
            "api": f'"{options.api}"',
            "private_file": f'"{options.private_file}"',
            "leeway": str(options.leeway),
            "life": str(PROOF_LIFE_SECONDS + options.leeway),
            "replay_directory": f'"{options.replay_directory}"',
            "replay_sets": str(options.replay_sets),
            "cached_tokens": str(options.cached_tokens),
        }
    )


MAX_PRIVATE_BYTES: Final = 1024 * 1024
"""Most bytes that a script reads of its private file."""

_IDENTIFIER: Final = re.compile(r"[!-~]{1,1024}")


def render_secrets(
    *,
    issuer: str,
    audience: str,
    keys: Iterable[VerificationKey],
    secrets: Iterable[GateSecret],
) -> str:
    """Return what proofs are verified with; write it with mode 0600, whole or not at all.

    :param keys: which tokens are verified with.  They aren't secret, but the script reads all that it
        needs from one file.
    :param secrets: every epoch that gates hold: prepared, active, retired.
    :raises ValueError: on a value that the file's lines can't hold; no message has a secret in it.
    """
    lines = ["watchword-envoy-secrets 2"]
    for name, value in (("issuer", issuer), ("audience", audience)):
        if not _IDENTIFIER.fullmatch(value):
            raise ValueError(f"{name}: got {value!r}, expected 1 to 1024 visible ASCII characters")
        lines.append(f"{name} {value}")
    for key in keys:
        numbers = key.key.public_numbers()
        segment = jose.header_segment(key.kid, TOKEN_TYPE)
        lines.append(f"key {segment} {numbers.x:064x}{numbers.y:064x}")
    epochs: set[int] = set()
    for secret in secrets:
        if len(secret.secret) != SESSION_KEY_BYTES:
            raise ValueError(
                f"epoch {secret.epoch}: expected a secret of {SESSION_KEY_BYTES} bytes"
            )
        if secret.epoch in epochs or not 0 <= secret.epoch < 2**53:
            raise ValueError(f"epoch {secret.epoch}: expected each epoch once, 0 to 2^53 - 1")
        epochs.add(secret.epoch)
        until = "-" if secret.verify_until is None else f"{secret.verify_until:.3f}"
        lines.append(f"secret {secret.epoch:d} {until} {secret.secret.hex()}")
    return _ended(lines)


def render_revocations(generation: int, cuts: Sequence[Cut], revoked: DigestParts) -> str:
    """Return who is revoked and what is cut; write it with mode 0600, whole or not at all.

    :param generation: workers take none that is earlier than the one they have.
    :param revoked: who is revoked; the base is in a file of its own.
    :raises ValueError: on a value that the file's lines can't hold.
    """
    lines = [
        "watchword-envoy-revocations 1",
        f"generation {generation:d}",
        f"key {revoked.key.hex()}",
        f"base {revoked.name or '-'} {len(revoked.base) // DIGEST_BYTES}",
    ]
    for cut in cuts:
        if cut.app is not None and not _IDENTIFIER.fullmatch(cut.app):
            raise ValueError(
                f"app of a cut: got {cut.app!r}, expected 1 to 1024 visible ASCII characters"
            )
        level = "all" if cut.level is None else cut.level.value
        app = "all" if cut.app is None else f":{cut.app}"
        lines.append(f"cut {cut.before:d} {cut.share:d} {level} {app}")
    lines.append("added " + "".join(f"{each:016x} " for each in revoked.added))
    return _ended(lines)


def _ended(lines: Sequence[str]) -> str:
    text = "\n".join([*lines, "end", ""])
    if len(text) > MAX_PRIVATE_BYTES:
        raise ValueError(f"got {len(text)} bytes, expected at most {MAX_PRIVATE_BYTES}")
    return text
