"""Make what verifies evidence out of the settings: whom it trusts, what is asked of vendors, and by which keys."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from watchword.adapters.anchors import trusted_anchors
from watchword.adapters.apple_receipts import (
    AppleReceiptServer,
    AppleTeamApp,
    TeamKey,
    read_team_key,
    server_of,
)
from watchword.adapters.evidence_formats import EvidenceFormatError, load_formats
from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.adapters.play_decoder import (
    BoundedDecoder,
    GooglePlayDecoder,
    ServiceAccount,
    read_service_account,
)
from watchword.adapters.revocation import LiveStatusList, StatusList, WatchedFile, load_status_lists
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.schema import PlaySettings, ReceiptSettings, Settings
from watchword.attestation.certificates import BoundedIssuerCache, load_p256
from watchword.attestation.interface import AndroidApp, AppleApp, EvidenceFormat, PlayKeys, Trust
from watchword.attestation.play_tokens import KEY_BYTES
from watchword.enrolment.evidence import ReceiptRefresh, ReceiptSampling, Rejudgement
from watchword.enrolment.pace import Pace
from watchword.ports import (
    Clock,
    Entropy,
    Fetcher,
    FetchRequest,
    FetchResponse,
    InstanceStore,
    PlayDecoder,
)
from watchword.reasons import UnavailableError, WatchwordError

if TYPE_CHECKING:
    from watchword.adapters.fetcher import HttpxFetcher
    from watchword.lab import LabAuthorities


class Closable(Protocol):
    """Hold connections that are closed in the end."""

    async def aclose(self) -> None:
        """Close them."""


@dataclass(frozen=True, slots=True)
class VendorWork:
    """Hold what a deployment has configured; None where it is left out.

    :param status_list: is refreshed; ``rejudgement`` revokes instances by it, or by snapshots.
    :param receipt_apps: the apps whose receipts are refreshed; ``sampling`` says how often.
    :param revision: returns for an app a digest of what renewals are judged by, on which tickets hang; None gives no tickets.
    :param first_list_seconds: how long a start waits for a status list that isn't known yet.
    :param fetcher: speaks for all of them, and is closed when the service stops; so is ``play_fetcher``,
        which asks Google's decoder while a request waits.
    :param contradictions: by name, how often evidence that enrolled or was refused by policy contradicted itself.
    """

    status_list: LiveStatusList | None = None
    rejudgement: Rejudgement | None = None
    receipts: ReceiptRefresh | None = None
    receipt_apps: tuple[str, ...] = ()
    sampling: ReceiptSampling | None = None
    revision: Callable[[str], bytes] | None = None
    first_list_seconds: float = 5.0
    fetcher: Closable | None = None
    play_fetcher: Closable | None = None
    contradictions: Mapping[str, int] = field(default_factory=dict)


NO_VENDORS: Final = VendorWork()
"""Nobody is asked, and nothing is known of withdrawn certificates."""


def formats_of(settings: Settings) -> Sequence[EvidenceFormat]:
    """Return the operator's own formats.

    Not a part of reading the file: gates read it too, in environments that don't have these packages.

    :raises ConfigurationError: when one can't be loaded; it names those that are installed.
    """
    try:
        return load_formats(settings.formats)
    except EvidenceFormatError as error:
        path = f"trust.formats[{settings.formats.index(error.name)}]"
        fault = Fault(path, None, f"{error.name!r}: {error.got}", error.expected)
        raise ConfigurationError(settings.path, [fault]) from error


MAX_KEY_FILE_BYTES: Final = 4096
"""Most bytes of a file with one key; the longer of the two has 124 characters."""


class PlayKeyError(WatchwordError):
    """Report a file that doesn't hold what the Play Console gave out; its text holds nothing of it."""


def play_keys_of(settings: Settings) -> dict[str, PlayKeys]:
    """Return the response encryption keys of each package that has some, where vendors are trusted.

    :raises WatchwordError: when a file is missing, readable by others, or holds something else.
    """
    if not settings.trust_vendors:
        # A lab that trusts its own Google alone must not open tokens of the real one.
        return {}
    keys = {}
    for play in settings.play.values():
        if play.decryption_key is not None and play.verification_key is not None:
            keys[play.package] = PlayKeys(
                decryption=_decryption_key(play.decryption_key),
                verification=_verification_key(play.verification_key),
            )
    return keys


