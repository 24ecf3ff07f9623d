"""Have Google decode Play Integrity tokens of apps whose response keys it keeps."""

from watchword.adapters.play_decoder.account import (
    AccountError,
    ServiceAccount,
    read_service_account,
)
from watchword.adapters.play_decoder.bounded import BoundedDecoder
from watchword.adapters.play_decoder.google import GooglePlayDecoder

__all__ = [
    "AccountError",
    "BoundedDecoder",
    "GooglePlayDecoder",
    "ServiceAccount",
    "read_service_account",
]
