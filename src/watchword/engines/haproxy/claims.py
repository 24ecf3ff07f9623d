r"""Write the form of a verified token's claims as one regular expression of PCRE2.

HAProxy reads a member of a JSON object by its path and takes the first that it finds; it checks neither that
the text is JSON nor that a name is there once.  So the text is matched as a whole before any member is read:
JSON by its grammar (RFC 8259) and within the bounds of :mod:`watchword.encoding.strict_json`, without escapes
in names, each name of ours once, and each claim of the type and size that
:func:`watchword.tokens.service.claims_from_json` asks for.  What looks like a member inside of a
string has a backslash in front of a quote, so that it isn't taken for one.
"""

from typing import Final

from watchword.encoding.strict_json import MAX_DEPTH, MAX_DIGITS
from watchword.tokens.service import MAX_NAME_CHARACTERS
from watchword.vocabulary import Environment, Level

_W: Final = r"[ \t\r\n]*+"
_NEXT: Final = r"[\x80-\xbf]"
_UTF_8: Final = (
    # RFC 3629 section 4; expressions are matched byte by byte.
    rf"[\xc2-\xdf]{_NEXT}|\xe0[\xa0-\xbf]{_NEXT}|[\xe1-\xec\xee\xef]{_NEXT}{{2}}|\xed[\x80-\x9f]{_NEXT}"
    rf"|\xf0[\x90-\xbf]{_NEXT}{{2}}|[\xf1-\xf3]{_NEXT}{{3}}|\xf4[\x80-\x8f]{_NEXT}{{2}}"
)
_NAME: Final = rf'"(?:[^"\\\x00-\x1f\x80-\xff]|{_UTF_8})*+"'
_ESCAPE: Final = r'\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9A-Fa-f]{4}|u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2})'
_STRING: Final = rf'"(?:[^"\\\x00-\x1f\x80-\xff]|{_UTF_8}|{_ESCAPE})*+"'
_MOST: Final = MAX_DIGITS - 1
# With an exponent of two digits, no number is beyond what a float holds.
_NUMBER: Final = rf"-?+(?:0|[1-9][0-9]{{0,{_MOST}}}+)(?![0-9])(?:\.[0-9]++)?+(?:[eE][-+]?+[0-9]{{1,2}}+(?![0-9]))?+"
_SCALAR: Final = f"(?:{_STRING}|{_NUMBER}|true|false|null)"


def _nested(inner: str) -> str:
    """Return the expression for an object or a list of what ``inner`` matches, or for that itself."""
    member = f"{_NAME}{_W}:{_W}{inner}{_W}"
    return (
        rf"(?:{inner}|\{{{_W}(?:{member}(?:,{_W}{member})*+)?+\}}"
        rf"|\[{_W}(?:{inner}{_W}(?:,{_W}{inner}{_W})*+)?+\])"
    )


# The outermost object is one level.
_DEPTHS: Final = MAX_DEPTH - 1
_VALUES: Final = f"(?<v0>{_SCALAR})" + "".join(
    f"(?<v{depth}>{_nested(f'(?&v{depth - 1})')})" for depth in range(1, _DEPTHS + 1)
)
_MEMBER: Final = f"{_NAME}{_W}:{_W}(?&v{_DEPTHS}){_W}"
_NAMES: Final = (
    *("iss", "aud", "sub", "iat", "exp", "nbf", "jti", "env", "app", "id", "ver", "lvl"),
    *("cnf", "jwk", "kty", "crv", "x", "y", "sid", "epo", "bnd", "dev"),
)
# Where there is an escape, what is behind it isn't counted.
_TEXT: Final = rf'"(?:[^"\\]{{1,{MAX_NAME_CHARACTERS}}}+"|[^"\\]{{0,{MAX_NAME_CHARACTERS}}}+\\)'
# A list of subjects takes a line that begins with # for a comment.
SAFE: Final = rf"(?!#)[!#-\[\]-~]{{1,{MAX_NAME_CHARACTERS}}}+"
"""Matches the subjects that a token may have here: no others are looked for in the list of revoked ones."""

_SAFE: Final = f'"{SAFE}"'
_WHOLE: Final = rf"(?:0|[1-9][0-9]{{0,12}}+){_W}[,}}]"
_COORDINATE: Final = '"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"'


def _has(name: str, value: str) -> str:
    return f'(?=.*?"{name}"{_W}:{_W}{value})'


def _may_have(name: str, value: str) -> str:
    return f'(?!.*?"{name}"{_W}:{_W}(?!{value}))'


def _one_of(values: "list[str]") -> str:
    return f'"(?:{"|".join(values)})"'


_JWK: Final = (
    rf'\{{(?:{_W}"(?:kty"{_W}:{_W}"EC"|crv"{_W}:{_W}"P-256"|[xy]"{_W}:{_W}{_COORDINATE}){_W}'
    rf"(?:,|(?=\}}))){{4}}\}}"
)

PAYLOAD: Final = "".join(
    (
        f"(?s)^(?(DEFINE){_VALUES})",
        rf'(?!.*?"(?<n>{"|".join(_NAMES)})"{_W}:.*?"\k<n>"{_W}:)',
        *(_has(name, _TEXT) for name in ("iss", "aud", "jti", "sid")),
        *(_has(name, _SAFE) for name in ("sub", "id")),
        *(_has(name, _WHOLE) for name in ("iat", "exp", "epo")),
        _has("env", _one_of([each.value for each in Environment])),
        _has("lvl", _one_of([each.value for each in Level])),
        _has("jwk", _JWK),
        *(_may_have(name, _TEXT) for name in ("ver", "bnd")),
        _may_have("dev", _SAFE),
        _may_have("nbf", _WHOLE),
        rf"{_W}\{{{_W}{_MEMBER}(?:,{_W}{_MEMBER})*+\}}{_W}$",
    )
)
"""Matches the payload of a token whose claims can be read by their paths."""
