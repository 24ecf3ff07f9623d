"""Say what a service starts with, and what may come into force while it runs: the file as it was applied, and the file as it stands.

Until somebody applies a file, a start takes the file as it stands.  From then on it takes what was applied last: a rollback
outlives a restart, and a file that somebody is still writing never comes into force by accident.

Nodes that share sealed rows share what was applied.  Each takes what it has of its own from its own file.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from watchword.adapters.applied_document import AppliedDocument
from watchword.adapters.applied_files import (
    AppliedFile,
    AppliedFileError,
    AppliedFiles,
    AppliedKeeper,
)
from watchword.adapters.documents import KeptDocument
from watchword.adapters.keyring.private_file import PrivateFileError
from watchword.adapters.sealed_rows import CONFIGURATION, SealedRows
from watchword.apps.settings.changes import Change, When, changes_between, with_held_back
from watchword.apps.settings.document import (
    MAX_BYTES,
    STATE,
    Document,
    mapping_at,
    parse_document,
    read_bytes,
)
from watchword.apps.settings.faults import ConfigurationError, Fault, join
from watchword.apps.settings.load import WholeFile, whole_of
from watchword.apps.settings.schema import Settings
from watchword.apps.settings.sections import Configuration
from watchword.apps.settings.shared import configuration_digest, with_own
from watchword.gate.interface import GatePolicy
from watchword.reasons import Reason, RefusedError, WatchwordError

if TYPE_CHECKING:
    from watchword.engines.alone import Kept

MISSING: Final = "a file; `watchword init` writes one"
FIRST_BY: Final = "watchword up"
FIRST_BECAUSE: Final = "what the service ran with before the first file was applied"
MOST_TOLD: Final = 20
"""Most settings that a refusal names."""


@dataclass(frozen=True, slots=True)
class StartingFile:
    """Hold what a service starts with.

    :param file: the file that a person edits, absolute.
    :param text: the bytes that are in force, which may be others than the file's.
    :param applied: what is known of them; None where nothing was ever applied.
    """

    file: Path
    text: bytes
    whole: WholeFile
    files: AppliedKeeper
    applied: AppliedFile | None

    @property
    def number(self) -> int:
        """Return the number of the file in force, 0 where none was applied."""
        return 0 if self.applied is None else self.applied.number

    @property
    def differs(self) -> bool:
        """Tell whether the file has another text than what is in force, or can't be read.

        Of a file that nodes share, whether it says something else to all of them.
        """
        try:
            text = read_bytes(self.file, "a file", MAX_BYTES)
            if not self.files.is_shared:
                return text != self.text
            found = Configuration(self.file, parse_document(self.file, text))
        except ConfigurationError:
            return True
        return configuration_digest(found.data) != configuration_digest(self.whole.data)

    def with_rows(self, rows: SealedRows | None) -> "StartingFile":
        """Return the same, over the rows that a running service follows."""
        if rows is None or not self.files.is_shared:
            return self
        document = rows.document(CONFIGURATION)
        return replace(self, files=AppliedDocument(lambda: nullcontext(document)))


def starting_file(config: Path) -> StartingFile:
    """Return what a service of this file starts with.

    :raises ConfigurationError: with every fault of the file, where nothing was applied.
    :raises AppliedFileError: when what was applied can't be trusted, or has faults.
    """
    file, text, read = config.resolve(), b"", None
    fault: ConfigurationError | None = None
    try:
        text = read_bytes(config, MISSING, MAX_BYTES)
        read = Configuration(config, parse_document(config, text))
    except ConfigurationError as error:
        fault = error
    if read is not None and mapping_at(read.data, "service", "postgres").get("master_key"):
        return _shared_start(file, text, read)
    # Of the file nothing else is looked at where something was applied: it may be half-written.
    files = files_of(file.parent / STATE if read is None else read.state)
    kept = files.all()
    if not kept:
        if read is None:
            assert fault is not None  # It was read otherwise.
            raise fault
        return StartingFile(file, text, whole_of(read), files, None)
    text = files.text(kept[-1])
    try:
        whole = read_whole(file, text)
    except ConfigurationError as error:
        # Most likely another version reads it, which knows other settings.
        told = ConfigurationError(files.path(kept[-1].number), list(error.faults))
        raise AppliedFileError(
            f"{told}\nIt was applied and is in force: mend {file.name} and run `watchword config apply`"
        ) from None
    if read is not None and whole.settings.service.state_dir.resolve() != read.state:
        # Each relative path in it would lead elsewhere.
        raise AppliedFileError(
            f"{files.path(kept[-1].number)}: was applied for a file in another directory than {file}; put the file where it "
            "was, or run `watchword config apply`"
        )
    return StartingFile(file, text, whole, files, kept[-1])


def _shared_start(file: Path, text: bytes, read: Configuration) -> StartingFile:
    """Return what a node starts with that shares what was applied.

    :raises ConfigurationError: with every fault of its own file, which says where the database is.
    """
    own = whole_of(read)
    local, shared = files_of(read.state), AppliedDocument(partial(_document, own.settings))
    kept = shared.all()
    if not kept:
        _require_same_as(local, file, read.data)
        return StartingFile(file, text, own, shared, None)
    local.retire()
    text = shared.text(kept[-1])
    try:
        whole = read_shared(file, own.data, text)
    except ConfigurationError as error:
        told = "; ".join(map(str, list(error.faults)[:MOST_TOLD]))
        raise PrivateFileError(
            f"{shared.place(kept[-1].number)}: is in force, and this node can't go by it: {told}. If another version applied it, "
            "run that one, or roll back there"
        ) from None
    return StartingFile(file, text, whole, shared, kept[-1])


def _require_same_as(local: AppliedFiles, file: Path, data: Mapping[str, Any]) -> None:
    """Refuse to give up in silence what was applied before nodes shared it: it may be stricter than the file.

    :raises PrivateFileError: where the file says something else.
    """
    kept = local.all()
    if kept:
        before = parse_document(file, local.text(kept[-1])).data
        if configuration_digest(before) != configuration_digest(data):
            raise PrivateFileError(
                f"{local.place(kept[-1].number)}: was applied here before, and {file.name} says something else: make the file "
                "say the same, or remove the directory to start with the file"
            )


@contextmanager
def _document(settings: Settings) -> Iterator[KeptDocument]:
    """Open what nodes share, where no service runs that has it open."""
    # The store and the keys of rows stand behind it, and are asked for only where there are some.
    from watchword.adapters.system import SystemEntropy  # noqa: PLC0415
    from watchword.apps.compose.documents import sealed_rows  # noqa: PLC0415
    from watchword.apps.compose.secrets import openbao_of  # noqa: PLC0415
    from watchword.apps.compose.store import open_store  # noqa: PLC0415

    store = open_store(settings.service)
    try:
        rows = sealed_rows(settings, store, SystemEntropy(), openbao_of(settings))
        yield rows.document(CONFIGURATION)
    finally:
        store.close()


def running_nodes(settings: Settings) -> list[str]:
    """Return the names of the nodes that run on the database of the settings.

    :raises UnavailableError: ``store.unavailable`` when it can't be asked.
    """
    address = settings.service.direct_address
    if address is None:
        return []
    from watchword.adapters.postgres.node import look_at_nodes  # noqa: PLC0415

    return [each.name for each in look_at_nodes(address).nodes if each.is_live]


def apply_anew(
    config: Path, require: Callable[[Settings], object], note: AppliedFile
) -> AppliedFile:
    """Put the file in force for the next start where what was applied can't be trusted, so that it is compared with nothing.

    :param note: what is to be known of it.
    :raises WatchwordError: when the file has faults, or one that it names can't be used.
    """
    file = config.resolve()
    text = read_bytes(config, MISSING, MAX_BYTES)
    settings = read_whole(file, text).settings
    require(settings)
    files = files_of(settings.service.state_dir)
    try:
        kept = files.all()
    except AppliedFileError:
        kept = []
    return files.add(text, note, kept[-1].number if kept else 0)


def files_of(state: Path) -> AppliedFiles:
    """Return what was applied, by the state directory."""
    return AppliedFiles(state / "configuration", state / "configuration-number")


def read_whole(file: Path, text: bytes) -> WholeFile:
    """Return what a text says, read as if it stood in a file.

    :raises ConfigurationError: with every fault of it.
    """
    return whole_of(Configuration(file, parse_document(file, text)))


def read_shared(file: Path, own: Mapping[str, Any], text: bytes) -> WholeFile:
    """Return what a text of another node says to this one.

    :param own: the plain values of this node's file.
    :raises ConfigurationError: with every fault of it.
    """
    document = parse_document(file, text)
    if isinstance(document.data, dict):
        document = replace(document, data=with_own(own, document.data))
    return whole_of(Configuration(file, document))


@dataclass(frozen=True, slots=True)
class Proposal:
    """Hold a file that may come into force.

    :param live: what can run without a restart; None where the file's other changes can't stand without one.
    :param changes: against what was applied last.
    :param waiting: what needs a restart, against what runs.
    :param restores: whose text it is, None for the file as it stands.
    :param kept: engines that keep the routes of before, since they can't carry out the new ones by themselves.
    """

    text: bytes
    whole: WholeFile
    live: WholeFile | None
    changes: Sequence[Change]
    waiting: Sequence[Change]
    is_new: bool
    restores: AppliedFile | None = None
    kept: Sequence["Kept"] = ()

    @property
    def sha256(self) -> str:
        """Return the hash of its text, in hexadecimal."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def widening(self) -> Sequence[Change]:
        """Return what lets more in."""
        return [each for each in self.changes if each.widens]

    def require_allowed(self, *, widen: bool) -> None:
        """Return if it may come into force.

        :param widen: whether an admin said so.
        :raises RefusedError: ``configuration.widens``, with what does.
        """
        wider = self.widening
        if wider and not widen:
            told = "; ".join(str(each) for each in wider[:MOST_TOLD])
            rest = len(wider) - MOST_TOLD
            told += f"; and {rest} more" if rest > 0 else ""
            raise RefusedError.because(
                Reason.CONFIGURATION_WIDENS,
                f"{told}. If that is wanted: --widen --because TEXT",
            )

    def as_dict(self) -> dict[str, Any]:
        """Return it for ``--json`` and for the operator's socket."""
        return {
            "sha256": self.sha256,
            "is_new": self.is_new,
            "changes": [each.as_dict() for each in self.changes],
            "waiting": [join(each.path) for each in self.waiting],
            "all_waits": self.live is None,
            "kept_by": [each._asdict() for each in self.kept],
        }


