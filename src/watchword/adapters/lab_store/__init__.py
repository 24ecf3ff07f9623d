"""Keep the lab between runs: the seed of its authorities, and its phones."""

from watchword.adapters.lab_store.directory import (
    LabStoreError,
    PhoneSlot,
    StoredPhone,
    load_or_create,
    occupied_slot,
)

__all__ = ["LabStoreError", "PhoneSlot", "StoredPhone", "load_or_create", "occupied_slot"]
