"""Declare where Traefik that asks /authz isn't equal to the Python gate, so that it can be held to all the rest."""

from typing import Final

from watchword.engines.forward_auth.differences import ASTERISK_ANSWERED, NO_UPGRADE, broken_chunks
from watchword.engines.interface import Difference, Divergence

_D = Divergence

DIFFERENCES: Final = (
    Difference(
        "no-proofs",
        _D.STRICTER,
        "checks a proof of the session or of the device, in mode monitor too",
        "takes no table with a row that asks for one",
        "Traefik tells /authz nothing of a body, so that one added on the way would pass unseen",
    ),
    Difference(
        "row-behind",
        _D.ANSWER,
        "refuses by the row that asks for a proof",
        "refuses by the row behind it, or since there is none",
        "it has no rows with a proof",
    ),
    Difference(
        "connection-carried-out",
        _D.CLEANED,
        "refuses a Connection field that names anything but what belongs there",
        "removes what it names, and asks about the rest",
        "it does so where a request comes in, and the API gets what was judged",
    ),
    Difference(
        "connection-carried-out-answer",
        _D.ANSWER,
        "refuses a Connection field that names the token",
        "says that the token is missing",
        "it was removed before the gate saw it",
    ),
    Difference(
        "absolute-targets",
        _D.CLEANED,
        "refuses a target with a scheme and a host",
        "takes the target's host for the request's, and asks about the path",
        "Go's server does so before any handler (RFC 9112 section 3.2.2), and the API gets what was judged",
    ),
    Difference(
        "targets-rewritten",
        _D.CLEANED,
        "hands the target on as it came",
        "decodes letters, digits and signs that need no encoding, and encodes a semicolon of the query",
        "it does so where a request comes in, and the API gets what was judged",
    ),
    Difference(
        "crooked-client-side",
        _D.STRICTER,
        "hands on a field of where a client comes from that is spelt with another sign for a hyphen, or is of no known "
        "meaning",
        "refuses it",
        "Traefik has no wildcard by which all spellings could be removed",
    ),
    Difference(
        "http2-reduced",
        _D.CLEANED,
        "refuses two hosts or two lengths",
        "takes HTTP/2 without TLS as well, and of two hosts or lengths there the first",
        "Go's server does so before any handler, and the API gets what was judged",
    ),
    broken_chunks(500),
    ASTERISK_ANSWERED,
    NO_UPGRADE,
)
