"""Write to small private databases beside the requests, about once a second."""

from watchword.adapters.written_behind.database import PrivateDatabase
from watchword.adapters.written_behind.writer import Writer

__all__ = ["PrivateDatabase", "Writer"]
