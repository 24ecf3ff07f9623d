"""Keep secrets in one encrypted file of the state directory, under a master key that is kept elsewhere."""

from watchword.adapters.secret_store.file import FileSecretStore
from watchword.adapters.secret_store.master_key import (
    LocalMasterKey,
    master_key_from_file,
    master_key_from_text,
)

__all__ = [
    "FileSecretStore",
    "LocalMasterKey",
    "master_key_from_file",
    "master_key_from_text",
]
