"""Use the token of an app that is older than the route takes."""

from collections.abc import Iterator

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
from watchword.drill.tokens import asked, minted, new_attacker
from watchword.reasons import Reason


def _ruled(context: AttackContext) -> Iterator[tuple[Sample, str, str]]:
    """Yield each sample whose route has a lowest version, with the app that it is of and the version.

    :raises MissingError: where none has.
    """
    found = [
        (sample, app, lowest)
        for sample in context.guarded
        for app, lowest in sample.minimum_versions.items()
        if any(each.isdigit() and int(each) for each in lowest.split("."))
    ]
    if not found:
        raise MissingError(Need.VERSION_RULE, "no sample falls under a route with minimum_versions")
    yield from found


def _below(lowest: str) -> str:
    """Return the highest version of as many numbers that is below, such as 1.9 for 2.0 and 99 for 100.

    Compared as text it is often the later one, which is how such comparisons go wrong.
    """
    numbers = [int(each) for each in lowest.split(".")]
    last = max(at for at, number in enumerate(numbers) if number)
    behind = len(numbers) - last - 1
    return ".".join(map(str, [*numbers[:last], numbers[last] - 1, *[9] * behind]))


def _stating(version: str | None) -> Run:
    """Return a variant that states this version; the highest that is too low, where it's empty."""

    def run(context: AttackContext) -> Attempts:
        attempts = []
        for sample, app, lowest in _ruled(context):
            stated: dict[str, str] = {"id": app}
            if version is not None:
                stated["ver"] = version or _below(lowest)
            attempts.append(
                asked(context, minted(context, new_attacker(context), app=stated), sample)
            )
        return attempts

    return run


_EXPECTED = frozenset({Reason.GATE_APP_VERSION})

ATTACK = Attack(
    id="token-old-app",
    title="Stay on an old version of the app",
    techniques=("MT-A22",),
    protections={"PR-B17": "live:app.version_mix"},
    needs=(Need.KEYS,),
    sends="Tokens signed by the service that state the version just below the route's lowest, zero, no version, and "
    "one that isn't a number.",
    must="Each is refused on every route that has a lowest version.",
    blind="It says nothing of how the service learns the version of an app.",
    variants=(
        Variant("just-below", _stating(""), _EXPECTED),
        Variant("zero", _stating("0"), _EXPECTED),
        Variant("no-version", _stating(None), _EXPECTED),
        Variant("no-number", _stating("999999-beta"), _EXPECTED),
    ),
)
