"""Build, test and package the phones' SDKs: ``python -m scripts.sdk``; CONTRIBUTING.md says how."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ROOT / ".sdk"
"""Where what `make sdk-tools` fetched lies, each file held to its hash."""


class SdkError(Exception):
    """Say why an SDK isn't built, and what to do."""
