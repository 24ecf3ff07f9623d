"""Write what every SARIF 2.1.0 log (OASIS, 27 March 2020) of ours has in common; section numbers are those of the standard."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from watchword import __version__

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"

MOST_TAGS: Final = 20
"""Tags of a rule beyond which code scanning on GitHub refuses a log."""


def log(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a log."""
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": list(runs)}


def driver(name: str, rules: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return the tool of a run."""
    return {"driver": {"name": name, "version": __version__, "rules": list(rules), **more}}


def rule(
    name: str,
    texts: tuple[str, str],
    parts: Sequence[tuple[str, str]],
    page: str,
    *,
    techniques: Sequence[str] = (),
    protections: Mapping[str, str],
) -> dict[str, Any]:
    """Return what a log says of a rule, with help by parts.

    :param texts: its short and its full description.
    :param parts: of its help: a word each, and what is said.
    :param page: where more is said of it; the address ends in its id.
    """
    plain = "\n".join(f"{word}: {said}" for word, said in parts)
    marked = "\n\n".join(f"**{word}**: {said}" for word, said in parts)
    short, full = texts
    return {
        "id": name,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "shortDescription": {"text": message(short)},
        "fullDescription": {"text": message(full)},
        "help": {"text": f"{plain}\nSee {page}", "markdown": f"{marked}\n\nSee `{page}`"},
        "properties": {
            "tags": ["security", *techniques, *sorted(protections)][:MOST_TAGS],
            "techniques": list(techniques),
            "protections": dict(sorted(protections.items())),
        },
    }


def fingerprints(name: str, finger: str) -> dict[str, dict[str, str]]:
    """Return the members of a result that tell it from others in this run and the next.

    :param name: of the way in which ours are made, with its version.
    """
    return {
        "fingerprints": {name: finger},
        # GitHub takes two results of one rule on one line for the same unless this differs.
        "partialFingerprints": {"primaryLocationLineHash": finger},
    }


def message(text: str) -> str:
    """Return text that stands for itself in a message: braces are placeholders there (3.11.5), brackets links (3.11.6).

    What a stranger chose, such as the name of a class or an answer, must not put a link into a page that people trust.
    """
    doubled = text.replace("{", "{{").replace("}", "}}")
    return doubled.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def uri(file: PurePath) -> str:
    """Return where a file is: relative as it was given, by which viewers of code find it in a repository."""
    return file.as_uri() if file.is_absolute() else quote(file.as_posix())
