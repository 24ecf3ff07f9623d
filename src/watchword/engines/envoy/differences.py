"""Declare where Envoy isn't equal to the Python gate, so that it can be held to all the rest."""

from typing import Final

from watchword.engines.interface import Difference, Divergence

_D = Divergence

DIFFERENCES: Final = (
    Difference(
        "connection-names-deciding-field",
        _D.CLEANED,
        "refuses the request",
        "removes the field before any filter sees it; a route that needs it refuses",
        "Envoy carries Connection out while it reads the head",
    ),
    Difference(
        "deciding-field-with-other-sign",
        _D.CLEANED,
        "refuses watchword.token, content!length and the like",
        "removes them; with an underscore it refuses them too",
        "routes can't ask for names by an expression",
    ),
    Difference(
        "folded-field",
        _D.CLEANED,
        "refuses line breaks in fields",
        "joins a folded line by a blank, and removes a lone CR",
        "its parser does so before any filter",
    ),
    Difference(
        "two-content-digests",
        _D.HARMLESS,
        "refuses two Content-Digest fields on every route",
        "refuses them where a proof covers the body, over /authz",
        "a comma is lawful in one such field, and two can't be told from it",
    ),
    Difference(
        "commas-in-signatures",
        _D.STRICTER,
        "takes several labels in one Signature or Signature-Input field",
        "refuses a comma in either",
        "two fields can't be told from one with a comma",
    ),
    Difference(
        "credentials-with-commas",
        _D.STRICTER,
        "counts Authorization fields",
        "refuses credentials in which a word behind a comma looks like another scheme",
        "Envoy joins the fields by a comma; the API too sees one",
    ),
    Difference(
        "head-over-8-kib",
        _D.STRICTER,
        "takes 8 KiB a field, 16 KiB in all",
        "takes 8 KiB in all",
        "Envoy has one limit for all fields together",
    ),
    Difference(
        "unregistered-methods",
        _D.STRICTER,
        "takes any method of capital letters",
        "refuses methods that its parser doesn't know",
        "the option to take others isn't stable",
    ),
    Difference(
        "upgrade",
        _D.STRICTER,
        "drops an Upgrade other than to WebSocket",
        "refuses it, but for h2c",
        "it can ignore named protocols alone",
    ),
    Difference(
        "token-form",
        _D.HARMLESS,
        "refuses a signed token issued in the future, of more than 2 KiB, or with odd or missing claims",
        "doesn't look at these",
        "only the holder of the token key could make one; that key signs nothing else",
    ),
    Difference(
        "rate-of-watched-routes",
        _D.HARMLESS,
        "counts an instance's requests in one bucket",
        "counts those of monitor and canary routes apart, in Python",
        "Envoy's bucket can only refuse",
    ),
    Difference(
        "large-body-on-watched-route",
        _D.STRICTER,
        "lets a body over max_body pass where a proof is asked in monitor or canary",
        "refuses it by 413",
        "it holds the body for Python, and what it holds is bounded",
    ),
    Difference(
        "early-answers",
        _D.ANSWER,
        "gives every refusal a reference",
        "gives none (-) to requests that its parser refuses, and 403 to absolute-form targets",
        "it answers before a request has an id",
    ),
    Difference(
        "doubled-proof-without-token",
        _D.ANSWER,
        "says first that a field is doubled",
        "says first what its order of filters finds; the request is refused either way",
        "each filter answers for itself",
    ),
    Difference(
        "odd-tokens-answered-otherwise",
        _D.ANSWER,
        "refuses a signed token with odd claims by 401",
        "refuses one without a known level by 403, and one whose claims would break a field by 503",
        "its filters look at the claims that they need, each by itself",
    ),
    Difference(
        "commas-answered-early",
        _D.ANSWER,
        "refuses a comma in a signature by 401 where it is no second field",
        "refuses it by 400",
        "two fields can't be told from one with a comma",
    ),
    Difference(
        "two-content-digests-answer",
        _D.ANSWER,
        "says that Content-Digest is doubled",
        "says that its value is none",
        "Python is asked with the fields joined by a comma",
    ),
    Difference(
        "new-replay-table",
        _D.STRICTER,
        "takes proofs that were made before it started",
        "refuses proofs that are older than its table of used ones",
        "a table that was lost doesn't know what was used before",
    ),
    Difference(
        "empty-chunked-body",
        _D.STRICTER,
        "takes an empty body of chunks with its digest",
        "refuses it where a proof covers the body",
        "Envoy asks Python without the framing when nothing came",
    ),
    Difference(
        "bytes-behind-a-chunk",
        _D.CLEANED,
        "refuses a chunk with more bytes than its size says",
        "drops the rest of the line, and writes the body in chunks of its own",
        "its parser does so before any filter; a proof covers what is left",
    ),
    Difference(
        "tabs-in-request-line",
        _D.CLEANED,
        "refuses a request line with tabs between its parts",
        "reads them as blanks, and writes blanks",
        "its parser does so before any filter",
    ),
)
