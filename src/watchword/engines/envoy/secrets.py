"""Write the private file: what Envoy's script needs and no configuration dump may show.

Lines, since stock Lua reads no JSON::

    watchword-envoy-secrets 1
    generation 7
    issuer https://attest.example
    audience https://api.example
    key eyJhbGciOiJFUzI1NiJ9 128 hexadecimal digits
    secret 3 - 64 hexadecimal digits
    secret 2 1900000000.000 64 hexadecimal digits
    revoked a pairwise subject
    end

A key is one that tokens are signed with: the first segment of each of its tokens, and its point's x and y.
The number behind an epoch is the time (seconds since 1970) from which its tokens are refused, ``-`` while
it isn't retired.  The last line tells a whole file from one that was cut off.
"""

import re
from collections.abc import Iterable
from typing import Final

from watchword.ports import VerificationKey
from watchword.tokens import strict_jws
from watchword.tokens.interface import TOKEN_TYPE
from watchword.tokens.proofs.interface import SESSION_KEY_BYTES, GateSecret

MAX_SECRETS_BYTES: Final = 16 * 1024 * 1024
"""Most bytes that the script reads; a revoked instance takes about 50."""

_SUBJECT: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_IDENTIFIER: Final = re.compile(r"[!-~]{1,1024}")


def render(
    *,
    generation: int,
    issuer: str,
    audience: str,
    keys: Iterable[VerificationKey],
    secrets: Iterable[GateSecret],
    revoked: Iterable[str],
) -> bytes:
    """Return the content of the private file; write it with mode 0600, whole or not at all.

    :param generation: the same number that the script is made with.
    :param keys: which tokens are verified with.  They aren't secret, but the script reads all that it
        needs from one file of one generation.
    :param secrets: every epoch that gates hold: prepared, active, retired.
    :param revoked: subjects of revoked instances whose tokens may still be alive.
    :raises ValueError: on a value that the file's lines can't hold; no message has a secret in it.
    """
    lines = ["watchword-envoy-secrets 1", f"generation {generation:d}"]
    for name, value in (("issuer", issuer), ("audience", audience)):
        if not _IDENTIFIER.fullmatch(value):
            raise ValueError(f"{name}: got {value!r}, expected 1 to 1024 visible ASCII characters")
        lines.append(f"{name} {value}")
    for key in keys:
        numbers = key.key.public_numbers()
        segment = strict_jws.header_segment(key.kid, TOKEN_TYPE)
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
    for subject in revoked:
        if not _SUBJECT.fullmatch(subject):
            raise ValueError(f"revoked: got {subject!r}, expected 1 to 256 of A-Z a-z 0-9 _ -")
        lines.append(f"revoked {subject}")
    lines.append("end")
    data = "\n".join(lines).encode() + b"\n"
    if len(data) > MAX_SECRETS_BYTES:
        raise ValueError(
            f"got {len(data)} bytes of secrets and revoked instances, expected at most"
            f" {MAX_SECRETS_BYTES}"
        )
    return data
