"""Compare what became of one request with what must become of it."""

import hashlib
import json
from collections.abc import Collection, Sequence
from urllib.parse import unquote

from watchword.apps.conformance.corpus import Request
from watchword.apps.conformance.requests import Built
from watchword.apps.conformance.sender import Answer
from watchword.apps.conformance.upstream import MARK, Seen
from watchword.engines.interface import Divergence
from watchword.gate.hygiene import canonical_name
from watchword.gate.interface import RESULT_HEADERS, TOKEN_HEADER
from watchword.reasons import Reason

_OK = 200
_FIRST_REFUSING_STATUS = 400
_LAST_REFUSING_STATUS = 505


def judge(
    recipe: Request,
    built: Built,
    answers: Sequence[Answer],
    seen: Sequence[Seen],
    hidden: Sequence[Seen],
    *,
    kind: Divergence | None = None,
    statuses: Collection[int] = (),
) -> list[str]:
    """Return what is wrong, empty where all is as it must be.

    :param kind: what the gate declared about this case.
    :param statuses: with which it refuses in place of any other.
    :param seen: what the API saw of it.
    :param hidden: what the API saw of a request that was hidden inside.
    """
    expect = recipe.expect
    faults = []
    if hidden:
        faults.append("the API saw the request that was hidden in it")
    if any(answer.late for answer in answers):
        faults.append("got no answer in time")
    passed = [answer for answer in answers if _is_from_upstream(answer)]
    refused = [answer for answer in answers if not _is_from_upstream(answer)]
    lenient = kind in {Divergence.CLEANED, Divergence.HARMLESS}
    most = {"pass": expect.passes, "refuse": int(lenient), "contain": 1}[expect.decision]
    free = lenient or kind is Divergence.STRICTER or expect.decision == "contain"
    wanted = range(most + 1) if free else range(most, most + 1)
    if len(seen) not in wanted:
        faults.append(f"the API saw it {len(seen)} times, expected {_between(wanted)}")
    if len(passed) not in wanted:
        statuses = sorted({answer.status for answer in refused})
        faults.append(
            f"{len(passed)} of {len(answers)} passed, expected {_between(wanted)}"
            + (f"; refused with {statuses} {_reasons(refused)}".rstrip() if refused else "")
        )
    for each in seen:
        faults += _unlike(recipe, built, each, cleaned=kind is Divergence.CLEANED)
    if not free and kind is not Divergence.ANSWER:
        faults += _refusal_faults(recipe, refused, statuses)
    return list(dict.fromkeys(faults))


def _is_from_upstream(answer: Answer) -> bool:
    """Tell whether the API answered, and not somebody with an empty 200."""
    return answer.status == _OK and answer.header(MARK.lower()) is not None


def _between(counts: range) -> str:
    """Say how many of it there may be."""
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _either(counts: Sequence[int]) -> str:
    return " or ".join(map(str, counts))


def _refusal_faults(
    recipe: Request, refused: Sequence[Answer], statuses: Collection[int]
) -> list[str]:
    """Compare the refusals' status, and their reason where the gate shows it."""
    expect = recipe.expect
    faults = []
    allowed = set(expect.statuses)
    if not allowed and expect.reason is not None:
        allowed = {Reason.from_code(expect.reason).public.status}
    if allowed:
        allowed.update(statuses)
    for answer in refused:
        is_refusal = answer.status == 0 or (
            _FIRST_REFUSING_STATUS <= answer.status <= _LAST_REFUSING_STATUS
        )
        if not is_refusal or (allowed and answer.status not in allowed):
            faults.append(f"got status {answer.status}, expected {_either(sorted(allowed))}")
        shown = _shown_reasons(answer)
        if expect.reason is not None and shown and expect.reason not in shown:
            faults.append(f"got reason {', '.join(shown)}, expected {expect.reason}")
    return faults


def _shown_reasons(answer: Answer) -> list[str]:
    try:
        problem = json.loads(answer.body)
    except ValueError:
        return []
    reasons = problem.get("reasons") if isinstance(problem, dict) else None
    return [str(reason) for reason in reasons] if isinstance(reasons, list) else []


def _reasons(answers: Sequence[Answer]) -> str:
    return ", ".join(sorted({reason for answer in answers for reason in _shown_reasons(answer)}))


def _unlike(recipe: Request, built: Built, seen: Seen, *, cleaned: bool) -> list[str]:
    """Return in what the API's view differs from a cleaned request.

    :param cleaned: whether the target may have been cut down to what every server reads alike, or decoded,
        a body in crooked chunks cut to what its sizes say, and trailers have become fields before the gate was asked.
    """
    faults = []
    if seen.method != built.method:
        faults.append(f"the API saw method {seen.method!r}")
    if seen.target != built.target and not (cleaned and _alike(seen.target, built.target)):
        faults.append(f"the API saw target {seen.target!r}")
    is_crooked = cleaned and recipe.raw is not None
    if seen.body != hashlib.sha256(built.body).hexdigest() and not is_crooked:
        faults.append("the API saw another body")
    faults += [f"the API saw the trailer {name}" for name, _ in seen.trailers]
    if not cleaned:
        faults += [
            f"the API saw the trailer {name}" for name in _merged_trailers(recipe, built, seen)
        ]
    got: dict[bytes, list[str]] = {}
    for name, value in seen.headers:
        canonical = canonical_name(name.lower().encode("latin-1"))
        got.setdefault(canonical, []).append(value)
    faults += [f"the API saw {name}" for name in recipe.expect.unseen if name.encode() in got]
    if TOKEN_HEADER in got:
        faults.append("the API saw the token")
    wanted: tuple[str | None, ...] = ()
    if recipe.expect.results and built.token is not None:
        claims = built.token.claims
        app = claims.get("app")
        # A gate that takes a token without one of them can't tell the API what it doesn't say.
        wanted = (claims.get("sub"), claims.get("lvl"), app.get("id") if app else None)
    for at, field in enumerate(RESULT_HEADERS):
        stated = wanted[at] if wanted else None
        expected = [] if stated is None else [stated]
        if got.get(field, []) != expected:
            faults.append(f"the API saw {field.decode()} {got.get(field, [])}, expected {expected}")
    return faults


def _merged_trailers(recipe: Request, built: Built, seen: Seen) -> list[str]:
    """Return the names of header fields that were sent as trailers."""
    sent = [] if recipe.body is None else recipe.body.trailers
    trailers = {(name.lower(), value.replace("{hidden}", built.inner)) for name, value in sent}
    return [name for name, value in seen.headers if (name.lower(), value) in trailers]


def _alike(seen: str, sent: str) -> bool:
    """Tell whether a target is the one that was sent, cut down or decoded."""
    plain = _decoded(_origin_form(sent))
    return _decoded(seen) in {plain, _encoded(plain)}


def _decoded(target: str) -> str:
    """Return a target with its path decoded once: all that is left of it behind WSGI."""
    path, mark, query = target.partition("?")
    return unquote(path, "latin-1") + mark + query


def _encoded(target: str) -> str:
    """Return a target with the semicolons of its query encoded, as Go's proxies do, whose parser takes none that is bare."""
    path, mark, query = target.partition("?")
    return path + mark + query.replace(";", "%3B")


def _origin_form(target: str) -> str:
    """Return a target without scheme, host and fragment (RFC 9112 section 3.2.1)."""
    path = target.partition("#")[0]
    scheme, found, rest = path.partition("://")
    if found and scheme.isalpha():
        return "/" + rest.partition("/")[2]
    return path