Usable = Callable[[Settings], Sequence[GatePolicy]]
"""Read each file that settings name, and return what gates would be told; raise for a file that can't be used."""


class ConfigurationDesk:
    """Compare files with what is in force, and put one in force; for a running service or, without one, for the next start."""

    def __init__(self, start: StartingFile, require: Usable, *, runs: bool) -> None:
        """Begin with what the service starts with.

        :param require: reads each file that the settings name, raises for one that can't be used, and returns what gates are told.
        :param runs: whether a service runs with it.
        """
        self.file = start.file
        self.applied = start.applied
        self.whole = start.whole
        self.running = start.whole if runs else None
        self.digest = configuration_digest(start.whole.data)
        """Of what runs, as nodes compare it."""
        self._text = start.text
        self._files = start.files
        self._require = require
        self._refused: tuple[int, str] | None = None

    @property
    def number(self) -> int:
        """Return the number of what was applied last, 0 for the file that the service started with."""
        return 0 if self.applied is None else self.applied.number

    @property
    def sha256(self) -> str:
        """Return the hash of what was applied last."""
        return hashlib.sha256(self._text).hexdigest()

    @property
    def waiting(self) -> Sequence[Change]:
        """Return what was applied and needs a restart."""
        return [] if self.running is None else changes_between(self.running, self.whole)

    @property
    def is_shared(self) -> bool:
        """Tell whether other nodes go by what is applied here."""
        return self._files.is_shared

    @property
    def lags(self) -> bool:
        """Tell whether another node has applied something that this one doesn't go by yet, as of the last look."""
        return self._news() is not None

    @property
    def is_behind(self) -> bool:
        """Tell whether this node is about to go by something else; not where it can't."""
        return self._news() not in {None, self._refused}

    def _news(self) -> tuple[int, str] | None:
        if not self.is_shared:
            return None
        try:
            newest = self._files.newest()
        except PrivateFileError:
            # The rows tell by themselves what is wrong with one of them.
            return None
        return None if newest in {(0, ""), (self.number, self.sha256)} else newest

    def kept(self) -> Sequence[AppliedFile]:
        """Return what was applied, the newest last; raises as :meth:`AppliedKeeper.all` does."""
        return self._files.all()

    def propose(self) -> Proposal:
        """Return the file as it stands.

        :raises ConfigurationError: with every fault of it.
        :raises WatchwordError: when a file that it names can't be used.
        """
        text = read_bytes(self.file, MISSING, MAX_BYTES)
        return self._proposed(text, None)

    def propose_back(self) -> Proposal:
        """Return what was in force before what is in force now; after a rollback, what was in force before that.

        :raises RefusedError: ``configuration.faulty`` where nothing was.
        :raises ConfigurationError: when it has become faulty.
        :raises WatchwordError: when it can't be trusted, or a file that it names can't be used.
        """
        parent = None if self.applied is None else self.applied.parent
        found = next((each for each in self.kept() if each.number == parent), None)
        if found is None:
            raise RefusedError.because(
                Reason.CONFIGURATION_FAULTY,
                f"nothing that was applied before configuration {self.number} is kept",
            )
        return self._proposed(self._files.text(found), found)

    def propose_theirs(self) -> tuple[AppliedFile, Proposal]:
        """Return what another node has applied.

        :raises ConfigurationError: when this node can't go by it.
        :raises WatchwordError: when it can't be trusted, or a file that it names can't be used.
        """
        newest = self.kept()[-1]
        return newest, self._proposed(self._files.text(newest), newest)

    def refuse_theirs(self) -> None:
        """Note that this node can't go by what another one has applied; what is told to gates no longer waits for it."""
        self._refused = self._news()

    def go_by_theirs(self, file: AppliedFile, proposal: Proposal) -> None:
        """Take over what another node has applied, once the service goes by it."""
        self.applied, self.whole, self._text = file, proposal.whole, proposal.text
        self._refused = None

    def run(self, whole: WholeFile) -> None:
        """Note what the service goes by from now on."""
        self.running, self.digest = whole, configuration_digest(whole.data)

    def _proposed(self, text: bytes, restores: AppliedFile | None) -> Proposal:
        # What was applied may be of another node, which has its own places in it.
        theirs = restores is not None and self.is_shared
        whole = (
            read_shared(self.file, self.whole.data, text) if theirs else read_whole(self.file, text)
        )
        if whole.settings.service.state_dir != self.whole.settings.service.state_dir:
            fault = Fault(
                "service.state",
                None,
                str(whole.settings.service.state_dir),
                f"{self.whole.settings.service.state_dir}, in which applied files are kept: to move it, stop the service "
                "and move the directory",
            )
            raise ConfigurationError(self.file, [fault])
        policies = self._require(whole.settings)
        waiting, live = self._split(whole)
        changes = changes_between(self.whole, whole)
        differs = bool(changes) if self.is_shared else text != self._text
        return Proposal(
            text=text,
            whole=whole,
            live=live,
            changes=changes,
            waiting=waiting,
            is_new=differs or self.applied is None,
            restores=restores,
            kept=self._kept_by(policies) if changes else (),
        )

    def _kept_by(self, after: Sequence[GatePolicy]) -> Sequence["Kept"]:
        # The engines stand behind it, which no start waits for.
        from watchword.engines.alone import kept_by  # noqa: PLC0415

        try:
            return tuple(kept_by(self._require(self.whole.settings), after))
        except WatchwordError:
            # A file that the one in force names is there no more: there is nothing to compare with.
            return ()

    def _split(self, whole: WholeFile) -> tuple[Sequence[Change], WholeFile | None]:
        """Return what needs a restart, and what can run without one; None where the one can't stand without the other."""
        if self.running is None:
            return [], None
        against_running = changes_between(self.running, whole)
        waiting = [each for each in against_running if each.when is When.RESTART]
        if self.running.settings.service.postgres_address is not None and not self.is_shared:
            # Other nodes would go by another file, and count this one as one that differs.
            return [each for each in against_running if each.when is not When.COMMANDS], None
        if not waiting:
            return waiting, whole
        data = with_held_back(self.running.data, whole.data, waiting)
        try:
            live = whole_of(Configuration(self.file, Document(data)))
            self._require(live.settings)
        except ConfigurationError:
            return [each for each in against_running if each.when is not When.COMMANDS], None
        return waiting, live

    def commit(
        self, proposal: Proposal, base: int, at: int, by: str, because: str, *, recorded: bool
    ) -> AppliedFile:
        """Put a proposal in force for the next start, and return what is known of it once that is durable.

        :param base: the number that has to be in force.
        :param recorded: whether the audit trail knows of it already.
        :raises RefusedError: ``configuration.conflict`` when another one came first.
        :raises PrivateFileError: when the disk refuses; nothing has changed then.
        """
        if base != self.number:
            raise RefusedError.because(
                Reason.CONFIGURATION_CONFLICT,
                f"got a change of configuration {base}, expected one of {self.number}: another one came first",
            )
        if self.applied is None:
            first = AppliedFile(0, "", at, FIRST_BY, FIRST_BECAUSE, widened=False)
            self.applied = self._files.add(self._text, first, 0)
        back = proposal.restores
        wanted = AppliedFile(
            0,
            "",
            at,
            by,
            because,
            widened=bool(proposal.widening),
            parent=self.number if back is None else back.parent,
            restores=None if back is None else back.number,
            recorded=recorded,
        )
        self.applied = self._files.add(proposal.text, wanted, self.number)
        self.whole, self._text = proposal.whole, proposal.text
        return self.applied

    def note_recorded(self, number: int) -> None:
        """Note that the audit trail knows of a file."""
        self._files.note_recorded(number)
