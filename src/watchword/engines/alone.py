"""Tell which engines can't carry out a route table by themselves: one that decides without ``/authz`` keeps the routes of before."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from watchword.engines.envoy.injection import injections
from watchword.engines.envoy.options import EnvoyOptions
from watchword.engines.envoy.routes import plan as plan_envoy
from watchword.engines.haproxy.plan import check as check_haproxy
from watchword.engines.interface import Endpoint, EngineOptions, UnsupportedError
from watchword.gate.interface import GatePolicy

_HERE: Final = Endpoint(host="127.0.0.1", port=1)
_PLACES: Final = EngineOptions("/nowhere", listen=_HERE, upstream=_HERE)
_ENVOY: Final = EnvoyOptions(
    "/nowhere", listen=_HERE, upstream=_HERE, admin=Endpoint(socket="/nowhere/admin.sock")
)


class Kept(NamedTuple):
    """Hold an engine that keeps the routes of before for an API, and why."""

    engine: str
    api: str
    because: str


def _envoy(policy: GatePolicy) -> None:
    plan_envoy(policy, _ENVOY)
    injections(policy)


def _haproxy(policy: GatePolicy) -> None:
    check_haproxy(policy, _PLACES)


_ALONE: Final[Mapping[str, Callable[[GatePolicy], None]]] = {"envoy": _envoy, "haproxy": _haproxy}


def kept_by(before: Sequence[GatePolicy], after: Sequence[GatePolicy]) -> Iterator[Kept]:
    """Yield each engine that carries out an API's table of before by itself, and can't that of after."""
    old = {each.api: each for each in before}
    for policy in after:
        for engine in _ALONE:
            because = _refused(engine, policy)
            if because and policy.api in old and not _refused(engine, old[policy.api]):
                yield Kept(engine, policy.api, because)


def _refused(engine: str, policy: GatePolicy) -> str:
    try:
        _ALONE[engine](policy)
    except UnsupportedError as error:
        return str(error)
    return ""
