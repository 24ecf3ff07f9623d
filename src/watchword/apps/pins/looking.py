"""Look at servers from several places at once: which keys they show, and whether their chains hold."""

import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from watchword.adapters.live_chain import (
    LiveChain,
    LiveChainError,
    Place,
    fetch_chain,
    places_of,
    trusted,
)
from watchword.apps.pins.sources import subject_of
from watchword.pins.spki import PinError, pin_of_certificate

_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Sight:
    """Hold what a server showed at one place.

    :param chain: pins of the verified chain, the leaf first; of the chain as it came where it doesn't hold.
    :param subjects: of each certificate of that chain, whose it is.
    :param not_after: when the leaf ends, seconds since 1970.
    :param fault: why the chain doesn't hold, None where it does.
    """

    place: str
    chain: tuple[bytes, ...]
    subjects: tuple[str, ...]
    not_after: float
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Hold what was seen of one host, and where nothing was.

    :param troubles: one line for each place that showed nothing.
    """

    host: str
    sights: tuple[Sight, ...] = ()
    troubles: tuple[str, ...] = ()

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """Return the leaf keys that were seen, each once."""
        return tuple(dict.fromkeys(sight.chain[0] for sight in self.sights))


@dataclass(frozen=True, slots=True)
class Vantage:
    """Say from where and how it is looked.

    :param named: by host, where it is looked at instead of at the addresses of its name.
    :param ca: authorities that are believed instead of the platform's.
    """

    named: Mapping[str, Sequence[Place]]
    ca: Path | None = None
    seconds: float = 5.0


def look_at(hosts: Iterable[str], vantage: Vantage) -> dict[str, Look]:
    """Look at each host, at all places of it, at once.

    :raises LiveChainError: when the file of authorities can't be used; no trouble of a server's raises.
    """
    context = trusted(vantage.ca)
    wanted = list(hosts)
    with _pool() as pool:
        places = dict(
            zip(wanted, pool.map(lambda host: _places(host, vantage), wanted), strict=True)
        )
        tasks = {
            host: [pool.submit(_sight, place, context, vantage.seconds) for place in found]
            for host, found in places.items()
            if not isinstance(found, str)
        }
        looks = {}
        for host in wanted:
            found = places[host]
            if isinstance(found, str):
                looks[host] = Look(host, troubles=(found,))
                continue
            results = [task.result() for task in tasks[host]]
            looks[host] = Look(
                host,
                tuple(each for each in results if isinstance(each, Sight)),
                tuple(each for each in results if isinstance(each, str)),
            )
    return looks


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Give a pool that is left at once by Ctrl-C: hundreds of silent servers would have to be waited for otherwise."""
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def sight_of(live: LiveChain) -> Sight:
    """Return what a chain says.

    :raises PinError, ValueError: when a certificate can't be read.
    """
    shown = live.verified or live.sent
    if not shown:
        raise ValueError("no certificate")
    certificates = [x509.load_der_x509_certificate(each) for each in shown]
    return Sight(
        place=str(live.place),
        chain=tuple(map(pin_of_certificate, shown)),
        subjects=tuple(map(subject_of, certificates)),
        not_after=certificates[0].not_valid_after_utc.timestamp(),
        fault=live.fault,
    )


def _places(host: str, vantage: Vantage) -> tuple[Place, ...] | str:
    try:
        return places_of(host, vantage.named)
    except LiveChainError as error:
        return str(error)


def _sight(place: Place, context: ssl.SSLContext, seconds: float) -> Sight | str:
    try:
        return sight_of(fetch_chain(place, context, seconds))
    except LiveChainError as error:
        return str(error)
    except (PinError, ValueError):
        return f"{place.host} at {place}: got a certificate that can't be read"
