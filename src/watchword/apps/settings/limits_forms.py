"""Turn the ``limits`` of an API as written into limits of its gate, and find those that could never hold."""

from collections.abc import Iterator, Mapping, Sequence

from watchword.apps.settings.consistency import Inconsistency
from watchword.apps.settings.document import Path_
from watchword.apps.settings.faults import shown
from watchword.apps.settings.written_apis import WrittenApi, WrittenLimit
from watchword.apps.settings.written_types import seconds
from watchword.gate.interface import Limit, LimitKind, Route
from watchword.gate.limits import RATE


def limits_of(routes: Sequence[Route], written: Sequence[WrittenLimit]) -> tuple[Limit, ...]:
    """Return the limits of an API; paths of routes become the routes that have them."""
    return tuple(
        Limit(
            name=each.name,
            kind=LimitKind(each.kind),
            requests=each.requests,
            seconds=seconds(each.per),
            routes=frozenset(
                route.name for route in routes if route.pattern in (each.routes or ())
            ),
            below=dict(each.below),
            enforced=each.mode == "enforce",
        )
        for each in written
    )


def between_limits(apis: Mapping[str, WrittenApi]) -> Iterator[Inconsistency]:
    """Yield what is wrong between limits, routes and apps: a limit that never holds is one that somebody relies on."""
    for name, api in apis.items():
        paths = {route.path for route in api.routes}
        seen: set[str] = set()
        for index, limit in enumerate(api.limits):
            here: Path_ = ("apis", name, "limits", index)
            if limit.name in seen or limit.name == RATE:
                # The API's own `rate` is counted under that name.
                taken = "again" if limit.name in seen else "as a limit's name"
                yield (*here, "name"), f"{limit.name} {taken}", "another name"
            seen.add(limit.name)
            for at, path in enumerate(limit.routes or ()):
                if path not in paths:
                    expected = "the path of one of its routes, as it is written there"
                    yield (*here, "routes", at), shown(path), expected
            for app in limit.below:
                if app not in api.apps:
                    expected = f"one of its apps: {', '.join(api.apps)}"
                    yield (*here, "below"), shown(app), expected
