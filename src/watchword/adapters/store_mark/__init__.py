"""Remember beside the store how far it was, so that an older copy in its place is noticed."""

from watchword.adapters.store_mark.file import Exchange, StoreMark

__all__ = ["Exchange", "StoreMark"]
