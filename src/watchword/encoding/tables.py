"""Read a table that lies beside the modules: a file of TOML that a maintainer edits."""

import tomllib
from importlib import resources
from typing import Any


def read_table(package: str, name: str) -> dict[str, Any]:
    """Return what a file of a package's says, as plain values.

    :param name: of the file, such as ``"addresses.toml"``.
    """
    return tomllib.loads(resources.files(package).joinpath(name).read_text("utf-8"))
