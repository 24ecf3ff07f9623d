"""Bring files to an nginx that decides by itself, and run it where that is asked for."""

import time
from collections.abc import Sequence
from typing import Final

from watchword.apps.engines.files import write_files
from watchword.apps.engines.following import EngineRejectedError
from watchword.apps.engines.running_nginx import (
    MAX_WORDS,
    NginxError,
    RunningNginx,
    text_in,
)
from watchword.engines.interface import EngineFile, EngineFileKind, Files
from watchword.engines.nginx import ERROR_LOG
from watchword.reasons import WatchwordError

_LOOK_SECONDS: Final = 0.02
_MOST_LOOKS: Final = 750
"""For how long new workers are waited for: a quarter of a minute."""

_FAULTS: Final = ("init_by_lua error", "[emerg]")
"""What nginx writes when it keeps what it had."""


class Nginx(RunningNginx):
    """Write the files; nginx is told only when its configuration or its script changed.

    What decides is in the private file alone.  Each worker looks at it several times a second and takes it for the next
    request of every connection, so that a push of keys, revoked instances or routes is no reload.
    """

    def take(self, files: Files) -> None:
        """See :meth:`watchword.apps.engines.following.RunningEngine.take`."""
        private = [file for file in files if file.kind is EngineFileKind.PRIVATE]
        others = [file for file in files if file.kind is not EngineFileKind.PRIVATE]
        before = {file.name: text_in(self._directory / file.name) for file in others}
        changed = any(before[file.name] != file.content for file in others)
        # At first in any case, as for every nginx: who wrote them may have been killed before it was told.
        if changed or not self._loaded:
            write_files(self._directory, others)
            try:
                self._check()
                self._reload()
                self._loaded = True
            except WatchwordError:
                write_files(self._directory, _kept(others, before))
                raise
        # Last: what isn't taken must not be judged by either.
        write_files(self._directory, private)

    def _reload(self) -> None:
        """Let a running nginx read its files anew, and wait until it did: its own check doesn't run the script.

        :raises EngineRejectedError: when it keeps what it had.
        :raises NginxError: when it does nothing for long; it is told again at the next look.
        """
        log = self._directory / ERROR_LOG
        known, workers = len(text_in(log) or ""), self._workers()
        if not self._hang_up():
            return
        for _ in range(_MOST_LOOKS):
            if self._workers() - workers or self._master() is None:
                return
            said = (text_in(log) or "")[known:]
            fault = next((line for line in said.splitlines() if _is_fault(line)), None)
            if fault is not None:
                raise EngineRejectedError(f"nginx doesn't take its files: {fault[:MAX_WORDS]}")
            time.sleep(_LOOK_SECONDS)
        raise NginxError(f"nginx starts no new workers; {log} may say why")


def _is_fault(line: str) -> bool:
    return any(fault in line for fault in _FAULTS)


def _kept(files: Sequence[EngineFile], before: dict[str, str | None]) -> list[EngineFile]:
    """Return the files as they were."""
    return [
        EngineFile(file.name, file.kind, content)
        for file in files
        for content in (before[file.name],)
        if content is not None
    ]
