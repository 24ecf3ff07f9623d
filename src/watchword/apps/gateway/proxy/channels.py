"""Hold the connections to third parties: one pool for each secret, to the origin of its rule alone."""

import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpcore

from watchword.adapters.edge_wire import CheckedBackend, Resolver
from watchword.apps.gateway.proxy.exchange import (
    IDLE_SECONDS,
    MAX_CONNECTIONS,
    MAX_IDLE_CONNECTIONS,
)
from watchword.broker.interface import EdgeRule
from watchword.reasons import Reason, UnavailableError


@dataclass(slots=True)
class _Channel:
    rule: EdgeRule
    pool: httpcore.AsyncConnectionPool
    users: int = 0
    retired: bool = False


@dataclass(slots=True)
class Channels:
    """Keep a pool for each secret; belongs to one event loop."""

    resolver: Resolver
    _kept: dict[str, _Channel] = field(default_factory=dict)

    @asynccontextmanager
    async def pool(
        self, rule: EdgeRule, known: Collection[str]
    ) -> AsyncIterator[httpcore.AsyncConnectionPool]:
        """Lend the pool of a rule for one exchange; where the rule changed, its connections are new.

        Those of the rule before end with their last exchange: a call that runs isn't cut by a change of the policy.

        :param known: the secrets that are still lent; the connections of others are closed.
        :raises UnavailableError: ``secret.unavailable`` when the rule's authorities can't be used.
        """
        channel = self._kept.get(rule.secret)
        if channel is None or channel.rule != rule:
            fresh = _Channel(rule, _pool(rule, self.resolver))
            gone = [channel] if channel is not None else []
            gone += [self._kept.pop(name) for name in set(self._kept) - {*known, rule.secret}]
            self._kept[rule.secret] = channel = fresh
            for each in gone:
                each.retired = True
                await _close_unused(each)
        channel.users += 1
        try:
            yield channel.pool
        finally:
            channel.users -= 1
            await _close_unused(channel)

    async def aclose(self) -> None:
        """Close all connections."""
        kept, self._kept = self._kept, {}
        for channel in kept.values():
            await channel.pool.aclose()


async def _close_unused(channel: _Channel) -> None:
    if channel.retired and channel.users == 0:
        await channel.pool.aclose()


def _pool(rule: EdgeRule, resolver: Resolver) -> httpcore.AsyncConnectionPool:
    return httpcore.AsyncConnectionPool(
        ssl_context=_tls(rule),
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_IDLE_CONNECTIONS,
        keepalive_expiry=IDLE_SECONDS,
        retries=0,
        network_backend=CheckedBackend(resolver, private=rule.private),
    )


def _tls(rule: EdgeRule) -> ssl.SSLContext:
    """Return whom this origin's certificate may come from: the rule's authorities alone, or the system's.

    The name is checked too: ``PROTOCOL_TLS_CLIENT`` begins with both.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if rule.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=rule.ca)
    except (OSError, ValueError):
        raise UnavailableError(
            Reason.SECRET_UNAVAILABLE, f"the authorities for {rule.secret} can't be read as PEM"
        ) from None
    return context
