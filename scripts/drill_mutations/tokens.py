"""List the checks of tokens, each with the edit that takes it out."""

from scripts.drill_mutations.mutation import Mutation

_SERVICE = "tokens/service.py"
_JWS = "tokens/jose.py"

_LOOKED_UP = """\
    if key is None:
        _refuse(Reason.TOKEN_KEY_UNKNOWN, "expected a key id that the service published")
"""
_NOT_LOOKED_UP = """\
    if key is None:
        return VerifiedToken(claims_from_json(_read_payload(jws.payload)), now, now + 1)
"""

MUTATIONS = (
    Mutation(
        check="token: signature",
        file=_SERVICE,
        before="    _check_signature(jws, key)\n",
        after="",
        red=("token-foreign-key", "token-changed"),
    ),
    Mutation(
        check="token: the key is known",
        file=_SERVICE,
        before=_LOOKED_UP,
        after=_NOT_LOOKED_UP,
        red=("token-foreign-key",),
    ),
    Mutation(
        check="token: keys of one purpose",
        file="apps/service/publisher.py",
        before="keys = tuple(key.verification_key() for key in ring.token_keys)",
        after="keys = tuple(k.verification_key() for k in (*ring.token_keys, ring.bundle_key))",
        red=("token-foreign-key",),
    ),
    Mutation(
        check="token: algorithm",
        file=_JWS,
        before='if members["alg"] != ALGORITHM:',
        after="if False:",
        red=("token-algorithm",),
    ),
    Mutation(
        check="token: type",
        file=_JWS,
        before='if members["typ"] != typ:',
        after="if False:",
        red=("token-garbage",),
    ),
    Mutation(
        check="token: nothing else in the header",
        file=_JWS,
        before="if members.keys() != _HEADER_MEMBERS:",
        after="if not members.keys() >= _HEADER_MEMBERS:",
        red=("token-garbage",),
    ),
    Mutation(
        check="token: size",
        file=_JWS,
        before="if len(untrusted) > limit:",
        after="if False:",
        red=("token-garbage",),
    ),
    Mutation(
        check="token: no key of JSON twice",
        file="encoding/strict_json.py",
        before="if len(value) != len(pairs):",
        after="if False:",
        red=("token-garbage",),
    ),
    Mutation(
        check="token: no padding in base64url",
        file="encoding/base64url.py",
        before="    rest = len(text) % 4\n",
        after='    text = text.rstrip("=")\n    rest = len(text) % 4\n',
        red=("token-garbage",),
    ),
    Mutation(
        check="token: no spare bits in base64url",
        file="encoding/base64url.py",
        before="if last is not None and text[-1] not in last:",
        after="if False:",
        red=("token-garbage",),
    ),
    Mutation(
        check="token: longest life",
        file="tokens/service.py",
        before="if not 0 < expires_at - issued_at <= MAX_LIFETIME_SECONDS:",
        after="if False:",
        red=("token-eternal",),
    ),
    Mutation(
        check="token: issuer",
        file=_SERVICE,
        before="if claims.issuer != expectation.issuer:",
        after="if False:",
        red=("token-wrong-issuer",),
    ),
    Mutation(
        check="token: audience",
        file=_SERVICE,
        before="if claims.audience != expectation.audience:",
        after="if False:",
        red=("token-wrong-audience",),
    ),
    Mutation(
        check="token: environment",
        file=_SERVICE,
        before="if claims.environment is not expectation.environment:",
        after="if False:",
        red=("token-wrong-environment",),
    ),
    Mutation(
        check="token: end",
        file=_SERVICE,
        before="if now >= valid_until:",
        after="if False:",
        red=("token-expired",),
    ),
    Mutation(
        check="token: end of what is remembered",
        file="gate/service.py",
        before=" and verdict.valid_from <= now < verdict.valid_until:",
        after=":",
        red=("token-expired",),
    ),
    Mutation(
        check="token: time of issue",
        file=_SERVICE,
        before="if now < valid_from:",
        after="if False:",
        red=("token-early",),
    ),
    Mutation(
        check="token: not before",
        file=_SERVICE,
        before='not_before = max(claims.issued_at, members.get("nbf", claims.issued_at))',
        after="not_before = claims.issued_at",
        red=("token-early",),
    ),
    Mutation(
        check="gate: revoked instance",
        file="gate/service.py",
        before="if self.state.is_revoked(claims.subject):",
        after="if False:",
        red=("token-revoked-instance",),
    ),
    Mutation(
        check="gate: level",
        file="gate/decisions.py",
        before="if not claims.level.satisfies(route.level):",
        after="if False:",
        red=("token-low-level",),
    ),
    Mutation(
        check="gate: app version",
        file="gate/decisions.py",
        before="if minimum is not None and not is_at_least(claims.app_version, minimum):",
        after="if False:",
        red=("token-old-app",),
    ),
    Mutation(
        check="gate: one token header",
        file="gate/hygiene.py",
        before="refusals.append(_duplicate(canonical))",
        after="pass",
        red=("token-twice",),
    ),
    Mutation(
        check="gate: one spelling of the token header",
        file="gate/hygiene.py",
        before="            if canonical != name:\n",
        after="            if False:\n",
        red=("token-twice",),
    ),
)
