"""Describe the public listener: ``openapi.json`` is OpenAPI 3.1; a test holds it to the table of routes."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from watchword import __version__


def _document() -> Mapping[str, Any]:
    text = resources.files("watchword.apps.service").joinpath("openapi.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    document["info"]["version"] = __version__
    return document


DOCUMENT: Final = _document()
"""The document that ``GET /openapi.json`` returns."""
