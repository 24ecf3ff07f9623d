r"""Write the rules that refuse requests which two servers could read in two ways, and that clean the rest.

They say what :mod:`watchword.gate.hygiene` says, as far as HAProxy's parser lets
them see it.

Paths are read by expressions of PCRE2, matched as a whole, which say what :func:`watchword.gate.hygiene.read_path` says.  The expression of :mod:`watchword.engines.paths` is
one of RE2, which never goes back; PCRE2 does, and a path of encoded percent signs would keep it busy.  Here
each part is looked for once, by itself.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from watchword.engines.haproxy.text import matches, rule, word
from watchword.engines.paths import normalised_expression
from watchword.gate.decisions import MAX_QUERY_BYTES
from watchword.gate.hygiene import (
    CLIENT_SIDE,
    FORWARDED_PREFIX,
    HOP_BY_HOP,
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_HEADER_BYTES,
    MAX_PATH_BYTES,
    PROOF_FIELDS,
    REWRITING_FIELDS,
)
from watchword.gate.interface import (
    API_HEADER,
    RESULT_HEADERS,
    STATUS_HEADER,
    TOKEN_HEADER,
    VERDICT_HEADER,
)
from watchword.reasons import Reason

_DECIDING: Final = (
    *sorted(name.decode() for name in PROOF_FIELDS),
    TOKEN_HEADER.decode(),
    *("host", "content-length", "transfer-encoding", "content-digest", "authorization"),
)
_SIGN: Final = r"[-!#$%&'*+.^_\x60|~]"
"""What CGI and its like take for a hyphen in a name."""

_OTHER_SIGN: Final = r"[!#$%&'*+.^_\x60|~]"

_MAX_LENGTH_DIGITS: Final = 18
"""Most digits of a body's length, as :mod:`watchword.gate.hygiene` takes them."""

_HOST: Final = r"^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$"
_SPOKEN: Final = sorted(name.decode() for name in HOP_BY_HOP - {b"close", b"upgrade"})
"""What clients name in Connection every day, beside ``close`` and ``upgrade``."""


def because(reason: Reason, condition: str) -> str:
    """Return a rule that says why a request is refused, where nothing else was found before."""
    return rule(f"set-var(txn.reason,ifnotexists) str({reason.code})", condition)


def _spelled(names: Iterable[str]) -> str:
    """Return the expression for names by any sign for a hyphen."""
    return "|".join(_SIGN.join(name.lower().split("-")) for name in names)


def _results() -> str:
    """Return the expression for names by which a gate tells the API who is there, and an app why it isn't shown."""
    endings = sorted(
        name.decode().removeprefix("watchword-")
        for name in (*RESULT_HEADERS, VERDICT_HEADER, API_HEADER, STATUS_HEADER)
    )
    return f"watchword{_SIGN}(?:{'|'.join(endings)})"


def _stated() -> str:
    """Return the expression for names by which a gate tells the API who is there, and where he comes from."""
    forwarding = (name for name in CLIENT_SIDE if not name.startswith(FORWARDED_PREFIX))
    return rf"(?:{_results()}|{_spelled(forwarding)}|{_spelled((FORWARDED_PREFIX,))}[^,\s]*+)"


def _doubled() -> str:
    # HAProxy makes groups of nothing but those that have a name.
    return rf"(?:^|,)(?<name>{'|'.join(_DECIDING)})(?=,).*,\k<name>(?:,|$)"


def _renamed() -> str:
    """Return the expression for names that look like a deciding one behind CGI."""
    return rf"(?:^|,)(?:{'|'.join(_renamings())})(?:,|$)"


def _renamings() -> list[str]:
    return [_OTHER_SIGN.join(name.split("-")) for name in _DECIDING if "-" in name]


def _named() -> str:
    """Return the expression for deciding names in Connection, in any case and with any sign."""
    spelled = "|".join(_SIGN.join(map(re.escape, name.split("-"))) for name in _DECIDING)
    return rf"(?i)(?:^|[,\s])(?:{spelled})(?:[,\s]|$)"


