"""Bring files to a HAProxy that may run, and run it where that is asked for.

What changes often (revoked instances, keys that retire, secrets) is told to the running process over its
master socket and counts for the next request of every connection.  Whatever else changes needs another process,
which takes the listening sockets over and learns what was used before it takes a proof.
"""

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

from watchword.adapters.clock import steady_seconds
from watchword.apps.control_plane.files import write_files
from watchword.apps.control_plane.following import EngineRejectedError
from watchword.engines.haproxy import names
from watchword.engines.interface import EngineFile, EngineFileKind, Files
from watchword.engines.places import EngineOptions
from watchword.reasons import WatchwordError

_FOLLOWED: Final = (names.KEYS, names.SECRETS, names.REVOKED)
"""Maps of which a running process is told each change."""

_CHECK_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 30.0
_HANDOVER_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 5.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 60.0
_HOPELESS_SECONDS: Final = 1.0
_PAYLOAD_BYTES: Final = 24 * 1024
_MAX_SINGLY: Final = 500
"""Most lines that are taken out of a map one by one."""

_MAX_SAID: Final = 300
_MAX_ANSWER: Final = 1024 * 1024

_PER_KEY: Final = re.compile(r"^.*jwt_verify\(.*\n", re.MULTILINE)
_TAUGHT: Final = 0x0100_0000
"""Of the flags in ``show peers``: a process of this host taught all that it knew (peers-t.h of HAProxy 3.0,
``PEERS_F_DBG_RESYNC_LOCALFINISHED``)."""


class HaproxyError(WatchwordError):
    """Report a HAProxy that can't be started, ends as soon as it is, or doesn't answer."""


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

    def tell(self, commands: Sequence[str], worker: str = "@1") -> None:
        """Have a worker carry commands out.

        :raises HaproxyError: when it says anything to one of them, since it says nothing to what it did.
        """
        for command in commands:
            said = self.ask(f"{worker} {command}").strip()
            if said:
                # Keys and values of maps are in the command, and not told.
                word = " ".join(command.split(" ")[:2])
                raise HaproxyError(f"{word}: HAProxy answered: {said[:_MAX_SAID]}")


