"""Put the parts together from the settings: the one place that knows every constructor."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from watchword.adapters.anchors import trusted_anchors
from watchword.adapters.apple_receipts import (
    AppleReceiptServer,
    AppleTeamApp,
    TeamKey,
    read_team_key,
    server_of,
)
from watchword.adapters.clock import SystemClock, is_synchronised
from watchword.adapters.entropy import SystemEntropy
from watchword.adapters.keyring.file import FileKeyRing
from watchword.adapters.keyring.held import KeyKeeper
from watchword.adapters.keyring.private_file import (
    PrivateFileError,
    private_directory,
    read_private,
)
from watchword.adapters.published_pins import PinPublication
from watchword.adapters.records import RecordDirectory
from watchword.adapters.refusal_log import MemoryRefusalLog
from watchword.adapters.reserve import RoomReserve
from watchword.adapters.revocation import (
    LiveStatusList,
    StatusList,
    WatchedFile,
    load_status_lists,
)
from watchword.adapters.revocation_journal import RevocationJournal
from watchword.adapters.store.sqlite import SqliteStore
from watchword.adapters.store_mark import StoreMark
from watchword.apps.compose.formats import formats_of
from watchword.apps.compose.gate_policies import gate_policies
from watchword.apps.compose.play import lab_play_keys, play_decoders_of, play_keys_of
from watchword.apps.compose.secrets import key_keeper_of, openbao_of, secret_work
from watchword.apps.evidence.recording import Recorder
from watchword.apps.service.client_addresses import ClientAddresses
from watchword.apps.service.clock_watch import ClockWatch
from watchword.apps.service.enrolment_limits import EnrolmentLimits
from watchword.apps.service.safeguards import Safeguards
from watchword.apps.service.service import Service, build_service
from watchword.apps.service.vendors import VendorWork
from watchword.apps.settings import Settings
from watchword.apps.settings.schema import ReceiptSettings, ServiceConfig
from watchword.attestation.interface import AppleApp, PlayKeys, Trust
from watchword.attestation.issuers import BoundedIssuerCache
from watchword.enrolment.evidence import RegisteredFormats
from watchword.enrolment.interface import EnrolmentPolicy
from watchword.enrolment.receipts import ReceiptRefresh
from watchword.enrolment.rejudgement import Rejudgement
from watchword.ports import Anchor, Clock, Entropy, Fetcher, InstanceStore
from watchword.tokens.interface import LEEWAY_SECONDS

if TYPE_CHECKING:
    from watchword.adapters.fetcher import HttpxFetcher
    from watchword.lab import LabAuthorities

_log = structlog.get_logger()


def trust_of(settings: Settings, entropy: Entropy, fetcher: Fetcher | None = None) -> Trust:
    """Return whom the verifier believes; makes the lab's authorities on first use.

    :param fetcher: by whom the status list is fetched; without one only snapshots are known.
    :raises WatchwordError: when a revocation list or the lab can't be read, or when lab anchors
        were to be trusted outside of the lab environment.
    """
    lab: Sequence[Anchor] = ()
    play_keys: dict[str, PlayKeys] = {}
    authorities: LabAuthorities | None = None
    if settings.trust_lab:
        # Imported here alone: production runs without the lab and without its packages.
        from watchword.adapters.lab_store import load_or_create  # noqa: PLC0415

        authorities = load_or_create(settings.service.state_dir, entropy)
        lab, play_keys = authorities.anchors(), lab_play_keys(settings, authorities.seed)
    anchors = trusted_anchors(settings.trust_vendors, lab, settings.environment)
    return Trust(
        anchors,
        revocation=status_list_of(settings, authorities, fetcher),
        issuers=BoundedIssuerCache(),
        play_keys=play_keys | play_keys_of(settings),
    )


def status_list_of(
    settings: Settings, lab: "LabAuthorities | None", fetcher: Fetcher | None
) -> StatusList | LiveStatusList | None:
    """Return what is known of withdrawn certificates: fetched, the lab's, of snapshots, or nothing.

    :param lab: whose list it is where nothing is fetched; None where the lab isn't trusted.
    :raises WatchwordError: when a snapshot or the lab can't be read.
    """
    ways = settings.revocation
    snapshots = load_status_lists(ways.snapshots) if ways.snapshots else None
    if ways.fetch and fetcher is not None:
        return LiveStatusList(
            fetcher,
            ways.url,
            max_age=ways.max_age,
            saved=settings.service.status_list,
            snapshots=snapshots,
        )
    if lab is not None:
        from watchword.adapters.lab_store import (  # noqa: PLC0415
            load_status_list,
            status_list_file,
        )

        state_dir = settings.service.state_dir
        load_status_list(state_dir, lab)
        path = status_list_file(state_dir)
        # The lab's Google is a file beside us: asked at each turn, so that a test sees it act.
        return LiveStatusList(
            WatchedFile(path),
            path.as_uri(),
            max_age=ways.max_age,
            snapshots=snapshots,
            fresh=lambda _headers: 0.0,
        )
    return snapshots


def fetcher_of(settings: Settings) -> "HttpxFetcher | None":
    """Return who fetches the status list and receipts, None where nobody has to."""
    return _fetcher() if settings.revocation.fetch or settings.receipts else None


def play_fetcher_of(settings: Settings) -> "HttpxFetcher | None":
    """Return who asks Google's decoder, None where nobody has to.

    Its connections are its own: strangers who send tokens mustn't keep the status list from being fetched.
    """
    asks = any(play.service_account is not None for play in settings.play.values())
    return _fetcher() if asks and settings.trust_vendors else None


def _fetcher() -> "HttpxFetcher":
    # Imported here alone: its library takes 100 ms that a start without vendors can do without.
    from watchword.adapters.fetcher import HttpxFetcher  # noqa: PLC0415

    return HttpxFetcher()


def receipts_of(
    settings: Settings, store: InstanceStore, trust: Trust, fetcher: Fetcher | None, clock: Clock
) -> ReceiptRefresh | None:
    """Return who has receipts refreshed, None where no app asks for it.

    :raises WatchwordError: when a team's key can't be read.
    """
    if not settings.receipts or fetcher is None:
        return None
    apps = {}
    for name, ways in settings.receipts.items():
        identity = settings.apps[name].identity
        assert isinstance(identity, AppleApp)  # The reader takes receipts of iOS apps alone.
        apps[name] = AppleTeamApp(team_key_of(ways), server_of(ways.server, identity.environment))
    return ReceiptRefresh(store, AppleReceiptServer(fetcher, clock, apps), trust)


def vendor_work(
    settings: Settings,
    store: InstanceStore,
    trust: Trust,
    fetcher: "HttpxFetcher | None",
    clock: Clock,
) -> VendorWork:
    """Return what is asked of vendors beside the requests.

    :raises WatchwordError: when a team's key can't be read.
    """
    withdrawn = trust.revocation
    known = withdrawn if isinstance(withdrawn, StatusList | LiveStatusList) else None
    return VendorWork(
        status_list=known if isinstance(known, LiveStatusList) else None,
        rejudgement=None if known is None else Rejudgement(store, known, trust.issuers),
        receipts=receipts_of(settings, store, trust, fetcher, clock),
        receipt_apps=tuple(settings.receipts),
        fetcher=fetcher,
    )


def team_key_of(ways: ReceiptSettings) -> TeamKey:
    """Return the key that signs for a team at Apple.

    :raises WatchwordError: when the file is missing, readable by others, or holds something else.
    """
    data = read_private(ways.key)
    if data is None:
        raise PrivateFileError(f"{ways.key}: isn't there; it is the .p8 file of the team's key")
    return read_team_key(data, ways.team_id, ways.key_id, str(ways.key))


def recorder_of(settings: Settings) -> Recorder | None:
    """Return who records verifications, None where nothing is recorded."""
    ways = settings.records
    if ways is None:
        return None
    directory = settings.service.records
    return Recorder(RecordDirectory(directory, timedelta(seconds=ways.keep), ways.max_bytes))


def pins_of(settings: Settings) -> PinPublication | None:
    """Return who follows published pins, None where no host is pinned."""
    if settings.pins is None:
        return None
    return PinPublication(settings.pins.directory, settings.service.pins, settings.pins.apps)


def enrolment_policy(settings: Settings) -> EnrolmentPolicy:
    """Return what enrolment knows from the file."""
    return EnrolmentPolicy(
        issuer=settings.service.issuer,
        environment=settings.environment,
        apps=settings.apps,
        audiences={
            app: frozenset(api.audience for api in settings.apis.values() if app in api.apps)
            for app in settings.apps
        },
        minimum_level=settings.policy.lowest_level,
        token_lifetime=settings.service.token_lifetime,
    )


def service_of(
    settings: Settings,
    *,
    clock: Clock,
    entropy: Entropy,
    refusal_log: MemoryRefusalLog,
    steady: Callable[[], float] | None = None,
) -> Service:
    """Return the service over its store and key ring, both made on the first start.

    :param steady: seconds that nobody sets, by which ``clock`` is watched for jumps; None where jumps are meant.
    :raises WatchwordError: when keys or store can't be read, written or trusted.
    """
    paths = settings.service
    private_directory(paths.state_dir)
    _require_whole(paths)
    # Before anything is made: a start that fails for the master key leaves no key ring without a store.
    policies, bao = gate_policies(settings), openbao_of(settings)
    keeper = key_keeper_of(settings, bao)
    secrets = replace(secret_work(settings, entropy, bao), signing=keeper)
    keyring = _keyring_of(settings, clock, entropy, keeper)
    fetcher, play_fetcher = fetcher_of(settings), play_fetcher_of(settings)
    trust = trust_of(settings, entropy, fetcher)
    recorder = recorder_of(settings)
    store = SqliteStore(paths.database)
    verifier = RegisteredFormats(
        trust,
        settings.policy,
        store,
        formats=formats_of(settings),
        play_decoders=play_decoders_of(settings, play_fetcher, clock) if play_fetcher else {},
        appraisals=recorder,
    )
    return build_service(
        policy=enrolment_policy(settings),
        verifier=verifier,
        store=store,
        keyring=keyring,
        refusal_log=refusal_log,
        gates=paths.gates,
        gate_policies=policies,
        clock=clock,
        entropy=entropy,
        recorder=recorder,
        pins=pins_of(settings),
        secrets=secrets,
        safeguards=safeguards_of(paths, clock, steady),
        room=EnrolmentLimits(paths.enrolments.build()),
        addresses=ClientAddresses(paths.trusted_proxies),
        vendors=replace(
            vendor_work(settings, store, trust, fetcher, clock),
            play_fetcher=play_fetcher,
            contradictions=verifier.contradictions,
        ),
    )


def _keyring_of(
    settings: Settings, clock: Clock, entropy: Entropy, keeper: KeyKeeper | None
) -> FileKeyRing:
    return FileKeyRing(
        settings.service.keyring,
        environment=settings.environment,
        grace=settings.service.token_lifetime + LEEWAY_SECONDS,
        now=clock.timestamp(),
        entropy=entropy,
        keeper=keeper,
    )


def safeguards_of(
    paths: ServiceConfig, clock: Clock, steady: Callable[[], float] | None
) -> Safeguards:
    """Return what guards the service where its store can't.

    :raises WatchwordError: when a file of theirs can't be trusted.
    """
    return Safeguards(
        mark=StoreMark(paths.store_mark),
        journal=RevocationJournal(paths.revocations),
        reserve=RoomReserve(paths.reserve),
        watch=None if steady is None else ClockWatch(clock.timestamp, steady, is_synchronised),
    )


def _require_whole(paths: ServiceConfig) -> None:
    """Refuse a state directory whose store has lost its keys; tell of one that has lost its store.

    :raises PrivateFileError: when the key ring is gone.
    """
    if paths.database.exists() and not paths.keyring.exists():
        # New keys would make strangers of all instances, without a word.
        raise PrivateFileError(
            f"{paths.keyring}: is gone while {paths.database.name} is there; restore both from a "
            f"backup, or remove {paths.database.name} too for a new start"
        )
    if paths.keyring.exists() and not paths.database.exists():
        # Every instance enrols again by itself; a person may have a backup that spares them that.
        _log.warning(
            "store is gone", file=str(paths.database), detail="an empty one takes its place"
        )


def system_ports() -> tuple[SystemClock, SystemEntropy]:
    """Return the real clock and the real source of randomness."""
    return SystemClock(), SystemEntropy()
