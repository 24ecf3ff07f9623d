"""Declare where HAProxy isn't equal to the Python gate, so that it can be held to all the rest."""

from typing import Final

from watchword.engines.interface import Difference, Divergence
from watchword.engines.spellings import UNICODE_SPELLINGS

_D = Divergence

DIFFERENCES: Final = (
    Difference(
        "no-device-proofs",
        _D.STRICTER,
        "takes device proofs, and DPoP where a route says so",
        "writes no configuration for such a route",
        "it verifies signatures by keys that lie in files, not by the key in a token",
    ),
    Difference(
        "no-canary",
        _D.STRICTER,
        "enforces a route for a share of the instances and counts whom it would turn away",
        "writes no configuration for such a route",
        "it knows no share of instances and no budget",
    ),
    Difference(
        "row-behind",
        _D.ANSWER,
        "answers as the next row that matches says",
        "says that there is no row, where the next one is of a kind that it can't hold",
        "its table lacks that row",
    ),
    Difference(
        "unannounced-bodies",
        _D.STRICTER,
        "takes a body of chunks, and drops its trailers",
        "refuses it by 411 on every route; a client sends it again with a length",
        "it hands trailers on, which servers take for header fields, and nothing of it removes them",
    ),
    Difference(
        "unannounced-bodies-answer",
        _D.ANSWER,
        "says what is wrong with a request whose body comes in chunks",
        "says that its length must be announced",
        "it refuses such a body before it is there",
    ),
    Difference(
        "bodies-over-64-kib",
        _D.STRICTER,
        "takes bodies up to the row's max_body under a proof",
        "refuses more than 64 KiB by 413",
        "it holds a body in one buffer until its digest was compared",
    ),
    Difference(
        "new-replay-table",
        _D.STRICTER,
        "takes proofs that were made before it started",
        "refuses proofs that are older than its table of used ones, and those that are made within the clocks' leeway "
        "and two seconds behind that",
        "a table that was lost doesn't know what was used before; one that is handed over counts on",
    ),
    Difference(
        "process-that-ends",
        _D.STRICTER,
        "takes each new proof",
        "refuses by 503 the proof that arrives on a connection of a process that another one is replacing",
        "the table was handed over: what is claimed there now, nobody would know",
    ),
    Difference(
        "same-field-twice",
        _D.CLEANED,
        "refuses two Host or two Content-Length fields, also of the same value",
        "takes two of the same value for one, and the API sees one",
        "its parser does so before any rule",
    ),
    Difference(
        "length-beside-chunks",
        _D.CLEANED,
        "refuses Content-Length beside Transfer-Encoding",
        "drops the length, and closes the connection behind the request (RFC 9112 section 6.3)",
        "its parser does so before any rule",
    ),
    Difference(
        "tabs-in-request-line",
        _D.CLEANED,
        "refuses tabs between method, target and version",
        "takes them for blanks",
        "its parser does so before any rule",
    ),
    Difference(
        "coding-refused-by-422",
        _D.ANSWER,
        "refuses transfer codings beside chunked by 400",
        "refuses them by 422",
        "its parser does so before any rule",
    ),
    Difference(
        "connection-options",
        _D.STRICTER,
        "takes several Connection fields",
        "refuses more than one",
        "its rules read one of them at a time",
    ),
    Difference(
        "upgrade",
        _D.STRICTER,
        "hands an Upgrade to the API, and ends a WebSocket with what it was opened with",
        "refuses one to anything but WebSocket, and drops that one",
        "it would be a tunnel behind which nothing is checked, and nobody would end it",
    ),
    Difference(
        "odd-claims",
        _D.STRICTER,
        "takes a signed token with an escape in a claim's name or in sub and app.id, a claim's name twice in nested "
        "objects, an exponent of three digits, or more bytes than characters in a claim",
        "refuses it",
        "it reads members by their path, so that a name must stand for one thing in the whole text",
    ),
    Difference(
        "names-twice",
        _D.HARMLESS,
        "refuses a signed token in which a name that it doesn't know is there twice in one object",
        "looks at the names that it knows alone",
        "only the holder of the token key could make one, and what nobody reads decides nothing",
    ),
    Difference(
        "token-key-off-curve",
        _D.HARMLESS,
        "refuses a signed token whose cnf.jwk is no point of P-256",
        "doesn't look at that",
        "only the holder of the token key could make one, and no session key is derived from the point",
    ),
    Difference(
        "full-rates",
        _D.STRICTER,
        "lets instances beyond 200,000 share limits",
        "refuses them until others were idle for long enough",
        "its table takes no more, and whom it doesn't count it can't limit",
    ),
    Difference(
        "early-answers",
        _D.ANSWER,
        "gives every refusal a reference",
        "gives none to requests that its parser refuses",
        "it answers before a request has an id",
    ),
    UNICODE_SPELLINGS,
)