def require_play_files(play: PlaySettings) -> None:
    """Read each file that one app's section names, and keep nothing.

    :raises WatchwordError: when one is missing, readable by others, or holds something else.
    """
    if play.decryption_key is not None and play.verification_key is not None:
        _decryption_key(play.decryption_key)
        _verification_key(play.verification_key)
    if play.service_account is not None:
        _account(play.service_account)


def lab_play_keys(settings: Settings, seed: bytes) -> dict[str, PlayKeys]:
    """Return the keys of the lab's Google for Android apps; only a lab has that seed.

    An app whose tokens come from the real Google, in a lab that trusts both, isn't among them.
    """
    from watchword.lab.google_play import GooglePlay  # noqa: PLC0415 - production has no lab.

    google = GooglePlay(seed)
    keys = PlayKeys(google.decryption_key, google.verification_key)
    real = set(settings.play) if settings.trust_vendors else set()
    apps = [app.identity for name, app in settings.apps.items() if name not in real]
    return {app.package: keys for app in apps if isinstance(app, AndroidApp)}


def configured_play_keys(settings: Settings, entropy: Entropy) -> dict[str, PlayKeys]:
    """Return all keys that open tokens here without asking anybody: of a lab's Google, and own ones.

    :raises WatchwordError: as :func:`play_keys_of` does.
    """
    return _all_play_keys(settings, _lab_of(settings, entropy))


def _all_play_keys(settings: Settings, lab: "LabAuthorities | None") -> dict[str, PlayKeys]:
    of_lab = {} if lab is None else lab_play_keys(settings, lab.seed)
    return of_lab | play_keys_of(settings)


def play_decoders_of(
    settings: Settings, fetcher: Fetcher | None, clock: Clock, pace: Pace | None = None
) -> Mapping[str, PlayDecoder]:
    """Return who decodes the tokens of each package that has a service account.

    Packages with one account share its access tokens.

    :param fetcher: for Google's decoder alone: whoever sends tokens keeps its connections busy; None where nobody asks it.
    :param pace: is told how Google's answers come; None tells nobody.
    :raises WatchwordError: when a file is missing, readable by others, or isn't an account's.
    """
    if fetcher is None or not settings.trust_vendors:
        return {}
    fetcher = heard_for(fetcher, pace, settings.play)
    by_file: dict[Path, PlayDecoder] = {}
    decoders: dict[str, PlayDecoder] = {}
    for play in settings.play.values():
        file = play.service_account
        if file is None:
            continue
        if file not in by_file:
            by_file[file] = BoundedDecoder(GooglePlayDecoder(_account(file), fetcher, clock))
        decoders[play.package] = by_file[file]
    return decoders


def _account(file: Path) -> ServiceAccount:
    return read_service_account(_private(file), str(file))


def _decryption_key(file: Path) -> bytes:
    key = _base64(_private(file))
    if key is None or len(key) != KEY_BYTES:
        raise PlayKeyError(f"{file}: expected the decryption key, {KEY_BYTES} bytes in base64")
    return key


