"""Exchange App Attest receipts at Apple's server."""

from watchword.adapters.apple_receipts.server import (
    AppleReceiptServer,
    AppleTeamApp,
    server_of,
)
from watchword.adapters.apple_receipts.team_key import TeamKey, TeamKeyError, read_team_key

__all__ = [
    "AppleReceiptServer",
    "AppleTeamApp",
    "TeamKey",
    "TeamKeyError",
    "read_team_key",
    "server_of",
]
