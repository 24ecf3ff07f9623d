"""Know which attestation certificates the vendors withdrew."""

from watchword.adapters.revocation.status_list import (
    StatusList,
    StatusListError,
    load_status_lists,
    read_status_list,
)

__all__ = ["StatusList", "StatusListError", "load_status_lists", "read_status_list"]
