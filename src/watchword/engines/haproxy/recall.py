"""Write the part that keeps what was read of verified tokens, so that it isn't read again from each request.

HAProxy's tables hold numbers alone.  A table of Lua, one in each thread, holds the claims that rules and API need
and the key of the session, filed as the verdict is: by the digest of the generation and the whole token.  It says
nothing on whether a token is good: it is asked where the table of verdicts said so.  A thread that lacks a record
reads the token once.  Only a verified token's is kept, so that nobody fills it with tokens that he made up.

A record is the second in which the session's secret ends, ten digits, a colon, and its key, 44 characters; then
level, app, subject, whom requests are counted by, and session with a quote between, which none of them can hold.
"""

from collections.abc import Iterator
from typing import Final

from watchword.engines.haproxy.text import argument, found, rule, word

_MOST: Final = 32_768
"""Records of a thread before the older ones go; as many again are kept of those."""

_SECOND: Final = 10
_KEY: Final = 44
_NONE: Final = "0" * _SECOND + ":" + "-" * _KEY
_CLAIMS_AT: Final = len(_NONE)
_FILED: Final = "var(txn.id),hex"
"""What is filed: Lua is given text, which ends with the first byte of 0, and a digest may hold one anywhere."""

_QUOTE: Final = argument('"')

THERE: Final = found("txn.record")
"""A condition: a record was found."""

KEYED: Final = found("txn.session_key")
"""A condition: the session's key and id are those of the record, and its secret hasn't ended."""


def look(*, session: bool) -> Iterator[str]:
    """Yield the rules that read the claims of a token that was verified before, where a record is there.

    :param session: whether the session's key and id are read too.
    """
    yield rule(f"set-var(txn.record) {_FILED},lua.watchword_recall")
    for at, name in enumerate(("level", "app", "sub", "counted"), 1):
        yield rule(f"set-var(txn.{name}) {_claim(at)}")
    if session:
        lives = "{ var(txn.record),field(1,:),sub(txn.now) -m int gt 0 }"
        yield rule(f"set-var(txn.session_key) var(txn.record),bytes({_SECOND + 1},{_KEY})", lives)
        yield rule(f"set-var(txn.sid) {_claim(5)}")


def _claim(at: int) -> str:
    return word(f"var(txn.record),bytes({_CLAIMS_AT}),field({at},{_QUOTE})")


def keep(condition: str) -> Iterator[str]:
    """Yield the rules that keep the claims of a token without a session's key."""
    yield from _keep(_NONE, "", condition)


def keep_session(condition: str) -> Iterator[str]:
    """Yield the rules that keep the claims with the session's key, and when its secret ends."""
    yield from _keep(
        "%[var(txn.secret_ends)]:%[var(txn.session_key)]", "%[var(txn.sid)]", condition
    )


def _keep(before: str, behind: str, condition: str) -> Iterator[str]:
    claims = '%[var(txn.level)]"%[var(txn.app)]"%[var(txn.sub)]"%[var(txn.counted)]"'
    # Not under the name by which a record is known: the condition may be that there is none.
    yield rule(f"set-var-fmt(txn.noted) {word(before + claims + behind)}", condition)
    kept = f"{_FILED},concat(,txn.noted),lua.watchword_keep"
    yield rule(f"set-var(txn.kept) {kept}", condition)


SCRIPT: Final = f"""-- Keeps what was read of verified tokens: each thread for itself, and no more than so many.
local young, old, count = {{}}, {{}}, 0

core.register_converters("watchword_recall", function(id)
  local found = young[id] or old[id]
  if found then return found end
end)

-- The first 64 signs are what it is filed under.
core.register_converters("watchword_keep", function(told)
  if #told < 64 then return end
  local id = told:sub(1, 64)
  -- One without a key has nothing to tell where another one is.
  if told:byte(65) == 48 and (young[id] or old[id]) then return end
  if count >= {_MOST} then young, old, count = {{}}, young, 0 end
  if young[id] == nil then count = count + 1 end
  young[id] = told:sub(65)
end)
"""
