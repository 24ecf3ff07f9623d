"""Run commands in processes of their own, forked from one that has imported what every start would spend its time on.

Tests that ask a deployment many things by the command line would wait for imports alone, most of a second each.  Every command
still begins in a process that nothing ran in before, with its own descriptors, directory and environment.  For tests of how
a process starts, of what is seen of it from outside, or of what it imports, this is of no use.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.machine import patience

ROOT = Path(__file__).parents[3]
MOST_BYTES = 1 << 20
"""Of what is sent to the forking process: arguments and an environment."""


@dataclass(frozen=True)
class Forks:
    """Hold the process that forks, and the way to it."""

    process: subprocess.Popen[bytes]
    way: socket.socket

    def run(
        self, arguments: list[str], cwd: Path, given: str, timeout: float, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end.

        :param timeout: seconds; after them the command is killed.
        :raises subprocess.TimeoutExpired: when it had to be killed.
        """
        with contextlib.ExitStack() as stack:
            into, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            into.write(given.encode())
            into.seek(0)
            message = json.dumps([arguments, str(cwd), dict(env)]).encode()
            socket.send_fds(self.way, [message], [each.fileno() for each in (into, out, err)])
            number = int(self.way.recv(64))
            if not select.select([self.way], [], [], timeout)[0]:
                os.kill(number, signal.SIGKILL)
                self.way.recv(64)
                raise subprocess.TimeoutExpired(arguments, timeout)
            code = int(self.way.recv(64))
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(
                arguments, code, out.read().decode(), err.read().decode()
            )

    def close(self) -> None:
        """Let the forking process end."""
        self.way.close()
        self.process.wait(20)


@cache
def forks() -> Forks:
    """Start the process that forks, once in each process of tests."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"from tests.unit.apps.forked_commands import serve; serve({theirs.fileno()})",
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    made = Forks(process, ours)
    atexit.register(made.close)
    return made


def command(
    cwd: Path, *arguments: str, given: str = "", timeout: float = 60, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run ``watchword`` with these arguments in a directory.

    :param given: what it reads on standard input.
    :param more: variables of its environment, beside those of the tests.
    """
    env = {**os.environ, **more}  # noqa: TID251 - what a child of ours would inherit.
    return forks().run(list(arguments), cwd, given, patience(timeout), env)


def serve(descriptor: int) -> None:
    """Fork for each message until the other side is gone; runs in the forking process."""
    # Imported for its sake alone: what commands spend most of their start on.
    import highspy  # noqa: F401, PLC0415

    import watchword.adapters.app_package  # noqa: PLC0415
    import watchword.apps.deployment  # noqa: PLC0415
    import watchword.apps.drill.run  # noqa: PLC0415
    import watchword.apps.plan.commands  # noqa: PLC0415
    import watchword.apps.service.client  # noqa: PLC0415
    import watchword.plan.service  # noqa: PLC0415
    import watchword.scan.api.registry  # noqa: PLC0415
    import watchword.scan.registry  # noqa: F401, PLC0415
    from watchword.apps.cli.main import run  # noqa: PLC0415

    with socket.socket(fileno=descriptor) as way:
        while True:
            message, descriptors, _flags, _from = socket.recv_fds(way, MOST_BYTES, 3)
            if not message:
                return
            number = os.fork()
            if number == 0:
                way.close()
                arguments, cwd, env = json.loads(message)
                for place, each in enumerate(descriptors):
                    os.dup2(each, place)
                    os.close(each)
                os.chdir(cwd)
                os.environ.clear()  # noqa: TID251 - as below.
                os.environ.update(env)  # noqa: TID251 - what the command is to find.
                sys.argv = ["watchword", *arguments]
                _ended(run)
            for each in descriptors:
                os.close(each)
            way.send(str(number).encode())
            _, status = os.waitpid(number, 0)
            way.send(str(os.waitstatus_to_exitcode(status)).encode())


def _ended(run: Callable[[], None]) -> None:
    """Run the command as the interpreter would: its exit code, and nothing that is still in a buffer lost."""
    code: object = 1
    try:
        run()
        code = 0
    except SystemExit as stop:
        code = stop.code
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)
