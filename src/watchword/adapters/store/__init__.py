"""Keep instances, used challenges and the audit trail."""

from watchword.adapters.store.database import SchemaError
from watchword.adapters.store.sqlite import SqliteStore

__all__ = ["SchemaError", "SqliteStore"]
