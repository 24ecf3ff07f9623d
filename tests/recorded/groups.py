"""Name each group of outputs that is recorded: one file each."""

from collections.abc import Callable
from typing import Final

from tests.recorded import commands, documents, services
from tests.recorded.transcript import Transcript, workspace

from watchword.apps.terminal.process import silence_logs

Group = Callable[[Transcript], None]

GROUPS: Final[dict[str, Group]] = {**commands.GROUPS, **services.GROUPS, **documents.GROUPS}


def made(name: str) -> str:
    """Return what a group puts out now; what is logged isn't recorded, whoever set up the log before."""
    silence_logs()
    with workspace() as directory:
        transcript = Transcript(directory)
        GROUPS[name](transcript)
        return transcript.text()
