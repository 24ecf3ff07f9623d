r"""Write words of HAProxy's configuration, so that no value can end the word that it stands in.

Manual of HAProxy 3.0, section 2.2 (quoting and escaping): in double quotes, a backslash, a quote and a
dollar sign are escaped; arguments of converters are read a second time, where single quotes take all up to
the next one as it is.

HAProxy compares no dotted numbers, so the order of versions is written as regular expressions, which say what :func:`watchword.gate.interface.is_at_least` says.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Final

from watchword.gate.interface import read_version

_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n"}


def word(text: str) -> str:
    """Return a text as one word; raise ValueError for control characters other than a line feed."""
    if any(ord(each) < 0x20 and each != "\n" for each in text) or "\x7f" in text:
        raise ValueError("got a control character, which no word of a configuration can hold")
    return '"' + "".join(_ESCAPES.get(each, each) for each in text) + '"'


def argument(text: str) -> str:
    """Return a text as one argument of a converter; raise ValueError for a single quote in it."""
    if "'" in text:
        raise ValueError("got a single quote, which no argument of a converter can hold")
    return f"'{text}'"


def constant(data: bytes) -> str:
    """Return an expression for fixed bytes, which may hold any byte."""
    return f"str({argument(base64.b64encode(data).decode('ascii'))}),b64dec"


def rule(action: str, condition: str = "") -> str:
    """Return a rule on requests."""
    return f"http-request {action}{f' if {condition}' if condition else ''}"


def matches(expression: str, how: str, *values: str) -> str:
    """Return a condition: the expression has one of the values, in HAProxy's way ``how`` of matching."""
    # Behind "--" a value that begins with a hyphen is no option.
    return f"{{ {word(expression)} -m {how} -- {' '.join(map(word, values))} }}"


def found(name: str) -> str:
    """Return a condition: the variable is set."""
    return f"{{ var({name}) -m found }}"


def indented(lines: Iterable[str]) -> str:
    """Return the lines of a section behind its first one."""
    return "".join(f"    {line}\n" if line else "\n" for line in lines)


WHOLE: Final = "!{ var(txn.reason) -m found }"
"""A condition: nothing was found to be wrong so far."""

_GUARD: Final = re.compile(rf"^(http-request set-var(?:-fmt)?\(.*?) if {re.escape(WHOLE)}(?: |$)")


_COUNTS: Final = "sc_inc_"


def unguarded(lines: Iterable[str]) -> Iterator[str]:
    """Yield rules, of which those that only set variables don't ask first whether anything was wrong.

    What counts is asked for as before: a request that is refused takes nothing.

    For requests that are mostly right: to ask costs more than to set a variable that nobody reads.
    """
    for line in lines:
        found_ = _GUARD.match(line)
        if found_ is None or _COUNTS in line:
            yield line
            continue
        behind = line[found_.end() :]
        yield found_[1] + (f" if {behind}" if behind else "")


CONFIG: Final = "haproxy.cfg"
KEYS: Final = "keys.map"
"""By the first segment of its tokens, a token key and when it retires."""

SECRETS: Final = "secrets.map"
"""By epoch, when it ends and the gate secret: mode 0600."""

REVOKED: Final = "revoked.map"
"""Most revoked instances: by key and head of a digest, what comes behind the head of all of them."""

REVOKED_SINCE: Final = "revoked-since.map"
"""The key of the digests, and those that aren't in :data:`REVOKED`; what stands beside them means nothing."""

DIGEST_KEY: Final = "key"
"""The key of :data:`REVOKED_SINCE` that is no digest: what digests are made with now."""

CUTS: Final = "cuts.map"
"""By part of the instances, level and app, the second from which on tokens hold."""

STATE: Final = "state.map"
"""What the one who follows the bundle tells a running HAProxy."""

ROUTES: Final = "routes.map"
VERSIONS: Final = "versions.lst"
PAYLOAD: Final = "payload.lst"
SIZES: Final = "sizes.map"
WAITING: Final = "waiting.lua"
RECALL: Final = "recall.lua"

MASTER_SOCKET: Final = "master.sock"
PEERS_SOCKET: Final = "peers.sock"

VERDICTS: Final = "watchword_verdicts"
USED: Final = "watchword_used"
RATES: Final = "watchword_rates"
"""The tables: verified tokens, used proofs, what instances sent."""

LOCAL_PEER: Final = "watchword"

GENERATION: Final = "generation"
PROOFS: Final = "proofs"
"""The keys of :data:`STATE`."""

COLD: Final = "cold"
SYNCING: Final = "syncing"
READY: Final = "ready"
UNSURE: Final = "unsure"
"""What :data:`PROOFS` can be: a table of used proofs that began empty; one that is being handed over; one that
knows all; one that began empty by a clock that had been further, so that it takes none yet."""

CLOSED: Final = "closed"
"""The generation of a process that must judge nothing more, since another one does."""


def key_file(kid: str) -> str:
    """Return the name of the file with a public token key."""
    return f"key-{kid}.pem"


_END: Final = r"$(?!\n)"
"""The end; the sign alone matches in front of a last line feed too."""

_FORM: Final = rf"(?=[0-9]{{1,18}}(?:\.[0-9]{{1,18}}){{0,7}}{_END})"
"""What has a place in the order at all; looked at first, so that the rest need count no digits."""


def at_least(minimum: str) -> str:
    """Return what matches, as a whole and up to the end, the versions that are at least ``minimum``.

    :raises ValueError: when ``minimum`` can't be read.
    """
    numbers = read_version(minimum)
    if numbers is None:
        raise ValueError(f"got the minimum version {minimum!r}, expected numbers with dots")
    behind = r"(?:\.[0-9]+)*"
    before, cases = "", []
    for number in numbers:
        cases.append(f"{before}{_above(number)}{behind}")
        before += rf"0*{number or ''}\." if number else r"0+\."
    # The same numbers as the minimum, and perhaps more: the last of them isn't 0.
    cases.append(f"{before[:-2]}{behind}" if numbers else r"[0-9.]+")
    return f"{_FORM}(?:{'|'.join(cases)}){_END}"


def _above(number: int) -> str:
    """Return what matches the numbers above one, with any zeros in front."""
    if not number:
        return "0*[1-9][0-9]*"
    digits = str(number)
    cases = [f"[1-9][0-9]{{{len(digits)},}}"]
    for at, digit in enumerate(digits):
        if digit != "9":
            higher = chr(ord(digit) + 1)
            cases.append(f"{digits[:at]}[{higher}-9][0-9]{{{len(digits) - at - 1}}}")
    return f"0*(?:{'|'.join(cases)})"


def line(row: int, app: str, minimum: str) -> str:
    """Return what matches a row's number, an app and a version of it that is high enough, with colons between.

    :raises ValueError: when ``minimum`` can't be read.
    """
    return f"^{row}:{re.escape(app)}:{at_least(minimum)}"
