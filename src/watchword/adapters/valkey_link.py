"""Ask a Valkey (or Redis from 6.2 on) within bounded time, and stop asking while it doesn't answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.extras import needs
from watchword.reasons import Reason, UnavailableError, WatchwordError

with needs("valkey"):
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.credentials import CredentialProvider
    from redis.exceptions import OutOfMemoryError, RedisError

DEADLINE_SECONDS: Final = 0.1
"""How long a question may take in all."""

MAX_CONNECTIONS: Final = 16

FAILURES: Final = 5
"""After so many failures in a row nobody waits for the server any more."""

REST_SECONDS: Final = 0.5
"""After how long one question tries it again, while all others are still refused at once."""

MAX_PASSWORD_BYTES: Final = 1024
_OPTIONS: Final = {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}

_Value = TypeVar("_Value")


class ValkeyLink:
    """Hold the connections to one server; belongs to the loop that first asks."""

    def __init__(
        self,
        url: str,
        what: str,
        reason: Reason,
        *,
        full: Reason | None = None,
        password: Path | None = None,
        deadline: float = DEADLINE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is connected before the first question.

        :param url: ``redis://[user@]host:port/db``, ``rediss://`` for TLS (certificate and name are checked), or
            ``unix:///path``; options ``db``, ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``.
        :param what: names the store in errors.
        :param reason: of the error when the server can't answer; ``full`` when it has no memory left.
        :param password: a private file (mode 0600), read at each connection.
        :raises ValueError: when the URL holds a password or another option: it would be in every listing
            of processes and in the log.
        """
        parts = urlsplit(url)
        if parts.password is not None or not set(parse_qs(parts.query)) <= _OPTIONS:
            raise ValueError(
                f"expected no password in the URL of the {what} (it has a file), and no option "
                f"but {', '.join(sorted(_OPTIONS))}"
            )
        self.where = parts._replace(query="", netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._what = what
        self._reason = reason
        self._full = full or reason
        self._deadline = deadline
        self._monotonic = monotonic
        options: dict[str, Any] = {}
        if password is not None:
            options["credential_provider"] = _PasswordFile(password, parts.username, what)
        self._client = Redis.from_pool(
            ConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                socket_timeout=None,
                socket_connect_timeout=None,
                # Once more on a connection that a restarted server left dead: the scripts are safe
                # for it, or count twice at worst.
                retry=Retry(NoBackoff(), 1),
                **options,
            )
        )
        self.run = cast("Callable[..., Awaitable[Any]]", self._client.execute_command)
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._checked = False
        self._failures = 0
        self._rest_until = 0.0

    async def ask(self, question: Callable[[], Awaitable[_Value]]) -> _Value:
        """Return what a question comes to that uses :attr:`run`.

        :raises UnavailableError: when it doesn't end in time, or the server failed too often a moment ago.
        """
        if self._failures >= FAILURES:
            moment = self._monotonic()
            if moment < self._rest_until:
                raise self.unavailable("it failed a moment ago")
            # The probe: everybody else rests until it is known how it went.
            self._rest_until = moment + REST_SECONDS
        try:
            async with asyncio.timeout(self._deadline), self._places:
                if not self._checked:
                    await self._check_eviction()
                answer = await question()
        except OutOfMemoryError:
            raise UnavailableError(
                self._full, f"{self._what} {self.where}: it is at its maxmemory"
            ) from None
        except TimeoutError:
            self._note_failure()
            raise self.unavailable(f"no answer within {self._deadline} s") from None
        except (RedisError, OSError, WatchwordError) as error:
            self._note_failure()
            if isinstance(error, WatchwordError):
                raise self.unavailable(str(error)) from None
            # The text may quote what was sent.
            raise self.unavailable(f"got {type(error).__name__}") from None
        self._failures = 0
        return answer

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    def unavailable(self, what: str) -> UnavailableError:
        """Return the error of a server that can't answer now."""
        return UnavailableError(self._reason, f"{self._what} {self.where}: {what}", retry_after=1)

    async def _check_eviction(self) -> None:
        """Refuse a server that drops keys to make room: a flood could push out what is kept."""
        memory = await self._client.info("memory")
        if memory["maxmemory"] and memory["maxmemory_policy"] != "noeviction":
            raise UnavailableError(
                self._reason,
                f"maxmemory-policy is {memory['maxmemory_policy']}, expected noeviction",
            )
        self._checked = True

    def _note_failure(self) -> None:
        self._failures += 1
        self._checked = False
        self._rest_until = self._monotonic() + REST_SECONDS


class _PasswordFile(CredentialProvider):
    """Hand out a password that lies in a private file."""

    def __init__(self, path: Path, username: str | None, what: str) -> None:
        self._path = path
        self._username = username
        self._what = what

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the password, behind the user's name if there is one."""
        data = read_private(self._path, MAX_PASSWORD_BYTES)
        if data is None:
            raise PrivateFileError(f"{self._path}: expected the password of the {self._what} here")
        password = data.decode("utf-8").rstrip("\r\n")
        return (password,) if self._username is None else (self._username, password)
