"""Name each group of outputs that is recorded: one file each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import structlog
from tests.system.recorded import commands, documents, services
from tests.system.recorded.transcript import Transcript, workspace

Group = Callable[[Transcript], None]

GROUPS: Final[dict[str, Group]] = {**commands.GROUPS, **services.GROUPS, **documents.GROUPS}


def made(name: str) -> str:
    """Return what a group puts out now."""
    with workspace() as directory, _without_a_log():
        transcript = Transcript(directory)
        GROUPS[name](transcript)
        return transcript.text()


@contextmanager
def _without_a_log() -> Iterator[None]:
    """Keep the log of a service away from what a command prints in the same process; whatever was set up for it before doesn't count."""
    before = structlog.get_config()
    structlog.configure(processors=[_dropped])
    try:
        yield
    finally:
        structlog.configure(**before)


def _dropped(_logger: Any, _method: str, _event: Any) -> NoReturn:
    raise structlog.DropEvent
