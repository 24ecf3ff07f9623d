"""Write who is revoked and which tokens are cut, and the rules that look a token up in both.

HAProxy takes some 200 bytes for each line of a map.  So most digests stand many in a line: a line holds all that begin
with the same 12 bits, the highest first, and a rule halves what is left of it, as often as the longest line needs.  A
million take 18 MB.  The digests that came last have lines of their own, so that a revocation is one short command.

Lines are filed under the key of the digests too: those of a new key are added while requests are judged by the one before.

A cut has a line for each part of the instances that it took so far, so that one look-up finds the latest for all apps,
and another one that for the token's own.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

from watchword.encoding import base64url
from watchword.engines.haproxy import text
from watchword.engines.haproxy.text import matches, rule
from watchword.engines.interface import EngineOptions, UnsupportedError
from watchword.gate.cuts import ALPHABET, Cut
from watchword.gate.revocations import DIGEST_BYTES, DigestParts
from watchword.vocabulary import Level

_HEAD: Final = 2
_WHOLE: Final = 11
_REST: Final = _WHOLE - _HEAD
"""Characters of a digest in base64url: by which its line is found, all, and what stands in the line."""

_STRETCH: Final = 4096
"""So many digests are encoded at a time: what all of them take at once, a follower would keep."""

_MOST_STEPS: Final = 11
"""A line of so many halvings has 2,047 digests at most; of four million, the most that gates take, it has about 1,000."""

DIGEST: Final = "txn.digest"
"""The digest of the token's instance; without it, nothing can be said."""

REVOKED: Final = "{ var(txn.revoked) -m int eq 1 }"
"""A condition: the token's instance is revoked."""

CUT: Final = "{ var(txn.cut) -m int eq 1 }"
"""A condition: the token was issued before a cut that covers it."""

_SIGN: Final = 2**62


def buckets(listed: DigestParts) -> str:
    """Return the map of lines with many digests.

    :raises UnsupportedError: for a line that is longer than is looked through, which chance doesn't make.
    """
    return _buckets(listed.key, listed.base)


def _texts(base: bytes) -> Iterator[str]:
    """Yield digests in base64url."""
    for start in range(0, len(base), _STRETCH * DIGEST_BYTES):
        some = base[start : start + _STRETCH * DIGEST_BYTES]
        # Nine bytes are twelve characters, of which the last one says nothing.
        padded = bytearray(len(some) // DIGEST_BYTES * (DIGEST_BYTES + 1))
        for at in range(DIGEST_BYTES):
            padded[at :: DIGEST_BYTES + 1] = some[at::DIGEST_BYTES]
        encoded = base64.urlsafe_b64encode(padded).decode("ascii")
        for at in range(0, len(encoded), _WHOLE + 1):
            yield encoded[at : at + _WHOLE]


@lru_cache(maxsize=1)
def _buckets(key: bytes, base: bytes) -> str:
    tag, lines = base64url.encode(key), []
    for head, digests in groupby(_texts(base), lambda digest: digest[:_HEAD]):
        rests = sorted((digest[_HEAD:] for digest in digests), reverse=True)
        if len(rests) >= 2**_MOST_STEPS:
            why = f"got {len(rests)} digests that begin alike, expected fewer than {2**_MOST_STEPS}"
            remedy = "let the service write another snapshot, under another key"
            raise UnsupportedError("the API", "revoked instances", why, remedy)
        lines.append(f"{tag}{head} {''.join(rests)}\n")
    return "".join(lines)


def since(listed: DigestParts) -> str:
    """Return the map of the key and of digests that have a line each."""
    lines = [f"{text.DIGEST_KEY} {base64url.encode(listed.key)}\n"]
    lines += (f"{base64url.encode(each.to_bytes(DIGEST_BYTES))} 1\n" for each in listed.added)
    return "".join(lines)


def look(options: EngineOptions) -> Iterator[str]:
    """Yield the rules that set ``txn.revoked`` where the instance ``txn.sub`` is revoked, and ``txn.digest``."""
    listed, added = options.path(text.REVOKED), options.path(text.REVOKED_SINCE)
    # Read once: what is looked for under it is there until nobody reads it any more.
    yield rule(f"set-var(txn.digest_key) str({text.DIGEST_KEY}),map({added})")
    yield rule("set-var(txn.sub_text) var(txn.sub),ub64enc")
    # The key is 12 bytes, so that its text and the subject's are one.
    keyed = "var(txn.digest_key),concat(,txn.sub_text),ub64dec"
    yield rule(f"set-var({DIGEST}) {keyed},sha2(256),bytes(0,{DIGEST_BYTES}),ub64enc")
    yield rule(f"set-var(txn.revoked) int(1) if {{ var({DIGEST}),map({added}) -m found }}")
    yield rule(f"set-var(txn.digest_head) var({DIGEST}),bytes(0,{_HEAD})")
    yield rule(f"set-var(txn.digest_rest) var({DIGEST}),bytes({_HEAD})")
    line = f"var(txn.digest_key),concat(,txn.digest_head),map({listed})"
    yield rule(f"set-var(txn.digests) {line}")
    yield rule(f"set-var(txn.digest_at) int({_REST * 2 ** (_MOST_STEPS - 1)})")
    for step in range(_MOST_STEPS - 1, -1, -1):
        # A digest that isn't smaller than ours leaves a sign behind, which becomes the way on; behind the end is none.
        way = 2**step * _REST
        back = (2**step - 2**step // 2) * _REST
        compared = "var(txn.digests),bytes(txn.digest_at," + f"{_REST}),strcmp(txn.digest_rest)"
        onward = f"cpl,and({_SIGN}),div({_SIGN // way}),sub({back}),add(txn.digest_at)"
        yield rule(f"set-var(txn.digest_at) {compared},{onward}")
    found = f"var(txn.digests),bytes(txn.digest_at,{_REST}),strcmp(txn.digest_rest)"
    yield rule(f"set-var(txn.revoked) int(1) if {{ {found} -m int eq 0 }}")


def cuts(listed: Sequence[Cut], app: str) -> str:
    """Return the map of cuts: by part, level and, where it is of one app, app, the second in which tokens hold again.

    :param app: matches the apps that a token may have here; none of another one gets this far.
    """
    latest: dict[str, int] = {}
    for cut in listed:
        if cut.app is not None and not re.fullmatch(app, cut.app):
            continue
        of_app = "" if cut.app is None else f":{cut.app}"
        for level in Level if cut.level is None else (cut.level,):
            for part in ALPHABET[: cut.share]:
                key = f"{part}:{level.value}{of_app}"
                latest[key] = max(cut.before, latest.get(key, 0))
    return "".join(f"{key} {before}\n" for key, before in sorted(latest.items()))


def look_for_cuts(options: EngineOptions) -> Iterator[str]:
    """Yield the rules that set ``txn.cut`` where a cut covers the token."""
    yield rule("set-var(txn.part) var(txn.sub),bytes(0,1)")
    # The gate counts what begins otherwise to the first part.
    odd = matches("var(txn.part)", "reg", "^[A-Za-z0-9_-]")
    yield rule(f"set-var(txn.part) str({ALPHABET[0]})", f"!{odd}")
    key = "var(txn.part),concat(:,txn.level)"
    for each in (key, f"{key},concat(:,txn.app)"):
        before = f"{each},map({options.path(text.CUTS)}),sub(txn.iat)"
        yield rule("set-var(txn.cut) int(1)", f"{{ {before} -m int gt 0 }}")
