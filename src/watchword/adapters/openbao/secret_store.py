"""Keep secrets in OpenBao's KV store of version 2: one document for each, changed by check-and-set.

See https://openbao.org/api-docs/secret/kv/kv-v2/ for what the store promises.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from watchword.adapters.openbao import answers
from watchword.adapters.openbao.connection import WORKERS, Client, OpenBao
from watchword.adapters.openbao.documents import DocumentError, from_document, to_document
from watchword.adapters.openbao.faults import AnswerError, UnexpectedResponseError
from watchword.broker.interface import MAX_SECRETS, SecretRecord, StoredSecret
from watchword.extras import needs
from watchword.reasons import Reason, RefusedError, UnavailableError

with needs("openbao"):
    import structlog

READ_ALL_SECONDS: Final = 30.0
"""Longest that reading every secret may take, where each single answer comes in time but late."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_CAS: Final = "check-and-set"
"""In what the store says when another wrote meanwhile, since the first release of version 2."""

_FOREIGN: Final = {"metadata": {"version": 1}, "data": "not ours"}

_log = structlog.get_logger()


class OpenBaoSecretStore:
    """Implement :class:`watchword.broker.interface.SecretStore`."""

    def __init__(self, bao: OpenBao) -> None:
        """Keep the connection, which this store closes; nothing is asked yet."""
        self._bao = bao
        self._mount = bao.place.mount.strip("/")
        self._path = bao.place.path.strip("/")
        self._strange: frozenset[str] = frozenset()
        self._tells_versions = True
        self._known: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {}

    async def read(self, name: str) -> StoredSecret | None:
        """See :meth:`watchword.broker.interface.SecretStore.read`.

        A document that was deleted in OpenBao, or isn't ours, is a fault and no secret: nobody should find out
        by a rotation that starts again at version 1.
        """
        answer = await self._bao.ask(lambda client: self._fetch(client, name))
        if answer is None:
            return None
        try:
            return _stored(answer, name)
        except DocumentError as error:
            raise self._bao.unavailable(f"{self._where(name)}: {error}") from None

    async def read_all(self) -> Sequence[StoredSecret]:
        """See :meth:`watchword.broker.interface.SecretStore.read_all`.

        A document that was deleted in OpenBao, or isn't ours, is left out, and named in the log when it is first
        seen: nobody may use that secret then, and all others are as they were.

        OpenBao lists documents with their versions, so that only what changed is read: one question a time.  Where
        the backend can't, or the policy doesn't allow it, each document is a question.
        """
        listed = await self._bao.ask(self._list)
        changed = [name for name, about in listed.items() if not self._is_known(name, about)]
        try:
            async with asyncio.timeout(READ_ALL_SECONDS):
                read = dict(zip(changed, await self._fetch_each(changed), strict=True))
        except TimeoutError:
            raise self._bao.unavailable(
                f"{len(changed)} secrets weren't read within {READ_ALL_SECONDS:g} s"
            ) from None
        # Listed before they were read: a document may be newer than what is noted of it, and is read again then.
        self._known = {
            name: (about, read[name] if name in read else self._known[name][1])
            for name, about in listed.items()
        }
        return self._secrets_in({name: answer for name, (_, answer) in self._known.items()})

    def _is_known(self, name: str, about: dict[str, Any]) -> bool:
        return (
            name in self._known
            and self._known[name][0] == about
            # What is to be deleted at an instant says the same before and after it.
            and _deletion_time(about) == ""
        )

    def _secrets_in(self, answer_of: Mapping[str, dict[str, Any] | None]) -> list[StoredSecret]:
        found, strange = [], {}
        for name, answer in answer_of.items():
            try:
                if answer is not None:
                    found.append(_stored(answer, name))
            except DocumentError as error:
                strange[name] = str(error)
        for name in sorted(strange.keys() - self._strange):
            _log.warning("not a secret", where=self._where(name), detail=strange[name])
        self._strange = frozenset(strange)
        return found

    async def write(self, record: SecretRecord, revision: int | None) -> int:
        """See :meth:`watchword.broker.interface.SecretStore.write`.

        When no answer came, the record may have been kept.  Of each document only the newest version stays:
        otherwise the store would hand out values that were revoked.
        """
        return await self._bao.ask(lambda client: self._put(client, record, revision))

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._bao.aclose()

    async def _fetch_each(self, names: Sequence[str]) -> list[dict[str, Any] | None]:
        """Return the answers in the order of the names; the first that fails ends all."""
        places = asyncio.Semaphore(WORKERS)

        async def fetch(name: str) -> dict[str, Any] | None:
            async with places:
                return await self._bao.ask(lambda client: self._fetch(client, name))

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(fetch(name)) for name in names]
        except* (UnavailableError, RefusedError) as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    def _list(self, client: Client) -> dict[str, dict[str, Any]]:
        """Return by name, sorted, all that OpenBao says of a document but what is in it; nothing where it can't."""
        try:
            members = self._listing(client)
        except AnswerError as error:
            if error.is_nothing:
                return {}  # A folder without documents isn't there.
            raise
        names = sorted(each for each in answers.names(members, "keys") if _is_name(each))
        if len(names) > MAX_SECRETS:
            raise self._bao.unavailable(
                f"got {len(names)} documents under {self._path}, expected at most {MAX_SECRETS}"
            )
        told = members.get("key_info")
        abouts = told if isinstance(told, dict) else {}
        return {name: abouts[name] if isinstance(abouts.get(name), dict) else {} for name in names}

    def _listing(self, client: Client) -> Mapping[str, Any]:
        if self._tells_versions:
            try:
                url = f"/v1/{self._mount}/detailed-metadata/{self._path}"
                return answers.members(client.adapter.list(url), "data")
            except AnswerError as error:
                if error.is_nothing or error.status not in {400, 403, 404, 405}:
                    raise
        answer = client.secrets.kv.v2.list_secrets(self._path, mount_point=self._mount)
        # Only now: a token that may nothing at all says nothing of what the backend can.
        self._tells_versions = False
        return answers.members(answer, "data")

    def _fetch(self, client: Client, name: str) -> dict[str, Any] | None:
        """Return the members ``data`` and ``metadata`` of a document, None if there was never one.

        Of one that no reader of ours takes, members that are no secret's: it mustn't hide the others.
        """
        try:
            answer = client.secrets.kv.v2.read_secret_version(
                self._place(name), mount_point=self._mount, raise_on_deleted_version=True
            )
        except AnswerError as error:
            if error.is_nothing:
                return None
            if error.status == 404 and "data" in error.body:
                # Of a document that was deleted, the metadata come along.
                return dict(answers.members(error.body, "data"))
            raise
        except UnexpectedResponseError:
            return dict(_FOREIGN)
        return dict(answers.members(answer, "data"))

    def _put(self, client: Client, record: SecretRecord, revision: int | None) -> int:
        place, kv = self._place(record.name), client.secrets.kv.v2
        if revision is None:
            kv.update_metadata(place, max_versions=1, cas_required=True, mount_point=self._mount)
        try:
            answer = kv.create_or_update_secret(
                place, to_document(record), cas=revision or 0, mount_point=self._mount
            )
        except AnswerError as error:
            if error.status == 400 and error.says(_CAS):
                raise RefusedError.because(
                    Reason.SECRET_CONFLICT,
                    f"the secret {record.name} was changed meanwhile; look at it, and ask again",
                ) from None
            raise
        return answers.version(answer, "data", "version")

    def _place(self, name: str) -> str:
        if not _is_name(name):
            raise RefusedError.because(Reason.SECRET_UNKNOWN, "expected the name of a secret")
        return f"{self._path}/{name}"

    def _where(self, name: str) -> str:
        return f"{self._mount}/{self._path}/{name}"


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _deletion_time(about: Mapping[str, Any]) -> Any:
    """Return when the newest version of a document was or is to be deleted, empty for never; None if unknown."""
    versions = about.get("versions")
    newest = versions.get(str(about.get("current_version"))) if isinstance(versions, dict) else None
    return newest.get("deletion_time") if isinstance(newest, dict) else None


def _stored(answer: dict[str, Any], name: str) -> StoredSecret:
    """Return the secret in an answer.

    :raises DocumentError: when it was deleted, or isn't ours.
    """
    metadata, data = answer.get("metadata"), answer.get("data")
    revision = metadata.get("version") if isinstance(metadata, dict) else None
    if type(revision) is not int or revision < 1:
        raise DocumentError("expected the version of a document")
    if data is None:
        raise DocumentError("was deleted in OpenBao; undelete it there, or remove its metadata")
    if not isinstance(data, dict):
        raise DocumentError("expected a document of Watchword's")
    return StoredSecret(from_document(data, name), revision)
