"""Carry a token where two servers may read it differently: twice, or in another place."""

from collections.abc import Callable
from dataclasses import replace

from watchword.drill.interface import Attack, AttackContext, Attempt, Attempts, Need, Run, Variant
from watchword.drill.requests import TOKEN_HEADER
from watchword.drill.tokens import genuine_credential
from watchword.drill.wire import Call, Headers
from watchword.reasons import Reason
from watchword.vocabulary import Proof

_BAD = "e30.e30.e30"
"""What every reader takes for no token of ours."""


def _carried(place: Callable[[Call, str], Call]) -> Run:
    """Return a variant that puts the genuine token where ``place`` says; on a route where it's enough."""

    def run(context: AttackContext) -> Attempts:
        sample = context.sample(Proof.BEARER)
        token = genuine_credential(context).token
        return [Attempt(sample, context.wire.send(place(sample.call(), token)))]

    return run


def _with(call: Call, *headers: tuple[str, str]) -> Call:
    added: Headers = headers
    return replace(call, headers=call.headers + added)


def _bad_first(call: Call, token: str) -> Call:
    return _with(call, (TOKEN_HEADER, _BAD), (TOKEN_HEADER, token))


def _good_first(call: Call, token: str) -> Call:
    return _with(call, (TOKEN_HEADER, token), (TOKEN_HEADER, _BAD))


def _two_spellings(call: Call, token: str) -> Call:
    """Send the second one under a name that CGI servers take for the same (the first is refused for itself)."""
    return _with(call, (TOKEN_HEADER, token), (TOKEN_HEADER.replace("-", "_"), _BAD))


def _other_spelling(call: Call, token: str) -> Call:
    return _with(call, (TOKEN_HEADER.replace("-", "_"), token))


def _in_one_line(call: Call, token: str) -> Call:
    """Send what a proxy makes of two fields (RFC 9110 section 5.3)."""
    return _with(call, (TOKEN_HEADER, f"{_BAD}, {token}"))


def _as_authorization(call: Call, token: str) -> Call:
    return _with(call, ("Authorization", f"Bearer {token}"))


def _as_cookie(call: Call, token: str) -> Call:
    return _with(call, ("Cookie", f"{TOKEN_HEADER}={token}; token={token}"))


def _in_query(call: Call, token: str) -> Call:
    """Say it in the query, where logs keep it (RFC 6750 section 2.3)."""
    mark = "&" if "?" in call.target else "?"
    return replace(call, target=f"{call.target}{mark}{TOKEN_HEADER}={token}&access_token={token}")


# An engine that joins two headers reads a token with a comma in it.
_DUPLICATE = frozenset({Reason.REQUEST_HEADER_DUPLICATED, Reason.TOKEN_MALFORMED})
_MISSING = frozenset({Reason.TOKEN_MISSING})
_SPELLING = frozenset({Reason.REQUEST_MALFORMED, Reason.TOKEN_MISSING})

ATTACK = Attack(
    id="token-twice",
    title="Carry a token twice, or in another place",
    techniques=("MT-B03",),
    protections={"PR-B01": "live:shield.rejected_unattested"},
    needs=(Need.GENUINE,),
    sends="A genuine token beside an invalid one: in either order, on one line, and under a second spelling of the "
    "header's name. Then the token alone under that spelling, as Authorization, in a cookie and in the query.",
    must="Each is refused: there is one place for a token, and one token in it.",
    blind="A gate refuses what is ambiguous in mode monitor too, so some of it is stopped there already.",
    variants=(
        Variant("bad-first", _carried(_bad_first), _DUPLICATE),
        Variant("good-first", _carried(_good_first), _DUPLICATE),
        Variant("two-spellings", _carried(_two_spellings), _DUPLICATE | {Reason.REQUEST_MALFORMED}),
        Variant("other-spelling", _carried(_other_spelling), _SPELLING),
        Variant("in-one-line", _carried(_in_one_line), frozenset({Reason.TOKEN_MALFORMED})),
        Variant("authorization", _carried(_as_authorization), _MISSING),
        Variant("cookie", _carried(_as_cookie), _MISSING),
        Variant("query", _carried(_in_query), _MISSING),
    ),
)
