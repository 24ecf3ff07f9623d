"""Hold what the service knows of secrets: who keeps them, how each is lent or delivered, canaries and uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from watchword.adapters.canary_alarms import CanaryAlarmFile
from watchword.adapters.canary_file import CanaryFile
from watchword.apps.service.vendors import Closable
from watchword.broker.interface import (
    CanaryWatch,
    DeliveryRule,
    EdgeRule,
    LentValue,
    SecretStore,
    UsageLedger,
)
from watchword.broker.keeper import SecretKeeper


@dataclass(frozen=True, slots=True)
class SecretWork:
    """Hold what a deployment has configured; None where it is left out.

    :param keeper: knows the secrets, and changes them in their store; None where the file names no secret.
    :param store: is closed when the service stops.
    :param edges: by name, what a secret that is lent at the edge is lent to; ``deliveries``, to whom one is sealed.
    :param canaries: knows by what planted keys are recognised; ``alarms``, who used one.
    :param usage: where gates count what instances use of keys; closed when the service stops.
    :param signing: keeps the private keys that sign for the service; closed when it stops.
    :param backend: what the store, and others, speak through; closed last.
    :param first_read_seconds: how long a start waits for a backend before it goes on with what gates have.
    """

    keeper: SecretKeeper | None = None
    store: SecretStore | None = None
    edges: Mapping[str, EdgeRule] = field(default_factory=dict)
    deliveries: Mapping[str, DeliveryRule] = field(default_factory=dict)
    canaries: CanaryFile | None = None
    alarms: CanaryAlarmFile | None = None
    usage: UsageLedger | None = None
    signing: Closable | None = None
    backend: Closable | None = None
    first_read_seconds: float = 5.0

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of ``secrets.keys``, sorted."""
        return tuple(sorted({*self.edges, *self.deliveries}))

    async def refresh(self, now: float) -> None:
        """Read the secrets anew; what was read last stays good when that fails.

        :raises UnavailableError: ``secret.store_unavailable``, with what is wrong.
        """
        if self.keeper is not None:
            await self.keeper.refresh(now)

    def lent(
        self, edges: Mapping[str, EdgeRule], told: Mapping[str, LentValue] | None, now: float
    ) -> Mapping[str, LentValue]:
        """Return what a gate adds to calls now.

        While the backend hasn't answered since the start, that is what the gate was told before: a backend that is
        away must not take the keys from gates that have them.

        :param edges: by name, the secrets that the gate's routes add.
        :param told: what the gate was told before this process began, None for nothing.
        """
        keeper = self.keeper
        if keeper is None:
            return {}
        held: dict[str, LentValue] = {}
        if keeper.read_at is None:
            known = keeper.known()
            # What an operator changed meanwhile is known, and what he revoked is withheld.
            held = {
                name: each
                for name, each in (told or {}).items()
                if name in edges
                and name not in known
                and not keeper.is_withheld(name, each.version)
            }
        return held | keeper.lent(edges, now)

    def watch(self) -> CanaryWatch | None:
        """Return by what canary keys are recognised, None where none is planted.

        :raises WatchwordError: when that can't be read.
        """
        return None if self.canaries is None else self.canaries.watch()

    async def aclose(self) -> None:
        """Let go of the backend, of who signs, and of the ledger."""
        for each in (self.store, self.usage, self.signing, self.backend):
            if each is not None:
                await each.aclose()
        if self.alarms is not None:
            self.alarms.close()


NO_SECRETS: Final = SecretWork()
"""Nothing is lent or delivered, and no canary is planted."""
