"""Put together who keeps secrets and canaries, from the settings."""

from typing import TYPE_CHECKING

from watchword.adapters.canary_alarms import CanaryAlarmFile
from watchword.adapters.canary_file import CanaryFile
from watchword.apps.compose.usage import usage_ledger
from watchword.apps.gateway.gates import alarms_path
from watchword.apps.service.secrets import SecretWork
from watchword.apps.settings import Settings
from watchword.apps.settings.environment import taken
from watchword.apps.settings.schema import MasterKeyConfig, SecretsSettings
from watchword.broker.interface import KeyWrapper, SecretStore
from watchword.broker.keeper import SecretKeeper
from watchword.ports import Entropy

if TYPE_CHECKING:
    from watchword.adapters.openbao.connection import OpenBao
    from watchword.adapters.openbao.key_keeper import TransitKeyKeeper


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


def secret_work(settings: Settings, entropy: Entropy, bao: "OpenBao | None") -> SecretWork:
    """Return what the service knows of secrets; no backend is asked yet.

    Canaries need no word in the file: they are kept in any case.

    :param bao: who asks OpenBao, where the file names one; closed with the rest.
    :raises WatchwordError: when the master key can't be read, or the ledger of uses can't be opened.
    """
    where, ways = settings.service, settings.secrets
    canaries = CanaryFile(where.canaries, entropy)
    alarms = CanaryAlarmFile(alarms_path(settings))
    # Of values that are still in the file an operator must see and revoke the last ones too.
    if ways is None or not (ways.names or where.secrets.exists()):
        return SecretWork(canaries=canaries, alarms=alarms, backend=bao)
    store = secret_store(settings, ways, entropy, bao)
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
    settings: Settings, ways: SecretsSettings, entropy: Entropy, bao: "OpenBao | None"
) -> SecretStore:
    """Return where values are kept.

    :raises WatchwordError: when the master key can't be read.
    """
    if ways.in_openbao:
        from watchword.adapters.openbao.secret_store import OpenBaoSecretStore  # noqa: PLC0415

        assert bao is not None  # The reader asks for the section beside the store.
        return OpenBaoSecretStore(bao)
    # Imported here alone: a deployment without secrets reads no master key.
    from watchword.adapters.secret_store import FileSecretStore  # noqa: PLC0415

    assert ways.master_key is not None  # The reader gives the file one.
    where = settings.service
    # A new key beside values that an old one encrypted would look like a fault of theirs.
    make = not where.secrets.exists()
    wrapper = master_key(ways.master_key, entropy, bao, make=make)
    return FileSecretStore(where.secrets, where.issuer, wrapper, entropy)


def master_key(
    master: MasterKeyConfig, entropy: Entropy, bao: "OpenBao | None", *, make: bool
) -> KeyWrapper:
    """Return the master key, wherever it is.

    :param make: whether to make its file where there is none.
    :raises WatchwordError: when it can't be read.
    """
    from watchword.adapters.secret_store import (  # noqa: PLC0415
        master_key_from_file,
        master_key_from_text,
    )

    if master.transit is not None:
        from watchword.adapters.openbao.transit import TransitWrapper  # noqa: PLC0415

        assert bao is not None  # As above.
        return TransitWrapper(bao, master.transit)
    if master.env is not None:
        return master_key_from_text(taken(master.env), master.env, entropy)
    assert master.file is not None  # One of the three is set.
    return master_key_from_file(master.file, entropy, make=make)
