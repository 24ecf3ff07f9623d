"""Keep what pins are managed with: root lists, published sets, what app versions ship with, keys, and a log of each step."""

from watchword.adapters.pin_workspace.actor import who_runs
from watchword.adapters.pin_workspace.faults import WorkspaceError
from watchword.adapters.pin_workspace.keys import (
    new_key,
    read_key,
    read_public_key,
    write_key,
    write_public_key,
)
from watchword.adapters.pin_workspace.step_log import Step, StepLog
from watchword.adapters.pin_workspace.workspace import PinWorkspace

__all__ = [
    "PinWorkspace",
    "Step",
    "StepLog",
    "WorkspaceError",
    "new_key",
    "read_key",
    "read_public_key",
    "who_runs",
    "write_key",
    "write_public_key",
]
