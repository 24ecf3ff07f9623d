"""Hold the commented file that ``watchword init`` writes."""

from importlib import resources
from typing import Final

EXAMPLE_TEAM_ID: Final = "ABCDE12345"
"""The team id of the example app; nobody's."""

EXAMPLE_DIGEST: Final = "4f1d8c5b0e3a7296d1c4b5a6978810fe2d3c4b5a69788190a1b2c3d4e5f60718"
"""The signing digest of the example app; no certificate's."""

TEMPLATE: Final = resources.files(__package__).joinpath("template.yaml").read_text("utf-8")
"""The file, with these examples in it."""
