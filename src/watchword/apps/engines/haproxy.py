"""Bring files to a HAProxy that may run, and run it where that is asked for.

What changes often (revoked instances, keys that retire, secrets) is told to the running process over its
master socket and counts for the next request of every connection.  Whatever else changes needs another process,
which takes the listening sockets over and learns what was used before it takes a proof.
"""

import fcntl
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from watchword.adapters.system import SystemClock, steady_seconds
from watchword.apps.engines.follower import EngineRejectedError, write_files
from watchword.apps.engines.process import ProcessKeeper, require_free
from watchword.engines.haproxy import text as names
from watchword.engines.haproxy.generation import state
from watchword.engines.interface import EngineFile, EngineFileKind, EngineOptions, Files
from watchword.gate.replay import window
from watchword.reasons import WatchwordError
from watchword.tokens.interface import LEEWAY_SECONDS

_ANSWER_SECONDS: Final = 30.0
_MAX_ANSWER: Final = 1024 * 1024
_MAX_SAID: Final = 300
_PAYLOAD_BYTES: Final = 24 * 1024
_MAX_SINGLY: Final = 500
"""Most lines that are taken out of a map one by one."""

_AT_A_TIME: Final = 100
"""Lines that are taken out of a map over one connection."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9._~=-]+")
"""What stands for itself in a command; a semicolon would begin another one."""


class HaproxyError(WatchwordError):
    """Report a HAProxy that isn't there, is followed by somebody else already, or doesn't answer."""


class MasterSocket:
    """Speak with the master process and its workers (management guide of HAProxy 3.0, section 9.4)."""

    def __init__(self, path: Path) -> None:
        """Name the socket; nothing is opened yet."""
        self._path = path

    def ask(self, command: str) -> str:
        """Return the answer to one command; raise HaproxyError when there is none."""
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(_ANSWER_SECONDS)
                asked.connect(str(self._path))
                asked.sendall(command.encode() + b"\n")
                asked.shutdown(socket.SHUT_WR)
                while len(answer) < _MAX_ANSWER and (piece := asked.recv(65536)):
                    answer += piece
        except OSError as error:
            raise HaproxyError(f"{self._path}: no answer: {error.strerror or error}") from None
        return answer.decode("utf-8", "replace")

    def is_there(self) -> bool:
        """Tell whether a master answers."""
        try:
            return "worker" in self.ask("show proc")
        except HaproxyError:
            return False

    def former_workers(self) -> Sequence[str]:
        """Return the process ids of workers that end."""
        _, _, old = self.ask("show proc").partition("# old workers")
        return re.findall(r"^(\d+)\s+worker\b", old, re.MULTILINE)

    def notify(self, commands: Sequence[str], worker: str = "@1") -> None:
        """Have a worker carry commands out.

        :raises HaproxyError: when it says anything to one of them, since it says nothing to what it did.
        """
        for command in commands:
            said = self.ask(f"{worker} {command}").strip()
            if said:
                # Keys and values of maps are in the command, and not told.
                word = " ".join(command.split(" ")[:2])
                raise HaproxyError(f"{word}: HAProxy answered: {said[:_MAX_SAID]}")

    def change(self, path: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        """Bring a worker's map from one state to another.

        :param path: of the map's file, by which HAProxy knows it.
        :raises HaproxyError: when it says anything against it.
        """
        gone = old.keys() - new.keys()
        changed = [key for key in old.keys() & new.keys() if old[key] != new[key]]
        named = [*gone, *changed]
        if len(gone) > _MAX_SINGLY or not all(map(_PLAIN_KEY.fullmatch, named)):
            self._replace(path, new)
            return
        self.notify([f"del map {path} {key}" for key in gone])
        self.notify([f"set map {path} {key} {new[key]}" for key in changed])
        self.notify(_adding(path, {key: new[key] for key in new.keys() - old.keys()}))

    def remove(self, path: str, keys: Sequence[str]) -> None:
        """Take lines out of a worker's map, which may be many.

        :param keys: each of the letters, digits and hyphens of base64url.
        :raises HaproxyError: when it says anything against it.
        """
        for at in range(0, len(keys), _AT_A_TIME):
            # One command a line: behind a semicolon stands a command of the master's own.
            some = keys[at : at + _AT_A_TIME]
            said = self.ask("\n".join(f"@1 del map {path} {key}" for key in some)).strip()
            if said:
                raise HaproxyError(f"del map: HAProxy answered: {said[:_MAX_SAID]}")

    def _replace(self, path: str, lines: Mapping[str, str]) -> None:
        """Put other lines in the place of all of a map at once."""
        said = self.ask(f"@1 prepare map {path}")
        version = re.search(r"created: (\d+)", said)
        if version is None:
            raise HaproxyError(f"prepare map: HAProxy answered: {said[:_MAX_SAID]}")
        self.notify(_adding(f"@{version[1]} {path}", lines))
        self.notify([f"commit map @{version[1]} {path}"])


def _adding(where: str, lines: Mapping[str, str]) -> Sequence[str]:
    """Return the commands that add lines to a map, as many at a time as fit into one."""
    commands, part, size = [], [""], 0
    for key, value in lines.items():
        if size > _PAYLOAD_BYTES:
            commands.append(part)
            part, size = [""], 0
        part.append(f"{key} {value}")
        size += len(part[-1]) + 1
    commands.append(part)
    return [
        f"add map {where} <<{chr(10).join(each)}{chr(10)}" for each in commands if len(each) > 1
    ]


_TRUSTED: Final = (names.KEYS, names.SECRETS, names.CUTS)
_LISTED: Final = (names.REVOKED_SINCE, names.REVOKED)
_FOLLOWED: Final = (*_TRUSTED, *_LISTED)
"""Maps of which a running process is told each change."""

_IN_FORCE_AT_ONCE: Final = frozenset({*_LISTED, names.CUTS, names.STATE, "README.md"})
"""Files that say nothing on what was verified: where no other differs, no token needs to be verified again."""

_STAGED: Final = ".new-"
_STARTED: Final = ".started"
"""Says of a directory that HAProxy was started in it once, so that proofs may have been used: at its own time at the latest."""

_BACK_SECONDS: Final = 1.0
"""By how much the clock may be behind that time before it counts as set back."""

_UNSURE_SECONDS: Final = window(LEEWAY_SECONDS) + 2.0
"""After which no proof that was used before a start is good any more, by whatever clock."""

_CHECK_SECONDS: Final = 30.0
_HANDOVER_SECONDS: Final = 5.0

_PER_KEY: Final = re.compile(r"^.*jwt_verify\(.*\n", re.MULTILINE)
_TAUGHT: Final = 0x0100_0000
"""Of the flags in ``show peers``: a process of this host taught all that it knew (peers-t.h of HAProxy 3.0,
``PEERS_F_DBG_RESYNC_LOCALFINISHED``)."""


class RunningHaproxy:
    """Hold the files of one HAProxy, and the process where it is run here."""

    def __init__(
        self,
        options: EngineOptions,
        binary: Path | None,
        runs: bool,
        notify: Callable[[str], None],
        monotonic: Callable[[], float] = steady_seconds,
        timestamp: Callable[[], float] | None = None,
    ) -> None:
        """Prepare; nothing is written or started yet.

        :param timestamp: seconds since 1970; the system's clock if None.
        """
        self._options = options
        self._directory = Path(options.directory)
        self._binary = find_haproxy(binary)
        self._runs = runs
        self._notify = notify
        self._monotonic = monotonic
        self._timestamp = timestamp or SystemClock().timestamp
        self._sure_at: float | None = None
        self._master = MasterSocket(self._directory / names.MASTER_SOCKET)
        self._held: int | None = None
        self._loaded: dict[str, str] | None = None
        self._keeper = ProcessKeeper("HAProxy", self._start, notify, monotonic)

    def take(self, files: Files) -> None:
        """Write the files, and make a running HAProxy work by them for the next request of every connection.

        :raises EngineRejectedError: when HAProxy doesn't take them; what it had stays on disk too.
        :raises HaproxyError: when it doesn't answer, so that another attempt is of use.
        :raises OSError: when the disk refuses.
        """
        self._hold_alone()
        contents = {file.name: file.content for file in files}
        before = self._loaded
        if before is None or not _verifies_the_same(before, contents):
            self._check(files)
        if not self._master.is_there():
            write_files(self._directory, files)
            self._loaded = None
            return
        try:
            if before is not None and _is_told_alone(before, contents):
                self._push(before, contents)
                write_files(self._directory, files)
                self._loaded = {**before, **{name: contents[name] for name in _FOLLOWED}}
            else:
                self._reload(files, contents, before)
                self._loaded = contents
        except HaproxyError:
            self._loaded = None  # It may know half of it: the next time, it is a reload.
            raise

    def _hold_alone(self) -> None:
        """Hold the directory for as long as this process lives.

        Two who follow would each tell HAProxy what the other one doesn't know, and hand one table on twice.

        :raises HaproxyError: when another process holds it.
        """
        if self._held is not None:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(self._directory / ".followed", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
            raise HaproxyError(
                f"{self._directory}: got a directory that another process follows, expected one for each"
            ) from None
        self._held = held
        for left in self._directory.glob(f"{_STAGED}*"):
            # Whoever was killed while HAProxy read its files left secrets here.
            shutil.rmtree(left, ignore_errors=True)

    def keep_running(self) -> None:
        """Start HAProxy where it is to be run and doesn't.

        :raises EngineProcessError: when it has never run or its address is taken, so that another start is no use.
        """
        if not self._runs:
            return
        if self._keeper.is_idle:
            if self._master.is_there():
                return
            require_free(self._options.listen)
        ran_well = self._keeper.ran_well
        self._keeper.look()
        if self._keeper.ran_well and not ran_well:
            # It has read its files; whoever starts another one by them starts with an empty table.
            self._say_of_proofs(names.COLD)
        self._note_time()

    def stop(self) -> None:
        """End the HAProxy that was started here, and let go of the directory."""
        if self._held is not None:
            os.close(self._held)
            self._held = None
        self._keeper.stop()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start it; what it logs goes to the end of the log that the options name."""
        command = [
            str(self._binary or "haproxy"),
            *("-W", "-S", f"{self._directory / names.MASTER_SOCKET},mode,600"),
            *("-f", str(self._directory / names.CONFIG)),
        ]
        log, mark = self._options.access_log, self._directory / _STARTED
        # Of a directory that no HAProxy was started in no proof was used: there is nothing to wait for.
        known = names.COLD if mark.exists() else names.READY
        self._sure_at = None
        if known == names.COLD and self._timestamp() < mark.stat().st_mtime - _BACK_SECONDS:
            known, self._sure_at = names.UNSURE, self._monotonic() + _UNSURE_SECONDS
            self._notify(
                "HAProxy is started by a clock that was set back: proofs wait for "
                f"{_UNSURE_SECONDS:.0f} s, since those that were used before can't be told by their time"
            )
        self._say_of_proofs(known)
        if known == names.READY:
            mark.touch(0o600)
        self._loaded = {
            path.name: path.read_text("utf-8")
            for path in self._directory.iterdir()
            if path.is_file() and not path.name.startswith(".")
        }
        if log == "/dev/stdout":
            return subprocess.Popen(command)  # noqa: S603 - the operator named it.
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as opened:
            return subprocess.Popen(command, stdout=opened)  # noqa: S603 - the operator named it.

    def _note_time(self) -> None:
        """Note how far the clock is, which a start compares with; take proofs again where they had to wait."""
        now, mark = self._timestamp(), self._directory / _STARTED
        if self._sure_at is not None:
            if self._monotonic() < self._sure_at or not self._master.is_there():
                return
            state_map = self._options.path(names.STATE)
            self._master.notify([f"set map {state_map} {names.PROOFS} {names.COLD}"])
            self._sure_at = None
        elif mark.exists() and now <= mark.stat().st_mtime:
            # Set back while it runs, which it finds out by itself; whoever starts the next one has to know.
            return
        mark.touch(0o600)
        os.utime(mark, (now, now))

    def _say_of_proofs(self, known: str) -> None:
        """Write down what a process that starts is to know of its table of used proofs."""
        path = self._directory / names.STATE
        generation = _lines(path.read_text("utf-8"))[names.GENERATION]
        write_files(
            self._directory,
            [EngineFile(path.name, EngineFileKind.PART, state(int(generation), known))],
        )

    def _check(self, files: Files) -> None:
        """Have HAProxy read the files before any of them is in its place.

        :raises EngineRejectedError: with its words, which name files and lines.
        """
        if self._binary is None:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_STAGED, dir=self._directory) as staged:
            for file in files:
                path = Path(staged) / file.name
                path.touch(0o600)
                path.write_text(_moved(file, self._options.directory, staged), "utf-8")
            command = [str(self._binary), "-c", "-f", str(Path(staged) / names.CONFIG)]
            try:
                done = subprocess.run(  # noqa: S603 - the operator named it.
                    command, capture_output=True, timeout=_CHECK_SECONDS, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise EngineRejectedError(f"{self._binary}: can't check: {error}") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").replace(f"{staged}/", "")
            alerts = [line for line in said.splitlines() if "[ALERT]" in line] or [said]
            raise EngineRejectedError(
                f"HAProxy doesn't take the files and keeps what it has: {alerts[0][:_MAX_SAID]}"
            )

    def _push(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Bring a worker's maps from one state to another, the generation last.

        Where only lists of revoked instances and cuts differ it stays: they are looked at in each request.
        """
        for name in _TRUSTED:
            old, new = _lines(before.get(name, "")), _lines(after.get(name, ""))
            self._master.change(self._options.path(name), old, new)
        self._revoke(before, after)
        if _verifies_the_same(before, after):
            return
        generation = _lines(after[names.STATE])[names.GENERATION]
        # What is being verified now is filed under the generation before, and so never found again.
        turn = f"set map {self._options.path(names.STATE)} {names.GENERATION} {generation}"
        self._master.notify([turn, f"clear table {names.VERDICTS}"])

    def _revoke(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Bring a worker's lists of revoked instances to another state, so that none is missing from both meanwhile.

        What is new comes first, then the key under which is looked, and only then goes what isn't listed any more.
        """
        paths = [self._options.path(name) for name in _LISTED]
        old = [_lines(before.get(name, "")) for name in _LISTED]
        new = [_lines(after.get(name, "")) for name in _LISTED]
        key = new[0].pop(names.DIGEST_KEY)
        known = old[0].pop(names.DIGEST_KEY, None)
        for path, had, has in zip(paths, old, new, strict=True):
            self._master.change(path, {each: had[each] for each in had.keys() & has.keys()}, has)
        if key != known:
            verb = "add" if known is None else "set"
            self._master.notify([f"{verb} map {paths[0]} {names.DIGEST_KEY} {key}"])
        for path, had, has in zip(paths, old, new, strict=True):
            self._master.remove(path, sorted(had.keys() - has.keys()))

    def _reload(
        self, files: Files, contents: Mapping[str, str], before: Mapping[str, str] | None
    ) -> None:
        """Have another process take over, and the one that ends judge nothing more."""
        if before is not None:
            # What ends is told first: the other process takes a moment to read its files.
            ended = {name: _ended(before.get(name, ""), contents[name]) for name in _FOLLOWED}
            # Whoever is revoked or cut now is so there too.
            ended |= {name: contents[name] for name in (names.CUTS, *_LISTED)}
            ended[names.STATE] = before[names.STATE]
            self._push(before, ended)
        kept = _kept(self._directory, files)
        syncing = contents[names.STATE].replace(names.COLD, names.SYNCING)
        write_files(self._directory, _with(files, names.STATE, syncing))
        said = self._master.ask("reload")
        if not said.startswith("Success=1"):
            write_files(self._directory, kept)
            raise EngineRejectedError(f"the reload failed, what runs stays: {said[:_MAX_SAID]}")
        state = self._options.path(names.STATE)
        for pid in self._master.former_workers():
            closing = [f"set map {state} {names.GENERATION} {names.CLOSED}"]
            try:
                self._master.notify(closing, f"@!{pid}")
            except HaproxyError:
                # It ended meanwhile.
                continue
        known = names.READY if self._is_taught() else names.COLD
        if self._sure_at is not None:
            known = names.UNSURE
        self._master.notify([f"set map {state} {names.PROOFS} {known}"])
        # Whoever starts HAProxy by these files starts with an empty table.
        write_files(self._directory, files)
        _forget_keys(self._directory, files)

    def _is_taught(self) -> bool:
        """Wait until the new process knows what the one before it knew; tell whether it does."""
        ends = self._monotonic() + _HANDOVER_SECONDS
        while self._monotonic() < ends:
            found = re.search(r"\bflags=0x([0-9a-f]+)", self._master.ask("@1 show peers"))
            if found is not None and int(found[1], 16) & _TAUGHT:
                return True
            time.sleep(0.01)
        self._notify("used proofs weren't handed over: those that were made before are refused")
        return False


def find_haproxy(named: Path | None) -> Path | None:
    """Return the binary: the named one, or the one on the path; None where there is none.

    :raises HaproxyError: when the named one isn't there.
    """
    if named is not None:
        if not named.is_file():
            raise HaproxyError(f"{named}: isn't there; name HAProxy with --binary")
        return named
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    return None if found is None else Path(found)


def _moved(file: EngineFile, directory: str, staged: str) -> str:
    """Return a file's content with the paths of the staged files, but for sockets, which nobody opens."""
    if file.name != names.CONFIG:
        return file.content
    moved = file.content.replace(f"{directory}/", f"{staged}/")
    return moved.replace(f"{staged}/{names.PEERS_SOCKET}", f"{directory}/{names.PEERS_SOCKET}")


def _is_told_alone(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Tell whether a worker that loaded ``before`` needs nothing but commands to work by ``after``."""
    told = {*_FOLLOWED, names.STATE, names.CONFIG, "README.md"}
    files = {name for name in (*before, *after) if name.endswith((".map", ".lst", ".lua"))}
    same = all(before.get(name) == after.get(name) for name in files - told)
    keys = {name for name in after if name.startswith("key-")}
    held = all(before.get(name) == after[name] for name in keys)
    rules = _PER_KEY.sub("", before.get(names.CONFIG, ""))
    return same and held and rules == _PER_KEY.sub("", after[names.CONFIG])


def _verifies_the_same(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Tell whether every token that was verified before would be again."""
    return all(before.get(name) == after[name] for name in after.keys() - _IN_FORCE_AT_ONCE)


def _lines(content: str) -> dict[str, str]:
    """Return a map's keys and values."""
    split = (line.partition(" ") for line in content.splitlines() if line)
    return {key: value for key, _, value in split}


def _ended(before: str, after: str) -> str:
    """Return what of a map stays, as it is afterwards."""
    new = _lines(after)
    return "".join(f"{key} {new[key]}\n" for key in _lines(before) if key in new)


def _with(files: Files, name: str, content: str) -> Files:
    """Return files, one of them with another content."""
    return [
        EngineFile(name, EngineFileKind.PART, content) if file.name == name else file
        for file in files
    ]


def _kept(directory: Path, files: Files) -> Files:
    """Return what is in the place of files now, to be put back."""
    return [
        EngineFile(file.name, file.kind, (directory / file.name).read_text("utf-8"))
        for file in files
        if (directory / file.name).is_file()
    ]


def _forget_keys(directory: Path, files: Files) -> None:
    """Remove the files of keys that no rule names any more."""
    named = {file.name for file in files}
    for path in directory.glob("key-*.pem"):
        if path.name not in named:
            path.unlink(missing_ok=True)
