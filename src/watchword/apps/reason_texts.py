"""Explain reasons in words: what each means, and what to do about it.

The texts are data of the package (``reasons.toml``); ``docs/reasons.md`` is made from them.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def sections() -> Mapping[str, Mapping[str, str]]:
    """Return the texts by section title and code, in the order of the page."""
    data = resources.files("watchword.apps").joinpath("reasons.toml").read_text("utf-8")
    return tomllib.loads(data)


def text_of(code: str) -> str:
    """Return what a reason means and what to do about it; empty for one of a newer service."""
    return next((texts[code] for texts in sections().values() if code in texts), "")
