"""Put together who keeps secrets and canaries, and what the service knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from watchword.adapters.honeytoken_alarms import HoneytokenAlarmFile
from watchword.adapters.honeytoken_file import HoneytokenStore
from watchword.adapters.keyring.private_file import private_directory
from watchword.adapters.sealed_rows import SealedRows
from watchword.adapters.secret_store import DocumentSecretStore
from watchword.adapters.usage import HostUsageLedger
from watchword.apps.compose.documents import KeptDocuments, master_key, sealing_key
from watchword.apps.compose.gates import alarms_path
from watchword.apps.compose.vendors import Closable
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.schema import SecretsSettings, Settings
from watchword.broker.interface import (
    DeliveryRule,
    EdgeRule,
    HoneytokenWatch,
    InjectedValue,
    KeyWrapper,
    SecretStore,
    UsageLedger,
)
from watchword.broker.keeper import SecretKeeper
from watchword.ports import Entropy

if TYPE_CHECKING:
    from watchword.adapters.openbao.connection import OpenBao
    from watchword.adapters.openbao.key_keeper import TransitKeyKeeper


@dataclass(frozen=True, slots=True)
class SecretWork:
    """Hold what a deployment has configured; None where it is left out.

    :param keeper: knows the secrets, and changes them in their store; None where the file names no secret.
    :param store: is closed when the service stops.
    :param edges: by name, into which calls a secret is injected at the edge; ``deliveries``, to whom one is sealed.
    :param canaries: knows by what planted keys are recognised; ``alarms``, who used one.
    :param usage: where gates count what instances use of keys; closed when the service stops.
    :param signing: keeps the private keys that sign for the service; closed when it stops.
    :param backend: what the store, and others, speak through; closed last.
    :param rows: where keys, secrets and canaries are rows that nodes share; None where they are files.
    :param first_read_seconds: how long a start waits for a backend before it goes on with what gates have.
    """

    keeper: SecretKeeper | None = None
    store: SecretStore | None = None
    edges: Mapping[str, EdgeRule] = field(default_factory=dict)
    deliveries: Mapping[str, DeliveryRule] = field(default_factory=dict)
    canaries: HoneytokenStore | None = None
    alarms: HoneytokenAlarmFile | None = None
    usage: UsageLedger | None = None
    signing: Closable | None = None
    backend: Closable | None = None
    rows: SealedRows | None = None
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

    def injected(
        self, edges: Mapping[str, EdgeRule], told: Mapping[str, InjectedValue] | None, now: float
    ) -> Mapping[str, InjectedValue]:
        """Return what a gate adds to calls now.

        While the backend hasn't answered since the start, that is what the gate was told before: a backend that is
        away must not take the keys from gates that have them.

        :param edges: by name, the secrets that the gate's routes add.
        :param told: what the gate was told before this process began, None for nothing.
        """
        keeper = self.keeper
        if keeper is None:
            return {}
        held: dict[str, InjectedValue] = {}
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
        return held | keeper.injected(edges, now)

    def watch(self) -> HoneytokenWatch | None:
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
"""Nothing is injected or delivered, and no canary is planted."""


def usage_ledger(settings: Settings) -> UsageLedger | None:
    """Return the ledger of a deployment, None where no key is injected; whoever asked closes it.

    :raises ConfigurationError: when the address of a Valkey can't be used.
    :raises PrivateFileError: when the gates' directory isn't private.
    :raises UnavailableError: ``secret.usage_unavailable`` when this machine's file can't be opened.
    """
    secrets = settings.secrets
    if secrets is None or not secrets.edges:
        return None
    if secrets.usage.url is None:
        # The first start opens it before anything else of the gates lies there.
        private_directory(settings.service.gates)
        return HostUsageLedger(settings.service.gates / "usage.sqlite")
    # Imported here alone: a gate without a Valkey needs no redis package.
    from watchword.adapters.usage.valkey import ValkeyUsageLedger  # noqa: PLC0415

    try:
        return ValkeyUsageLedger(secrets.usage.url, password=secrets.usage.password)
    except ValueError as error:
        fault = Fault("secrets.usage.url", None, str(error), "redis://host:6379")
        raise ConfigurationError(settings.path, [fault]) from None


def openbao_of(settings: Settings) -> "OpenBao | None":
    """Return who asks OpenBao, None where nothing is kept there; nothing is asked yet."""
    place = None if settings.secrets is None else settings.secrets.openbao
    if place is None:
        return None
    # Imported here alone: its library takes time that a start without OpenBao can do without.
    from watchword.adapters.openbao.connection import OpenBao, OpenBaoPlace  # noqa: PLC0415

    return OpenBao(
        OpenBaoPlace(
            url=place.url,
            token=place.token,
            mount=place.mount,
            path=place.path,
            transit=place.transit,
            ca=place.ca,
            timeout=place.timeout,
        )
    )


def key_keeper_of(settings: Settings, bao: "OpenBao | None") -> "TransitKeyKeeper | None":
    """Return who keeps the private keys that sign for the service, None where its key ring does."""
    if bao is None or settings.secrets is None or settings.secrets.signing is None:
        return None
    from watchword.adapters.openbao.key_keeper import TransitKeyKeeper  # noqa: PLC0415

    return TransitKeyKeeper(bao, settings.secrets.signing)


def secret_work(
    settings: Settings, entropy: Entropy, bao: "OpenBao | None", documents: KeptDocuments
) -> SecretWork:
    """Return what the service knows of secrets; no backend is asked yet.

    Canaries need no word in the file: they are kept in any case.

    :param bao: who asks OpenBao, where the file names one; closed with the rest.
    :param documents: where secrets and canaries are kept.
    :raises WatchwordError: when the master key can't be read, or the ledger of uses can't be opened.
    """
    ways = settings.secrets
    canaries = HoneytokenStore(documents.canaries, entropy)
    alarms = HoneytokenAlarmFile(alarms_path(settings))
    # Of values that are still in the file an operator must see and revoke the last ones too.
    if ways is None or not (ways.names or documents.secrets.stamp() is not None):
        return SecretWork(canaries=canaries, alarms=alarms, backend=bao)
    store = secret_store(settings, ways, entropy, bao, documents)
    return SecretWork(
        keeper=SecretKeeper(store, ways.edges),
        store=store,
        edges={name: each.rule for name, each in ways.edges.items()},
        deliveries=ways.deliveries,
        canaries=canaries,
        alarms=alarms,
        usage=usage_ledger(settings),
        backend=bao,
    )


def secret_store(
    settings: Settings,
    ways: SecretsSettings,
    entropy: Entropy,
    bao: "OpenBao | None",
    documents: KeptDocuments,
) -> SecretStore:
    """Return where values are kept.

    :raises WatchwordError: when the master key can't be read.
    """
    if ways.in_openbao:
        from watchword.adapters.openbao.secret_store import OpenBaoSecretStore  # noqa: PLC0415

        assert bao is not None  # The reader asks for the section beside the store.
        return OpenBaoSecretStore(bao)

    assert ways.master_key is not None  # The reader gives the file one.
    # A new key beside values that an old one encrypted would look like a fault of theirs; of several nodes each would
    # make one.
    make = documents.rows is None and documents.secrets.stamp() is None
    wrapper: KeyWrapper = master_key(ways.master_key, entropy, bao, make=make)
    if documents.rows is not None and ways.master_key == settings.service.sealing:
        wrapper = sealing_key(settings.service, entropy, bao)
    return DocumentSecretStore(documents.secrets, settings.service.issuer, wrapper, entropy)
