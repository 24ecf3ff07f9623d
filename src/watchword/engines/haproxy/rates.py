"""Write the rules that hold an instance to its rate, as :class:`watchword.gate.rate.RateLimiter` does.

A bucket is the instant from which on it is full again.  Threads can count in HAProxy's tables, and can't change
a number that they read; so the instant is made of two: an instant that is written only while the bucket is
full, and how many requests passed since.  Of all who count, each sees another count: exactly as many pass as
there is room for.  Milliseconds are counted modulo 2**32, and differences are far below half of that.
"""

from collections.abc import Iterator
from typing import Final

from watchword.engines.haproxy import names
from watchword.engines.haproxy.hygiene import because
from watchword.engines.haproxy.text import WHOLE, rule
from watchword.gate.interface import Rate
from watchword.gate.rate import DEFAULT_CAPACITY
from watchword.reasons import Reason

_TURN: Final = 2**32
_HALF: Final = 2**31
_ROUNDING_MS: Final = 1


def table_name(rate: Rate) -> str:
    """Return the name of the table of buckets; a rate of other numbers begins anew, in another table."""
    return f"{names.RATES}_{rate.requests}_{rate.seconds}"


def rate_table(rate: Rate, peers: str) -> str:
    """Return the table of buckets: what is idle for so long is full, and may be forgotten."""
    seconds = rate.seconds + -(-rate.seconds // rate.requests)
    return (
        f"stick-table type binary len 32 size {DEFAULT_CAPACITY} expire {seconds}s nopurge "
        f"peers {peers} store gpc(1),gpt(1)"
    )


def rate_rules(rate: Rate) -> Iterator[str]:
    """Yield the rules; afterwards ``txn.reason`` is set, or the request is counted."""
    whole_ms = rate.seconds * 1000
    most = whole_ms - whole_ms // rate.requests + _ROUNDING_MS
    counted = "{ sc2_tracked }"
    yield rule("set-var(txn.bucket) var(txn.counted),sha2(256)", WHOLE)
    yield rule(f"track-sc2 var(txn.bucket) table {table_name(rate)}", WHOLE)
    # To let pass whom the table has no room for would switch the limit off for a crowd.
    yield because(Reason.GATE_RATE, f"{WHOLE} !{counted}")
    yield rule(f"set-var(txn.clock) date(0,ms),mod({_TURN})", WHOLE)
    # Read in this order: whoever sees a later count sees the instant that was written before it.
    yield rule("set-var(txn.passed) sc_get_gpc(0,2)", WHOLE)
    yield rule("set-var(txn.since) sc_get_gpt(0,2)", WHOLE)
    yield from _ahead(rate)
    full = f"{WHOLE} {{ var(txn.ahead) -m int ge {_HALF} }}"
    fresh = f"{WHOLE} {{ var(txn.passed) -m int eq 0 }} {{ var(txn.since) -m int eq 0 }}"
    yield from _begin(full, 0)
    yield from _begin(fresh, 0)
    # A clock that went back finds buckets that are full later than they can be: they count as empty.
    yield from _begin(f"{WHOLE} {{ var(txn.ahead) -m int gt {whole_ms + _ROUNDING_MS} }}", whole_ms)
    yield because(Reason.GATE_RATE, f"{WHOLE} {{ var(txn.ahead) -m int gt {most} }}")
    yield rule("set-var(txn.passed) sc_inc_gpc(0,2)", WHOLE)
    yield from _ahead(rate)
    over = f"{WHOLE} {{ var(txn.ahead) -m int gt {whole_ms + _ROUNDING_MS} }}"
    yield because(Reason.GATE_RATE, f"{over} {{ var(txn.ahead) -m int lt {_HALF} }}")


def _ahead(rate: Rate) -> Iterator[str]:
    """Yield the rules that find how far ahead a bucket is full; 2**31 and more is behind."""
    yield rule(
        f"set-var(txn.spent) var(txn.passed),mul({rate.seconds * 1000}),div({rate.requests}),mod({_TURN})",
        WHOLE,
    )
    yield rule(
        f"set-var(txn.ahead) var(txn.since),add(txn.spent),add({_TURN}),sub(txn.clock),mod({_TURN})",
        WHOLE,
    )


def _begin(condition: str, ahead: int) -> Iterator[str]:
    """Yield the rules that write when a bucket is full."""
    yield rule(
        f"set-var(txn.since) var(txn.clock),add({_TURN + ahead}),sub(txn.spent),mod({_TURN})",
        condition,
    )
    # 0 says that nothing was written yet.
    yield rule("set-var(txn.since) int(1)", f"{condition} {{ var(txn.since) -m int eq 0 }}")
    yield rule("sc-set-gpt(0,2) var(txn.since)", condition)
    yield rule(f"set-var(txn.ahead) int({ahead})", condition)


def retry_after(rate: Rate) -> str:
    """Return the expression for the seconds after which there is room again."""
    whole_ms = rate.seconds * 1000
    room = whole_ms - whole_ms // rate.requests
    return f"var(txn.ahead),sub({room}),add(999),div(1000)"
