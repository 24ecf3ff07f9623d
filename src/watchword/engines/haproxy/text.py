"""Write words of HAProxy's configuration, so that no value can end the word that it stands in.

Manual of HAProxy 3.0, section 2.2 (quoting and escaping): in double quotes, a backslash, a quote and a
dollar sign are escaped; arguments of converters are read a second time, where single quotes take all up to
the next one as it is.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Final

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
