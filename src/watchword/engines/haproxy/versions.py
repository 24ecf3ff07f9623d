r"""Write the order of versions as regular expressions, since HAProxy compares no dotted numbers.

They say what :func:`watchword.gate.versions.is_at_least` says.
"""

import re
from typing import Final

from watchword.gate.versions import read_version

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