def harmless_options() -> str:
    """Return the expression for values of Connection that name nothing but what is removed here, or nothing at all."""
    rewriting = _spelled(sorted(name.decode() for name in REWRITING_FIELDS))
    spoken = "|".join(("close", "upgrade", _spelled(_SPOKEN), _results(), rewriting))
    # Each blank and comma can be read in one way: a list of nothing but these is otherwise tried in very many.
    return rf"(?i)^[\s,]*+(?:(?:{spoken})\s*+(?:,[\s,]*+|$))*+$"


ODD: Final = "{ var(txn.odd) -m found }"
"""A condition: the request has to be looked at again, by :func:`reasons` and :func:`removals`."""

_LARGE: Final = f"{{ req.hdrs,length gt {MAX_FIELD_BYTES} }}"
_SPOKEN_AT_ALL: Final = "{ req.fhdr(connection) -m found }"
_LONG_LENGTH: Final = f"{{ req.fhdr(content-length),length gt {_MAX_LENGTH_DIGITS} }}"
"""Beyond 64 bits, HAProxy 3.0.11 counts from 0 again, and the API is told what the client wrote."""

_METHODS: Final = "{ method GET HEAD POST PUT DELETE OPTIONS }"


def _ordinary() -> str:
    """Return the expression for the names of all fields of a request that is read in one way at first sight.

    At most as many as may be, each deciding one at most once, none that looks like one behind CGI, and none that
    says who is there, frames the body in pieces, names other fields or opens a tunnel.
    """
    others = "|".join(
        ("connection", "upgrade", "transfer-encoding", "dpop", *_renamings(), _stated())
    )
    single = [name for name in _DECIDING if name not in ("transfer-encoding", "dpop")]
    # A group that has matched lets no other name like it pass.
    once = "|".join(f"(?(<n{at}>)(?!))(?<n{at}>{name})" for at, name in enumerate(single))
    plain = f"(?!(?:{others}|{'|'.join(single)})(?:,|$))[^,]++"
    return rf"^(?!(?:[^,]*+,){{{MAX_FIELDS}}})(?:(?:{plain}|{once})(?:,|$))*+$"


def look() -> Iterator[str]:
    """Yield the rules that set ``txn.odd`` but where a request can be read in one way only at first sight.

    The odd ones are looked at again, by :func:`reasons` and :func:`removals`; most are spared that.
    """
    holds = (
        f"!{_LARGE}",
        f"!{_LONG_LENGTH}",
        matches("var(txn.names)", "reg", _ordinary()),
        matches("req.fhdr(host)", "reg", _HOST),
        _METHODS,
        matches("url", "reg", f"^(?!.{{{MAX_QUERY_BYTES + 1}}}){ORDINARY}"),
    )
    yield rule("set-var(txn.names) req.hdr_names")
    yield f"http-request set-var(txn.odd) int(1) unless {' '.join(holds)}"


def readable() -> str:
    """Return a condition: the path can be read in one way, so that rows may be looked for."""
    return f"!{ODD} or {matches('var(txn.path)', 'reg', READABLE)}"


def reasons(*, folds: bool) -> Iterator[str]:
    """Yield the rules that say why a request can't be read in one way only, where it can't.

    :param folds: whether the API may normalise Unicode.
    """
    makers = [_sizes, _ambiguities, *([_normalised] if folds else []), _connection]
    for make in makers:
        yield from (f"{each.replace(' if ', f' if {ODD} ', 1)}" for each in make())


def _sizes() -> Iterator[str]:
    """Yield the rules on how much there may be of what."""
    too_large = Reason.REQUEST_HEADERS_TOO_LARGE
    yield because(too_large, f"{{ req.fhdr_cnt gt {MAX_FIELDS} }}")
    # Name and value count, and neither colon, blank, line break nor the empty line.
    yield rule("set-var(txn.around) req.fhdr_cnt,mul(4),add(2)", _LARGE)
    total = f"{{ req.hdrs,length,sub(txn.around) gt {MAX_HEADER_BYTES} }}"
    yield because(too_large, f"{_LARGE} {total}")
    field = rf"(?:^|\n)[^\r\n]{{{MAX_FIELD_BYTES + 3}}}"
    yield because(too_large, f"{_LARGE} {matches('req.hdrs', 'reg', field)}")
    yield because(too_large, f"{{ path,length gt {MAX_PATH_BYTES} }}")
    yield because(too_large, f"{{ query,length gt {MAX_QUERY_BYTES} }}")


