"""Speak with HAProxy's master process, and through it with its workers."""

import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from watchword.reasons import WatchwordError

_ANSWER_SECONDS: Final = 30.0
_MAX_ANSWER: Final = 1024 * 1024
_MAX_SAID: Final = 300
_PAYLOAD_BYTES: Final = 24 * 1024
_MAX_SINGLY: Final = 500
"""Most lines that are taken out of a map one by one."""

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
        self.tell([f"del map {path} {key}" for key in gone])
        self.tell([f"set map {path} {key} {new[key]}" for key in changed])
        self.tell(_adding(path, {key: new[key] for key in new.keys() - old.keys()}))

    def _replace(self, path: str, lines: Mapping[str, str]) -> None:
        """Put other lines in the place of all of a map at once."""
        said = self.ask(f"@1 prepare map {path}")
        version = re.search(r"created: (\d+)", said)
        if version is None:
            raise HaproxyError(f"prepare map: HAProxy answered: {said[:_MAX_SAID]}")
        self.tell(_adding(f"@{version[1]} {path}", lines))
        self.tell([f"commit map @{version[1]} {path}"])


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
