"""Hold what a file has its gates, limits and pins enforce, as far as two plans are compared by it."""

from dataclasses import dataclass

from watchword.vocabulary import Level, Mode, Proof


@dataclass(frozen=True, slots=True)
class RouteRule:
    """Hold what one row of an API's table asks of a request.

    :param methods: sorted; empty for every method.
    """

    path: str
    methods: tuple[str, ...]
    mode: Mode
    proof: Proof
    level: Level


@dataclass(frozen=True, slots=True)
class LimitRule:
    """Hold how many requests one instance may send.

    :param routes: sorted paths that it holds on; empty for all.
    :param narrowed: it holds for some versions of an app alone.
    """

    name: str
    requests: int
    seconds: int
    routes: tuple[str, ...]
    enforced: bool
    narrowed: bool


@dataclass(frozen=True, slots=True)
class ApiRules:
    """Hold the table and the limits of one API, in the order of the file."""

    name: str
    routes: tuple[RouteRule, ...]
    limits: tuple[LimitRule, ...]


@dataclass(frozen=True, slots=True)
class PinRule:
    """Hold that an app pins a host, and whether a mismatch is refused."""

    host: str
    app: str
    enforced: bool


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Hold all of it; what couldn't be read of the file enforces nothing and isn't here."""

    apis: tuple[ApiRules, ...] = ()
    pins: tuple[PinRule, ...] = ()
