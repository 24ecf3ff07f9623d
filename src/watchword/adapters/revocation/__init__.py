"""Know which attestation certificates the vendors withdrew."""

from watchword.adapters.revocation.live import FetchOutcome, LiveStatusList
from watchword.adapters.revocation.status_list import (
    StatusList,
    StatusListError,
    load_status_lists,
    read_status_list,
)
from watchword.adapters.revocation.watched import WatchedFile

__all__ = [
    "FetchOutcome",
    "LiveStatusList",
    "StatusList",
    "StatusListError",
    "WatchedFile",
    "load_status_lists",
    "read_status_list",
]
