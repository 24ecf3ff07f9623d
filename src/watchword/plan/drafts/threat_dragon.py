"""Draft a plan from a model as OWASP Threat Dragon 2 keeps it: its own JSON, not its export.

Its diagrams hold the same as an Open Threat Model does: parts, flows between them, and threats at each.  So it is turned into
one, and drafted by the same rules.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from watchword.plan.drafts import Draft
from watchword.plan.drafts.otm import draft_from_otm, listed, text_of
from watchword.plan.interface import ModelFault

_TYPES: Final = {"store": "data store", "process": "web service", "actor": "client app"}
_FLOW: Final = "flow"
_BOUNDARY: Final = "boundary"
_VERSION: Final = "2."


def is_threat_dragon(document: Any) -> bool:
    """Tell whether a document looks like one of Threat Dragon's own."""
    return isinstance(document, dict) and "detail" in document and "summary" in document


def draft_from_threat_dragon(document: Any) -> tuple[Draft, list[ModelFault]]:
    """Draft from a document that was parsed already.

    :returns: the draft and no fault, or an empty draft and at least one; never raises on what a document holds.
    """
    if not is_threat_dragon(document):
        return Draft(), [
            ModelFault((), "another document", "Threat Dragon's JSON: summary and detail")
        ]
    if not text_of(document, "version").startswith(_VERSION):
        got = (
            repr(text_of(document, "version")[:20])
            if text_of(document, "version")
            else "no version"
        )
        expected = "version 2: open the model in Threat Dragon 2 and save it"
        return Draft(), [ModelFault(("version",), got, expected)]
    return draft_from_otm(_as_otm(document))


def _as_otm(document: Mapping[str, Any]) -> dict[str, Any]:
    detail = document.get("detail")
    diagrams = listed(detail, "diagrams") if isinstance(detail, dict) else []
    components: list[dict[str, Any]] = []
    flows: list[dict[str, Any]] = []
    threats: dict[str, dict[str, Any]] = {}
    for cell in _cells(diagrams):
        data = cell["data"]
        kind = text_of(data, "type").removeprefix("tm.").lower() or text_of(cell, "shape").lower()
        here = {
            text_of(each, "id") or text_of(each, "title"): each for each in listed(data, "threats")
        }
        threats |= here
        drawn = [{"threat": name} for name in here]
        if _BOUNDARY in kind:
            continue
        if _FLOW in kind:
            flow = {"source": _end(cell, "source"), "destination": _end(cell, "target")}
            flows.append({**flow, "assets": [], "threats": drawn})
            continue
        known = next((said for word, said in _TYPES.items() if word in kind), "")
        name = text_of(data, "name") or text_of(cell, "id")
        components.append(
            {"id": text_of(cell, "id"), "name": name, "type": known, "threats": drawn}
        )
    return {
        "otmVersion": "0.2.0",
        "project": {"name": text_of(document.get("summary"), "title")},
        "components": components,
        "dataflows": flows,
        "threats": [
            {
                "id": name,
                "name": text_of(each, "title"),
                "categories": [text_of(each, "type")],
                "description": text_of(each, "description"),
            }
            for name, each in threats.items()
        ],
    }


def _cells(diagrams: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for diagram in diagrams:
        for cell in listed(diagram, "cells"):
            if isinstance(cell.get("data"), dict):
                yield cell


def _end(cell: Mapping[str, Any], name: str) -> str:
    end = cell.get(name)
    return text_of(end, "cell") if isinstance(end, dict) else ""
