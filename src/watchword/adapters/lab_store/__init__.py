"""Keep the lab between runs: the seed of its authorities, its phones, its status list."""

from watchword.adapters.lab_store.directory import (
    LabStoreError,
    PhoneSlot,
    StoredPhone,
    kept_phones,
    load_or_create,
    occupied_slot,
)
from watchword.adapters.lab_store.status_list import (
    change_status,
    load_status_list,
    status_list_file,
)

__all__ = [
    "LabStoreError",
    "PhoneSlot",
    "StoredPhone",
    "change_status",
    "kept_phones",
    "load_or_create",
    "load_status_list",
    "occupied_slot",
    "status_list_file",
]
