"""Speak to the running service over the operator's socket."""

import re
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from watchword.adapters.unix_socket import SocketPath
from watchword.apps.service.audit import OPERATOR_HEADER
from watchword.apps.settings import load_settings
from watchword.apps.terminal.environment import operator_name
from watchword.reasons import Reason, Refusal, RefusedError, UnavailableError

NOT_RECORDED: Final = (
    "The audit trail can't be written now: it is done all the same, and will be recorded as soon as there is "
    "room. Free the disk before you stop the service."
)
"""What is said of a revocation that the service couldn't record."""

TIMEOUT_SECONDS: Final = 10.0
"""How long an answer may take; a change waits for the disk."""


class OperatorClient:
    """Ask and change what only the operator may; use it in a ``with`` block."""

    def __init__(self, socket: Path) -> None:
        """Prepare calls over a Unix socket; nothing is connected yet."""
        self._socket = socket
        try:
            self._path = SocketPath(socket)
        except OSError:
            raise self._unreachable() from None
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._path.usable)),
            base_url="http://operator",
            timeout=TIMEOUT_SECONDS,
            headers={OPERATOR_HEADER.decode(): claimed_name()},
            trust_env=False,
        )

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._http.close()
        self._path.close()

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Return the JSON object at a path.

        :raises RefusedError: with the service's reasons.
        :raises UnavailableError: ``service.unreachable`` when no service answers, or the service's own
            reason when it can't do its work.
        """
        return _object(self._call("GET", path, params=query))

    def post(self, path: str, members: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a change and return the answer's JSON object; raises as :meth:`get` does."""
        content = {} if members is None else {"json": members}
        return _object(self._call("POST", path, **content))

    def text(self, path: str) -> str:
        """Return the text at a path; raises as :meth:`get` does."""
        return self._call("GET", path).text

    def _call(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **content)
        except httpx.HTTPError:
            raise self._unreachable() from None
        if answer.is_success:
            return answer
        raise _error(answer)

    def _unreachable(self) -> UnavailableError:
        return UnavailableError(
            Reason.SERVICE_UNREACHABLE,
            f"no service answers; is `watchword up` running? looked at {self._socket}",
        )


def operator_of(config: Path) -> OperatorClient:
    """Return who speaks to the running service of a configuration."""
    return OperatorClient(load_settings(config).service.operator_socket)


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _foreign(answer)
    return value


def _error(answer: httpx.Response) -> RefusedError | UnavailableError:
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
    if answer.is_server_error:
        first = refusals[0]
        return UnavailableError(first.reason, first.detail or "the service can't do it now")
    return RefusedError(refusals)


def _foreign(answer: httpx.Response) -> UnavailableError:
    return UnavailableError(
        Reason.SERVICE_UNREACHABLE,
        f"got an answer with status {answer.status_code} that isn't the service's",
    )


def claimed_name() -> str:
    """Return the name that the person claims, for the audit trail."""
    return re.sub(r"[^A-Za-z0-9._@-]", "_", operator_name())
