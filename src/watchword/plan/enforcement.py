"""Hold which limits and pins a file has, as far as two plans are compared by them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LimitRule:
    """Hold how many requests one instance may send to an API.

    :param routes: sorted paths that it holds on; empty for all.
    :param narrowed: it holds for some versions of an app alone.
    """

    api: str
    name: str
    requests: int
    seconds: int
    routes: tuple[str, ...]
    enforced: bool
    narrowed: bool


@dataclass(frozen=True, slots=True)
class PinRule:
    """Hold that an app pins a host, and whether a mismatch is refused."""

    host: str
    app: str
    enforced: bool