def _ambiguities() -> Iterator[str]:
    """Yield the rules on names, host, framing, method and target."""
    yield because(Reason.REQUEST_MALFORMED, matches("var(txn.names)", "reg", _renamed()))
    yield because(Reason.REQUEST_HEADER_DUPLICATED, matches("var(txn.names)", "reg", _doubled()))
    yield because(Reason.REQUEST_HOST, f"!{matches('req.fhdr(host)', 'reg', _HOST)}")
    yield because(Reason.REQUEST_FRAMING, _LONG_LENGTH)
    yield because(
        Reason.REQUEST_FRAMING,
        f"{{ req.fhdr(transfer-encoding) -m found }} "
        f"!{matches('req.fhdr(transfer-encoding),lower', 'str', 'chunked')}",
    )
    # HAProxy 3.0 hands trailers on, no rule or filter of it sees them, and servers take them for header fields.
    yield because(Reason.REQUEST_LENGTH_REQUIRED, "{ req.fhdr(transfer-encoding) -m found }")
    yield because(
        Reason.REQUEST_MALFORMED,
        f"!{_METHODS} !{matches('method', 'reg', '^[A-Z][A-Z-]{0,31}$')}",
    )
    yield because(Reason.GATE_PROTOCOL, "{ method TRACE CONNECT }")
    ambiguous = Reason.REQUEST_PATH_AMBIGUOUS
    # A target with scheme and host could name another host than the field.
    yield because(ambiguous, "!{ url -m beg / }")
    yield because(
        ambiguous,
        f"!{matches('path', 'reg', COMMON)} !{matches('path', 'reg', READABLE)}",
    )


def _normalised() -> Iterator[str]:
    """Yield the rule on signs that Unicode's normal form makes separators or dots."""
    found = matches("path", "reg", f"^{normalised_expression()}$")
    yield because(Reason.REQUEST_PATH_AMBIGUOUS, found)


def _connection() -> Iterator[str]:
    """Yield the rules on what Connection names (RFC 9110 section 7.6.1)."""
    named = matches("req.fhdr(connection)", "reg", _named())
    yield because(Reason.REQUEST_FRAMING, f"{_SPOKEN_AT_ALL} {named}")
    # What it names has to be removed, and HAProxy removes fields that its rules name alone.
    odd = f"!{matches('req.fhdr(connection)', 'reg', harmless_options())}"
    yield because(Reason.REQUEST_FRAMING, f"{_SPOKEN_AT_ALL} {odd}")
    yield because(Reason.REQUEST_FRAMING, "{ req.fhdr_cnt(connection) gt 1 }")
    # Whoever spoke HTTP/2 with the API from there on would have gone around the gate.
    other = f"!{matches('req.fhdr(upgrade),lower', 'str', 'websocket')}"
    yield because(Reason.GATE_PROTOCOL, f"{{ req.fhdr(upgrade) -m found }} {other}")
    yield because(Reason.GATE_PROTOCOL, "{ req.fhdr_cnt(upgrade) gt 1 }")


def removals() -> Iterator[str]:
    """Yield the rules that take away what is never the client's to say, and what Connection names."""
    yield rule(f"del-header {word(f'^{_stated()}$')} -m reg", ODD)
    spoken = f"{ODD} {_SPOKEN_AT_ALL}"
    for name in _SPOKEN:
        yield rule(f"del-header {name}", spoken)
    yield rule("del-header connection", spoken)
    # Nobody would end a WebSocket when what it was opened with ends.
    yield rule("del-header upgrade", ODD)


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
