"""Make the keys that proofs of one token are verified with."""

from watchword.tokens.interface import TokenClaims
from watchword.tokens.jwk import public_key_from_jwk, thumbprint
from watchword.tokens.proofs.interface import GateSecret, ProofKeys
from watchword.tokens.proofs.session import derive_key


def proof_keys(
    claims: TokenClaims, secret: GateSecret | None, token: bytes | None = None
) -> ProofKeys:
    """Return the keys of a verified token; about ten microseconds, once for each token.

    :param secret: the gate's secret for the token's epoch; None where it holds none, and session
        proofs are refused.  One of another epoch counts as none.
    :param token: the one that says ``claims``; where it is known, its proofs are quicker to verify.
    :raises MalformedError: ``statement.key`` where ``cnf.jwk`` isn't a P-256 key; a verified token's is.
    """
    device_key = public_key_from_jwk(claims.key)
    name = thumbprint(claims.key)
    session_key = None
    if secret is not None and secret.epoch == claims.epoch:
        session_key = derive_key(
            secret.secret,
            issuer=claims.issuer,
            audience=claims.audience,
            session_id=claims.session_id,
            thumbprint=name,
        )
    return ProofKeys(
        session_id=claims.session_id.encode(),
        thumbprint=name.encode("ascii"),
        jwk=claims.key,
        device_key=device_key,
        session_key=session_key,
        token=token,
    )