def _verification_key(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise PlayKeyError(f"{file}: can't be read: {error.strerror}") from None
    key = _base64(data)
    if key is None or load_p256(key) is None:
        raise PlayKeyError(f"{file}: expected the verification key, a key on P-256 in base64")
    return key


def _private(file: Path) -> bytes:
    data = read_private(file)
    if data is None:
        raise PlayKeyError(f"{file}: is gone")
    return data


def _base64(data: bytes) -> bytes | None:
    """Return the bytes of one line of base64, None of anything else."""
    try:
        return base64.b64decode(data.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


def trust_of(settings: Settings, entropy: Entropy, fetcher: Fetcher | None = None) -> Trust:
    """Return whom the verifier believes; makes the lab's authorities on first use.

    :param fetcher: by whom the status list is fetched; without one only snapshots are known.
    :raises WatchwordError: when a revocation list or the lab can't be read, or when lab anchors
        were to be trusted outside of the lab environment.
    """
    authorities = _lab_of(settings, entropy)
    lab = () if authorities is None else authorities.anchors()
    anchors = trusted_anchors(settings.trust_vendors, lab, settings.environment)
    return Trust(
        anchors,
        revocation=status_list_of(settings, authorities, fetcher),
        issuers=BoundedIssuerCache(),
        play_keys=_all_play_keys(settings, authorities),
    )


def _lab_of(settings: Settings, entropy: Entropy) -> "LabAuthorities | None":
    """Return the lab's authorities, None where nobody trusts them."""
    if not settings.trust_lab:
        return None
    # Imported here alone: production runs without the lab and without its packages.
    from watchword.adapters.lab_store import load_or_create  # noqa: PLC0415

    return load_or_create(settings.service.state_dir, entropy)


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


VENDOR_FAILS: Final = 500
"""From this status on an answer is the vendor's failure, and so is :data:`TOO_MANY`."""

TOO_MANY: Final = 429


class HeardFetcher:
    """Implement :class:`watchword.ports.Fetcher` around another one, and let each exchange set the pace of apps.

    An answer that says a failure of the vendor's own, or too many requests, counts as none.
    """

    def __init__(self, fetcher: Fetcher, pace: Pace, apps: Iterable[str]) -> None:
        """Keep them."""
        self._fetcher = fetcher
        self._pace = pace
        self._apps = tuple(apps)

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """See :meth:`watchword.ports.Fetcher.fetch`."""
        try:
            answer = await self._fetcher.fetch(request)
        except UnavailableError:
            self._hear(answered=False)
            raise
        self._hear(answered=answer.status < VENDOR_FAILS and answer.status != TOO_MANY)
        return answer

    def _hear(self, *, answered: bool) -> None:
        for app in self._apps:
            self._pace.hear(app, answered=answered)


def heard_for(fetcher: Fetcher, pace: Pace | None, apps: Iterable[str]) -> Fetcher:
    """Return a fetcher whose exchanges set the pace of these apps; the same one where nothing is paced."""
    return fetcher if pace is None else HeardFetcher(fetcher, pace, apps)


def receipts_of(
    settings: Settings,
    store: InstanceStore,
    trust: Trust,
    fetcher: Fetcher | None,
    clock: Clock,
    sampling: ReceiptSampling,
    pace: Pace | None = None,
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
    heard = heard_for(fetcher, pace, apps)
    return ReceiptRefresh(store, AppleReceiptServer(heard, clock, apps), trust, sampling)


def vendor_work(
    settings: Settings,
    store: InstanceStore,
    trust: Trust,
    fetcher: "HttpxFetcher | None",
    play_fetcher: "HttpxFetcher | None",
    clock: Clock,
    entropy: Entropy,
    pace: Pace | None = None,
) -> VendorWork:
    """Return what is asked of vendors beside the requests.

    :param pace: is told how Apple's answers come; None tells nobody.
    :raises WatchwordError: when a team's key can't be read.
    """
    withdrawn = trust.revocation
    known = withdrawn if isinstance(withdrawn, StatusList | LiveStatusList) else None
    shares = {name: ways.share for name, ways in settings.receipts.items()}
    sampling = ReceiptSampling(shares, entropy)
    return VendorWork(
        status_list=known if isinstance(known, LiveStatusList) else None,
        rejudgement=None if known is None else Rejudgement(store, known, trust.issuers),
        receipts=receipts_of(settings, store, trust, fetcher, clock, sampling, pace),
        receipt_apps=tuple(settings.receipts),
        sampling=sampling,
        fetcher=fetcher,
        play_fetcher=play_fetcher,
    )


def team_key_of(ways: ReceiptSettings) -> TeamKey:
    """Return the key that signs for a team at Apple.

    :raises WatchwordError: when the file is missing, readable by others, or holds something else.
    """
    data = read_private(ways.key)
    if data is None:
        raise PrivateFileError(f"{ways.key}: isn't there; it is the .p8 file of the team's key")
    return read_team_key(data, ways.team_id, ways.key_id, str(ways.key))
