"""Set space aside that is given free when a disk is full and trust has to be taken away."""

from watchword.adapters.reserve.file import RoomReserve

__all__ = ["RoomReserve"]