class RunningHaproxy:
    """Hold the files of one HAProxy, and the process where it is run here."""

    def __init__(
        self,
        options: EngineOptions,
        binary: Path | None,
        runs: bool,
        tell: Callable[[str], None],
        monotonic: Callable[[], float] = steady_seconds,
    ) -> None:
        """Prepare; nothing is written or started yet."""
        self._options = options
        self._directory = Path(options.directory)
        self._binary = find_haproxy(binary)
        self._runs = runs
        self._tell = tell
        self._monotonic = monotonic
        self._master = MasterSocket(self._directory / names.MASTER_SOCKET)
        self._loaded: dict[str, str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._start_at: float | None = None
        self._pause = _FIRST_PAUSE
        self._ran_well = False

    def take(self, files: Files) -> None:
        """Write the files, and make a running HAProxy work by them for the next request of every connection.

        :raises EngineRejectedError: when HAProxy doesn't take them; what it had stays on disk too.
        :raises HaproxyError: when it doesn't answer, so that another attempt is of use.
        :raises OSError: when the disk refuses.
        """
        self._check(files)
        contents = {file.name: file.content for file in files}
        before = self._loaded
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

    def keep_running(self) -> None:
        """Start HAProxy where it is to be run and doesn't.

        :raises HaproxyError: when it has never run, so that another start is no use.
        """
        if not self._runs:
            return
        now = self._monotonic()
        if self._start_at is not None:
            if now >= self._start_at:
                self._start()
            return
        if self._process is None:
            if not self._master.is_there():
                self._start()
            return
        code = self._process.poll()
        lived = now - self._started
        if code is None:
            self._ran_well = self._ran_well or lived > _HOPELESS_SECONDS
            if lived > _STEADY_SECONDS:
                self._pause = _FIRST_PAUSE
        elif not self._ran_well and lived <= _HOPELESS_SECONDS:
            raise HaproxyError(
                f"HAProxy ended with code {code} at once; its last words stand above"
            )
        else:
            self._tell(f"HAProxy ended with code {code}; it is started again in {self._pause:g} s")
            self._start_at = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def stop(self) -> None:
        """End the HAProxy that was started here."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        """Start it; what it logs goes to the end of the log that the options name."""
        command = [
            str(self._binary or "haproxy"),
            *("-W", "-S", f"{self._directory / names.MASTER_SOCKET},mode,600"),
            *("-f", str(self._directory / names.CONFIG)),
        ]
        log = self._options.access_log
        try:
            if log == "/dev/stdout":
                self._process = subprocess.Popen(command)  # noqa: S603 - the operator named it.
            else:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                with os.fdopen(os.open(log, flags, 0o600), "ab") as opened:
                    self._process = subprocess.Popen(command, stdout=opened)  # noqa: S603 - the operator named it.
        except OSError as error:
            raise HaproxyError(f"{command[0]}: can't be started: {error.strerror}") from None
        self._started = self._monotonic()
        self._start_at = None
        self._loaded = {
            path.name: path.read_text("utf-8")
            for path in self._directory.iterdir()
            if path.is_file() and not path.name.startswith(".")
        }

    def _check(self, files: Files) -> None:
        """Have HAProxy read the files before any of them is in its place.

        :raises EngineRejectedError: with its words, which name files and lines.
        """
        if self._binary is None:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self._directory) as staged:
            for file in files:
                content = _moved(file, self._options.directory, staged)
                path = Path(staged) / file.name
                path.touch(0o600)
                path.write_text(content, "utf-8")
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
        """Bring a worker's maps from one state to another, the generation last."""
        for name in _FOLLOWED:
            path = self._options.path(name)
            old, new = _lines(before.get(name, "")), _lines(after.get(name, ""))
            gone = old.keys() - new.keys()
            if len(gone) > _MAX_SINGLY:
                self._replace(path, new)
                continue
            self._master.tell([f"del map {path} {key}" for key in gone])
            changed = [key for key in old.keys() & new.keys() if old[key] != new[key]]
            self._master.tell([f"set map {path} {key} {new[key]}" for key in changed])
            self._master.tell(_adding(path, {key: new[key] for key in new.keys() - old.keys()}))
        generation = _lines(after[names.STATE])[names.GENERATION]
        # What is being verified now is filed under the generation before, and so never found again.
        turn = f"set map {self._options.path(names.STATE)} {names.GENERATION} {generation}"
        self._master.tell([turn, f"clear table {names.VERDICTS}"])

    def _replace(self, path: str, lines: Mapping[str, str]) -> None:
        """Put other lines in the place of all of a map at once."""
        said = self._master.ask(f"@1 prepare map {path}")
        version = re.search(r"created: (\d+)", said)
        if version is None:
            raise HaproxyError(f"prepare map: HAProxy answered: {said[:_MAX_SAID]}")
        self._master.tell(_adding(f"@{version[1]} {path}", lines))
        self._master.tell([f"commit map @{version[1]} {path}"])

    def _reload(
        self, files: Files, contents: Mapping[str, str], before: Mapping[str, str] | None
    ) -> None:
        """Have another process take over, and the one that ends judge nothing more."""
        if before is not None:
            # What ends is told first: the other process takes a moment to read its files.
            ended = {name: _ended(before.get(name, ""), contents[name]) for name in _FOLLOWED}
            ended[names.REVOKED] = contents[names.REVOKED]
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
                self._master.tell(closing, f"@!{pid}")
            except HaproxyError:
                # It ended meanwhile.
                continue
        known = names.READY if self._is_taught() else names.COLD
        self._master.tell([f"set map {state} {names.PROOFS} {known}"])
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
        self._tell("used proofs weren't handed over: those that were made before are refused")
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


def _lines(content: str) -> dict[str, str]:
    """Return a map's keys and values."""
    split = (line.partition(" ") for line in content.splitlines() if line)
    return {key: value for key, _, value in split}


def _ended(before: str, after: str) -> str:
    """Return what of a map stays, as it is afterwards."""
    new = _lines(after)
    return "".join(f"{key} {new[key]}\n" for key in _lines(before) if key in new)


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
