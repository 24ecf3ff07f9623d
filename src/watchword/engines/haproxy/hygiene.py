"""Write the rules that refuse requests which two servers could read in two ways, and that clean the rest.

They say what :mod:`watchword.gate.hygiene` and :mod:`watchword.gate.paths` say, as far as HAProxy's parser lets
them see it.
"""

import re
from collections.abc import Iterator
from typing import Final

from watchword.engines.haproxy import targets
from watchword.engines.haproxy.text import matches, rule, word
from watchword.gate.hygiene import (
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_HEADER_BYTES,
    MAX_PATH_BYTES,
    PROOF_FIELDS,
)
from watchword.gate.interface import RESULT_HEADERS, TOKEN_HEADER
from watchword.gate.judgement import MAX_QUERY_BYTES
from watchword.gate.signed_verdict import VERDICT_HEADER
from watchword.reasons import Reason

_DECIDING: Final = (
    *sorted(name.decode() for name in PROOF_FIELDS),
    TOKEN_HEADER.decode(),
    *("host", "content-length", "transfer-encoding", "content-digest", "authorization"),
)
_SIGN: Final = r"[-!#$%&'*+.^_\x60|~]"
"""What CGI and its like take for a hyphen in a name."""

_OTHER_SIGN: Final = r"[!#$%&'*+.^_\x60|~]"
_HOST: Final = r"^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$"
_SPOKEN: Final = ("keep-alive", "te", "http2-settings", "proxy-connection", "trailer")
"""What clients name in Connection every day, beside ``close`` and ``upgrade``."""


def because(reason: Reason, condition: str) -> str:
    """Return a rule that says why a request is refused, where nothing else was found before."""
    return rule(f"set-var(txn.reason,ifnotexists) str({reason.code})", condition)


def _stated() -> str:
    """Return the expression for names by which a gate tells the API who is there."""
    endings = sorted(
        name.decode().removeprefix("watchword-") for name in (*RESULT_HEADERS, VERDICT_HEADER)
    )
    return f"watchword{_SIGN}(?:{'|'.join(endings)})"


def _doubled() -> str:
    # HAProxy makes groups of nothing but those that have a name.
    return rf"(?:^|,)(?<name>{'|'.join(_DECIDING)})(?=,).*,\k<name>(?:,|$)"


def _renamed() -> str:
    """Return the expression for names that look like a deciding one behind CGI."""
    split = [name.split("-") for name in _DECIDING if "-" in name]
    return rf"(?:^|,)(?:{'|'.join(_OTHER_SIGN.join(parts) for parts in split)})(?:,|$)"


def _claimed() -> str:
    return f"(?:^|,){_stated()}(?:,|$)"


def _named() -> str:
    """Return the expression for deciding names in Connection, in any case and with any sign."""
    spelled = "|".join(_SIGN.join(map(re.escape, name.split("-"))) for name in _DECIDING)
    return rf"(?i)(?:^|[,\s])(?:{spelled})(?:[,\s]|$)"


def _harmless_options() -> str:
    spoken = "|".join(("close", "upgrade", *_SPOKEN, _stated()))
    return rf"(?i)^\s*(?:(?:{spoken})?\s*(?:,\s*|$))*$"


_ODD: Final = "{ var(txn.odd) -m found }"
_LARGE: Final = f"{{ req.hdrs,length gt {MAX_FIELD_BYTES} }}"
_SPOKEN_AT_ALL: Final = "{ req.fhdr(connection) -m found }"
_METHODS: Final = "{ method GET HEAD POST PUT DELETE OPTIONS }"


def look() -> Iterator[str]:
    """Yield the rules that set ``txn.odd`` but where a request can be read in one way only at first sight.

    The odd ones are looked at again, by :func:`reasons` and :func:`removals`; most are spared that.
    """
    names_ = "var(txn.names)"
    holds = (
        f"{{ req.fhdr_cnt le {MAX_FIELDS} }}",
        f"!{_LARGE}",
        f"!{matches(names_, 'reg', f'{_renamed()}|{_doubled()}|{_claimed()}')}",
        matches("req.fhdr(host)", "reg", _HOST),
        f"!{_SPOKEN_AT_ALL}",
        "!{ req.fhdr(transfer-encoding) -m found }",
        "!{ req.fhdr(upgrade) -m found }",
        _METHODS,
        matches("path", "reg", targets.COMMON),
        f"{{ url,length le {MAX_QUERY_BYTES} }}",
        "{ url -m beg / }",
    )
    yield rule("set-var(txn.names) req.hdr_names")
    # A line holds 64 words at most.
    for part in (holds[:5], holds[5:]):
        yield f"http-request set-var(txn.odd) int(1) unless {' '.join(part)}"


def reasons() -> Iterator[str]:
    """Yield the rules that say why a request can't be read in one way only, where it can't."""
    for make in (_sizes, _ambiguities, _connection):
        yield from (f"{each.replace(' if ', f' if {_ODD} ', 1)}" for each in make())


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
    yield because(
        Reason.REQUEST_FRAMING,
        f"{{ req.fhdr(transfer-encoding) -m found }} "
        f"!{matches('req.fhdr(transfer-encoding),lower', 'str', 'chunked')}",
    )
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
        f"!{matches('path', 'reg', targets.COMMON)} !{matches('path', 'reg', targets.READABLE)}",
    )


def _connection() -> Iterator[str]:
    """Yield the rules on what Connection names (RFC 9110 section 7.6.1)."""
    named = matches("req.fhdr(connection)", "reg", _named())
    yield because(Reason.REQUEST_FRAMING, f"{_SPOKEN_AT_ALL} {named}")
    # What it names has to be removed, and HAProxy removes fields that its rules name alone.
    odd = f"!{matches('req.fhdr(connection)', 'reg', _harmless_options())}"
    yield because(Reason.REQUEST_FRAMING, f"{_SPOKEN_AT_ALL} {odd}")
    yield because(Reason.REQUEST_FRAMING, "{ req.fhdr_cnt(connection) gt 1 }")
    # Whoever spoke HTTP/2 with the API from there on would have gone around the gate.
    other = f"!{matches('req.fhdr(upgrade),lower', 'str', 'websocket')}"
    yield because(Reason.GATE_PROTOCOL, f"{{ req.fhdr(upgrade) -m found }} {other}")
    yield because(Reason.GATE_PROTOCOL, "{ req.fhdr_cnt(upgrade) gt 1 }")


def removals() -> Iterator[str]:
    """Yield the rules that take away what is never the client's to say, and what Connection names."""
    yield rule(f"del-header {word(f'^{_stated()}$')} -m reg", _ODD)
    spoken = f"{_ODD} {_SPOKEN_AT_ALL}"
    for name in _SPOKEN:
        yield rule(f"del-header {name}", spoken)
    yield rule("del-header connection", spoken)
    # Nobody would end a WebSocket when what it was opened with ends.
    yield rule("del-header upgrade", _ODD)
