"""Read bytes from strangers: the only generic byte parsers of the project.

base64url (:mod:`.base64url`), JSON (:mod:`.strict_json`), CBOR (:mod:`.cbor`), DER (:mod:`.der`);
each is capped before it parses, strict where leniency has been an attack, and raises nothing
but :class:`watchword.reasons.MalformedError`.
"""
