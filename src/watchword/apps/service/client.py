"""Speak to the running service over the operator's socket."""

import json
import re
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

from watchword.adapters.unix_socket import SocketPath
from watchword.apps.settings.document import OPERATOR_SOCKET, running_state
from watchword.apps.terminal.environment import operator_name
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError

NOT_RECORDED: Final = (
    "The audit trail can't be written now: it is done all the same, and will be recorded as soon as there is "
    "room. Free the disk before you stop the service."
)
"""What is said of a revocation that the service couldn't record."""

OPERATOR_HEADER: Final = "watchword-operator"
"""The header in which the command line names the person; a claim, recorded as such."""

TIMEOUT_SECONDS: Final = 10.0
"""How long an answer may take; a change waits for the disk."""


_GOOD, _SERVER_ERROR = 200, 500


@dataclass(frozen=True, slots=True)
class _Answer:
    """Hold what the service answered."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class _Connection(HTTPConnection):
    """Speak HTTP over a Unix socket.

    The standard library's client: a command asks once or twice, and a richer one takes longer to import than to ask.
    """

    def __init__(self, path: Path) -> None:
        super().__init__("operator", timeout=TIMEOUT_SECONDS)
        self._socket_path = str(path)

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)


class OperatorClient:
    """Ask and change what only the operator may; use it in a ``with`` block.  Several threads may share one."""

    def __init__(self, socket: Path) -> None:
        """Prepare calls over a Unix socket; nothing is connected yet."""
        self._socket = socket
        try:
            self._path = SocketPath(socket)
        except OSError:
            raise self._unreachable() from None

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the socket's path."""
        self._path.close()

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Return the JSON object at a path.

        :raises RefusedError: with the service's reasons.
        :raises UnavailableError: ``service.unreachable`` when no service answers, or the service's own
            reason when it can't do its work.
        """
        return _object(self._call("GET", f"{path}?{urlencode(query)}" if query else path))

    def post(self, path: str, members: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a change and return the answer's JSON object; raises as :meth:`get` does."""
        return _object(self._call("POST", path, members))

    def text(self, path: str) -> str:
        """Return the text at a path; raises as :meth:`get` does."""
        return self._call("GET", path).text

    def _call(self, method: str, path: str, members: dict[str, Any] | None = None) -> _Answer:
        headers = {OPERATOR_HEADER: claimed_name()}
        body = b"" if members is None else json.dumps(members).encode()
        if members is not None:
            headers["content-type"] = "application/json"
        try:
            # A connection for each call: none grows old, and threads have nothing to share.
            with closing(_Connection(self._path.usable)) as connection:
                # Who refuses a request for its head may be gone before the body is sent, and has answered.
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, path, body, headers)
                got = connection.getresponse()
                answer = _Answer(got.status, got.read())
        except (OSError, HTTPException):
            raise self._unreachable() from None
        if _GOOD <= answer.status < _GOOD + 100:
            return answer
        raise _error(answer)

    def _unreachable(self) -> UnavailableError:
        return UnavailableError(
            Reason.SERVICE_UNREACHABLE,
            f"no service answers; is `watchword up` running? looked at {self._socket}",
        )


def operator_of(config: Path) -> OperatorClient:
    """Return who speaks to the running service of a configuration; raises as :func:`state_of` does."""
    return OperatorClient(state_of(config) / OPERATOR_SOCKET)


def state_of(config: Path) -> Path:
    """Return the state directory of a configuration's service.

    :raises ConfigurationError: when the file can't be read; with every fault of it where no service runs.
    """
    return running_state(config) or _state_of_a_whole_file(config)


def _state_of_a_whole_file(config: Path) -> Path:
    # Where nobody listens, what is wrong with the file is what to say; the models that know it take longer than a command.
    from watchword.apps.settings.load import load_settings  # noqa: PLC0415

    return load_settings(config).service.state_dir


def _object(answer: _Answer) -> dict[str, Any]:
    try:
        value = json.loads(answer.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _foreign(answer)
    return value


def _error(answer: _Answer) -> RefusedError | UnavailableError:
    """Turn a problem of the operator's application into the error that it was."""
    try:
        problem = _object(answer)
        refusals = [
            Refusal(Reason.from_code(code), str(detail))
            for code, detail in zip(problem["reasons"], problem["details"], strict=True)
        ]
    except (KeyError, TypeError, ValueError):
        refusals = []
    if not refusals:
        return _foreign(answer)
    if answer.status >= _SERVER_ERROR:
        first = refusals[0]
        return UnavailableError(first.reason, first.detail or "the service can't do it now")
    return RefusedError(refusals)


def _foreign(answer: _Answer) -> UnavailableError:
    return UnavailableError(
        Reason.SERVICE_UNREACHABLE,
        f"got an answer with status {answer.status} that isn't the service's",
    )


def claimed_name() -> str:
    """Return the name that the person claims, for the audit trail."""
    return re.sub(r"[^A-Za-z0-9._@-]", "_", operator_name())
