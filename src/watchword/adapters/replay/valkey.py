"""Keep used proofs in a Valkey (or Redis from 6.2 on), for gates on several hosts."""

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qs, quote, urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError

from watchword.adapters.keyring.private_file import PrivateFileError, read_private
from watchword.adapters.replay import valkey_scripts
from watchword.gate.interface import ReplayClaim
from watchword.gate.replay import window
from watchword.reasons import Reason, UnavailableError, WatchwordError
from watchword.tokens.interface import LEEWAY_SECONDS

DEADLINE_SECONDS: Final = 0.1
"""How long a claim may take in all before nobody passes."""

MAX_CONNECTIONS: Final = 16

FAILURES: Final = 5
"""After so many failures in a row nobody waits for the server any more."""

REST_SECONDS: Final = 0.5
"""After how long one claim tries it again, while all others are still refused at once."""

MAX_PASSWORD_BYTES: Final = 1024
_OPTIONS: Final = {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_CLAIM_SHA: Final = hashlib.sha1(  # Valkey names scripts by it.
    valkey_scripts.CLAIM.encode(), usedforsecurity=False
).hexdigest()


class ValkeyReplayStore:
    """Implement :class:`watchword.gate.interface.ReplayStore`; belongs to the loop that first claims.

    One claim is one script and one round trip.  The server's clock alone decides what is stale, so that no
    clock of a gate opens anything; where they differ by more than the leeway, nobody passes.

    A server that may have forgotten (new, restarted, flushed, failed over) refuses until every proof that
    it may have seen is stale: clients with the right time pass again after ``leeway``.
    """

    def __init__(
        self,
        url: str,
        audience: str,
        *,
        password: Path | None = None,
        leeway: int = LEEWAY_SECONDS,
        deadline: float = DEADLINE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is connected before the first claim.

        :param url: ``redis://[user@]host:port/db``, ``rediss://`` for TLS (certificate and name are checked), or
            ``unix:///path``; options ``db``, ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``.
        :param audience: of the API; each has its own keys.
        :param password: a private file (mode 0600), read at each connection.
        :param leeway: the gates', in seconds; the same for all who share the store.
        :raises ValueError: when the URL holds a password or another option: it would be in every listing
            of processes and in the log.
        """
        parts = urlsplit(url)
        if parts.password is not None or not set(parse_qs(parts.query)) <= _OPTIONS:
            raise ValueError(
                f"expected no password in the URL of the replay store (it has a file), and no option "
                f"but {', '.join(sorted(_OPTIONS))}"
            )
        self._where = parts._replace(query="", netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._window = window(leeway)
        self._deadline = deadline
        self._monotonic = monotonic
        # In braces: marker and claims lie on one node of a cluster.
        prefix = f"watchword:replay:{{{quote(audience, safe='')}}}:"
        self._marker = prefix + "marker"
        self._prefix = prefix.encode("ascii")
        options: dict[str, Any] = {}
        if password is not None:
            options["credential_provider"] = _PasswordFile(password, parts.username)
        self._client = Redis.from_pool(
            ConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                socket_timeout=None,
                socket_connect_timeout=None,
                # Once more on a connection that a restarted server left dead: safe, see the script.
                retry=Retry(NoBackoff(), 1),
                **options,
            )
        )
        self._run = cast("Callable[..., Awaitable[Any]]", self._client.execute_command)
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._checked = False
        self._failures = 0
        self._rest_until = 0.0

    def __repr__(self) -> str:
        """Name the server, without user and password."""
        return f"ValkeyReplayStore({self._where!r})"

    async def claim(self, claim: ReplayClaim, now: float) -> bool:
        """See :meth:`watchword.gate.interface.ReplayStore.claim`."""
        tag, until = claim
        if not now < until <= now + self._window:
            return False
        if self._failures >= FAILURES:
            moment = self._monotonic()
            if moment < self._rest_until:
                raise self._unavailable("it failed a moment ago")
            # The probe: everybody else rests until it is known how it went.
            self._rest_until = moment + REST_SECONDS
        try:
            async with asyncio.timeout(self._deadline), self._places:
                answer = await self._ask(tag, int(until))
        except OutOfMemoryError:
            raise UnavailableError(
                Reason.GATE_REPLAY_FULL, f"replay store {self._where}: it is at its maxmemory"
            ) from None
        except TimeoutError:
            self._note_failure()
            raise self._unavailable(f"no answer within {self._deadline} s") from None
        except (RedisError, OSError, WatchwordError) as error:
            self._note_failure()
            if isinstance(error, WatchwordError):
                raise self._unavailable(str(error)) from None
            # The text may quote what was sent.
            raise self._unavailable(f"got {type(error).__name__}") from None
        self._failures = 0
        if answer == valkey_scripts.FORGETFUL:
            raise self._unavailable(
                f"it was started or emptied less than {self._window} s ago, and can't tell yet which "
                "proofs were used"
            )
        if answer == valkey_scripts.CLOCKS_DIFFER:
            raise self._unavailable("the clocks of gate and server differ by more than the leeway")
        return answer == valkey_scripts.FIRST

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _ask(self, tag: bytes, until: int) -> int:
        if not self._checked:
            await self._check_eviction()
        attempt = os.urandom(8)
        for _ in range(2):
            try:
                answer: int = await self._run(
                    "EVALSHA",
                    _CLAIM_SHA,
                    2,
                    self._marker,
                    self._prefix + tag,
                    until,
                    self._window,
                    attempt,
                )
            except NoScriptError:
                await self._run("EVAL", valkey_scripts.OPEN, 1, self._marker, self._window)
                await self._run("SCRIPT LOAD", valkey_scripts.CLAIM)
            else:
                return answer
        return valkey_scripts.FORGETFUL

    async def _check_eviction(self) -> None:
        """Refuse a server that drops keys to make room: a flood could push used proofs out.

        :raises UnavailableError: ``gate.replay_unavailable``.
        """
        memory = await self._client.info("memory")
        if memory["maxmemory"] and memory["maxmemory_policy"] != "noeviction":
            raise UnavailableError(
                Reason.GATE_REPLAY_UNAVAILABLE,
                f"maxmemory-policy is {memory['maxmemory_policy']}, expected noeviction",
            )
        self._checked = True

    def _note_failure(self) -> None:
        self._failures += 1
        self._checked = False
        self._rest_until = self._monotonic() + REST_SECONDS

    def _unavailable(self, what: str) -> UnavailableError:
        return UnavailableError(
            Reason.GATE_REPLAY_UNAVAILABLE, f"replay store {self._where}: {what}", retry_after=1
        )


class _PasswordFile(CredentialProvider):
    """Hand out a password that lies in a private file."""

    def __init__(self, path: Path, username: str | None) -> None:
        self._path = path
        self._username = username

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the password, behind the user's name if there is one."""
        data = read_private(self._path, MAX_PASSWORD_BYTES)
        if data is None:
            raise PrivateFileError(f"{self._path}: expected the password of the replay store here")
        password = data.decode("utf-8").rstrip("\r\n")
        return (password,) if self._username is None else (self._username, password)
