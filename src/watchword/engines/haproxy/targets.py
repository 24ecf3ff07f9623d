r"""Write the gate's reading of paths as expressions of PCRE2, to be matched as a whole.

They say what :func:`watchword.gate.paths.read_path` says.  The expression of :mod:`watchword.engines.paths` is
one of RE2, which never goes back; PCRE2 does, and a path of encoded percent signs would keep it busy.  Here
each part is looked for once, by itself.
"""

from typing import Final

_COMMON: Final = r"(?=/)(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*+)*+/?"
COMMON: Final = f"^{_COMMON}$"
"""Matches paths that need no second look: no encoding, no segment that starts with a dot."""

ORDINARY: Final = rf"{_COMMON}(?:\?.*+)?$"
"""Matches, from the start on, targets with such a path: no scheme and host in front of it."""

_HEX: Final = "[0-9A-Fa-f]"
_DIGIT: Final = f"(?:{_HEX}|%3[0-9]|%[46][1-6])"
"""A hexadecimal digit, as it is or encoded."""

_DOT: Final = r"(?:\.|%2[Ee])"
_NEXT: Final = "%[89AaBb][0-9A-Fa-f]"
_MULTIBYTE: Final = "|".join(
    (
        # UTF-8 (RFC 3629 section 4) without the control characters U+0080 to U+009F.
        f"%[Cc]2%[AaBb]{_HEX}",
        f"%(?:[Cc][3-9A-Fa-f]|[Dd]{_HEX}){_NEXT}",
        f"%[Ee]0%[AaBb]{_HEX}{_NEXT}",
        f"%[Ee](?:[1-9A-Ca-c]|[EeFf])(?:{_NEXT}){{2}}",
        f"%[Ee][Dd]%[89]{_HEX}{_NEXT}",
        f"%[Ff]0%[9AaBb]{_HEX}(?:{_NEXT}){{2}}",
        f"%[Ff][1-3](?:{_NEXT}){{3}}",
        f"%[Ff]4%8{_HEX}(?:{_NEXT}){{2}}",
    )
)

READABLE: Final = "".join(
    (
        "^(?=/)",
        r"(?!.*[\\;#?])",
        # Control characters, and what separates: / \ ; # ?
        r"(?!.*%(?:[01]|7[Ff]|2[Ff3]|5[Cc]|3[BbFf]))",
        # A server that decodes twice would read another encoding.
        f"(?!.*%25{_DIGIT}{_DIGIT})",
        f"(?!.*/{_DOT}{{0,2}}/)",
        f"(?!.*/{_DOT}{{1,2}}$)",
        f"(?:[!-$&-~]|%[0-7]{_HEX}|{_MULTIBYTE})++$",
    )
)
"""Matches exactly the raw paths that the gate can read in one way only."""
