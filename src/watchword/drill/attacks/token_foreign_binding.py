"""Use a token that is bound to one user's session beside the session of another."""

from dataclasses import replace

from watchword.drill.interface import (
    Attack,
    AttackContext,
    Attempts,
    MissingError,
    Need,
    Run,
    Sample,
    Variant,
)
from watchword.drill.requests import Credential
from watchword.drill.tokens import asked, digest_of, minted, new_attacker
from watchword.encoding import base64url
from watchword.reasons import Reason
from watchword.vocabulary import Proof


def _bound_sample(context: AttackContext) -> tuple[Sample, str]:
    """Return a sample, and the value in it that tokens are bound to.

    :raises MissingError: where the API binds its tokens to no header, or the sample has none.
    """
    name = context.facts.binding_header
    if name is None:
        raise MissingError(Need.BINDING)
    sample = context.sample(Proof.BEARER, Proof.DEVICE, Proof.SESSION)
    value = sample.call().header(name)
    if value is None:
        raise MissingError(Need.BINDING, name)
    return sample, value


def _bound_to(value: str | None) -> Run:
    """Return a variant whose token is bound to another value than the request has, or to none."""

    def run(context: AttackContext) -> Attempts:
        sample, _ = _bound_sample(context)
        bnd = None if value is None else digest_of(value)
        return [asked(context, minted(context, new_attacker(context), bnd=bnd), sample)]

    return run


def _value_itself(context: AttackContext) -> Attempts:
    """State the value in place of its digest, for a comparison that takes either."""
    sample, value = _bound_sample(context)
    return [asked(context, minted(context, new_attacker(context), bnd=value), sample)]


def _two_values(context: AttackContext) -> Attempts:
    """Send the bound value and another one, of which the API may read either."""
    sample, value = _bound_sample(context)
    credential = _rightly_bound(context, value)
    other = (str(context.facts.binding_header), base64url.encode(context.random(16)))
    return [asked(context, credential, replace(sample, headers=(*sample.headers, other)))]


def _no_value(context: AttackContext) -> Attempts:
    """Leave the header out."""
    sample, value = _bound_sample(context)
    name = str(context.facts.binding_header).lower()
    kept = tuple(each for each in sample.headers if each[0].lower() != name)
    return [asked(context, _rightly_bound(context, value), replace(sample, headers=kept))]


def _rightly_bound(context: AttackContext, value: str) -> Credential:
    return minted(context, new_attacker(context), bnd=digest_of(value))


_EXPECTED = frozenset({Reason.TOKEN_BINDING})

ATTACK = Attack(
    id="token-foreign-binding",
    title="Use a token beside another user's session",
    techniques=("MT-B20",),
    protections={"PR-B15": "live:tokens.bound_ratio"},
    needs=(Need.KEYS,),
    sends="Tokens signed by the service that are bound to another value of the header or to none. Then tokens bound to "
    "the right value, on requests with two values or none.",
    must="Each is refused: a token is valid only in the session that it was issued in.",
    blind="It runs only where the API names a header that tokens are bound to, and a sample request carries it.",
    variants=(
        Variant("another-session", _bound_to("another session"), _EXPECTED),
        Variant("not-bound", _bound_to(None), _EXPECTED),
        Variant("value-itself", _value_itself, _EXPECTED),
        Variant("two-values", _two_values, _EXPECTED | {Reason.REQUEST_HEADER_DUPLICATED}),
        Variant("no-value", _no_value, _EXPECTED),
    ),
)
