r"""Write the form of a verified token's claims as one regular expression of PCRE2.

HAProxy reads a member of a JSON object by its path and takes the first that it finds; it checks neither that
the text is JSON nor that a name is there once.  So the text is matched as a whole before any member is read:
JSON by its grammar (RFC 8259), without escapes in names, each name of ours once, and each claim of the type
and size that :func:`watchword.tokens.claims.claims_from_json` asks for.  What looks like a member inside of a
string has a backslash in front of a quote, so that it isn't taken for one.
"""

from typing import Final

from watchword.tokens.claims import MAX_NAME_CHARACTERS
from watchword.vocabulary import Environment, Level

_W: Final = r"[ \t\r\n]*+"
_NAME: Final = r'"[^"\\\x00-\x1f]*+"'
_STRING: Final = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
_NUMBER: Final = r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?+[0-9]++)?+"
_MEMBER: Final = f"{_NAME}{_W}:{_W}(?&v){_W}"
_VALUE: Final = (
    rf"(?:{_STRING}|{_NUMBER}|true|false|null|\{{{_W}(?:{_MEMBER}(?:,{_W}{_MEMBER})*+)?+\}}"
    rf"|\[{_W}(?:(?&v){_W}(?:,{_W}(?&v){_W})*+)?+\])"
)
_NAMES: Final = (
    *("iss", "aud", "sub", "iat", "exp", "nbf", "jti", "env", "app", "id", "ver", "lvl"),
    *("cnf", "jwk", "kty", "crv", "x", "y", "sid", "epo", "bnd"),
)
# Where there is an escape, what is behind it isn't counted.
_TEXT: Final = rf'"(?:[^"\\]{{1,{MAX_NAME_CHARACTERS}}}+"|[^"\\]{{0,{MAX_NAME_CHARACTERS}}}+\\)'
# A list of subjects takes a line that begins with # for a comment.
_SAFE: Final = rf'"(?!#)[!#-\[\]-~]{{1,{MAX_NAME_CHARACTERS}}}+"'
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
        rf"(?s)^(?(DEFINE)(?<v>{_VALUE}))",
        rf'(?!.*?"(?<n>{"|".join(_NAMES)})"{_W}:.*?"\k<n>"{_W}:)',
        *(_has(name, _TEXT) for name in ("iss", "aud", "jti", "sid")),
        *(_has(name, _SAFE) for name in ("sub", "id")),
        *(_has(name, _WHOLE) for name in ("iat", "exp", "epo")),
        _has("env", _one_of([each.value for each in Environment])),
        _has("lvl", _one_of([each.value for each in Level])),
        _has("jwk", _JWK),
        *(_may_have(name, _TEXT) for name in ("ver", "bnd")),
        _may_have("nbf", _WHOLE),
        rf"{_W}\{{{_W}{_MEMBER}(?:,{_W}{_MEMBER})*+\}}{_W}$",
    )
)
"""Matches the payload of a token whose claims can be read by their paths."""
