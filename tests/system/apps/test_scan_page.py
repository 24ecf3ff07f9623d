"""Show that docs/scan.md and its reference are true: their commands run in their order, and print what the pages show."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.machine import patience
from tests.unit.apps.scanned import dead_token
from tests.unit.apps.service_process import WATCHWORD
from tests.unit.apps.test_plan_and_scan import EXAMPLE, HEAD
from tests.unit.scan.app_builders import PINS, apk
from tests.unit.scan.imports.test_mobsfscan import REPORT

from watchword.apps.scan.cli import CONDITIONS, command

DOCS = Path(__file__).parents[3] / "docs"
PAGE = "\n".join(
    (DOCS / name).read_text(encoding="utf-8") for name in ("scan.md", "scan-reading.md")
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
API = {
    "openapi": "3.0.3",
    "info": {"title": "Clinic", "version": "1"},
    "servers": [{"url": "https://api.example.com"}],
    "components": {"securitySchemes": {"user": {"type": "http", "scheme": "bearer"}}},
    "security": [{"user": []}],
    "paths": {
        "/v1/patients/{id}": {
            "get": {
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
                ],
                "responses": {"200": {"description": "One patient."}},
            }
        },
        "/v1/login": {
            "post": {
                "security": [],
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "name": {"type": "string"},
                                    "password": {"type": "string"},
                                },
                            }
                        }
                    }
                },
                "responses": {"200": {"description": "A session."}},
            }
        },
    },
}
MOBSFSCAN = {
    **REPORT,
    "results": {
        "weak_hash": {
            "files": [{"file_path": "Keys.java", "match_lines": [3, 4], "match_string": "MD5"}],
            "metadata": {"severity": "ERROR", "description": "MD5 is a weak hash."},
        }
    },
}


def blocks() -> list[tuple[str, str]]:
    """Return the page's blocks: the language of each, and its text."""
    found = [(match[1], match[2]) for match in BLOCK.finditer(PAGE)]
    assert len(found) > 20
    return found


def written(*members: str) -> Any:
    """Return the page's YAML block that has these members."""
    (found,) = (
        value
        for language, text in blocks()
        if language == "yaml"
        for value in [yaml.safe_load(text)]
        if set(members) <= set(value[0] if isinstance(value, list) else value)
    )
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Set up what the page works with: two builds, a description, a list, a plan, a report of another scanner."""
    (tmp_path / "app-1.0.apk").write_bytes(apk(pins=PINS))
    (tmp_path / "app-1.1.apk").write_bytes(apk(strings=[dead_token()]))
    (tmp_path / "openapi.yaml").write_text(json.dumps(API), encoding="utf-8")
    (tmp_path / "mobsfscan.json").write_text(json.dumps(MOBSFSCAN), encoding="utf-8")
    answered = written("rule", "subject", "owner")
    (tmp_path / "scan-answered.yaml").write_text(yaml.safe_dump(answered), encoding="utf-8")
    put_in = written("apps", "plan")
    assert put_in["apps"] == yaml.safe_load(HEAD)["apps"]
    plan = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    plan = {**plan, **yaml.safe_load(HEAD), "plan": {**plan["plan"], **put_in["plan"]}}
    (tmp_path / "watchword.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return tmp_path


def printed(commands: str, place: Path) -> list[str]:
    """Run commands as the page's reader does, and return the lines of both streams."""
    # Bash itself sets the width anew after a command, wherever it finds a terminal.
    run = f"watchword() {{ COLUMNS=100 {sys.executable} -c '{WATCHWORD[2]}' \"$@\"; }}"
    done = subprocess.run(
        ["bash", "-c", f"{run}\n{commands}"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=patience(120),
        check=False,
    )
    assert "Traceback" not in done.stdout
    return timeless(done.stdout.replace(str(place), "DIR"))


def timeless(text: str) -> list[str]:
    """Return lines without what differs from run to run and from release to release: times, what hangs on a signature's bytes, the version."""
    for pattern, instead in (
        (r"\b[0-9a-f]{64}\b", "DIGEST"),
        (r"\bbuild [0-9a-f]{8}\b", "build DIGEST"),
        (r"[\d,]+ bytes, SHA-256", "N bytes, SHA-256"),
        (r"\b\d+\.\d s\.", "N s."),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DATE UTC"),
        (r"\b\d+\.\d+\.\d+(\.dev\d+)?\b", "VERSION"),
    ):
        text = re.sub(pattern, instead, text)
    return text.splitlines()


def passages(text: str) -> Iterator[list[str]]:
    """Yield what stands between two lines of dots."""
    for part in re.split(r"^\.\.\.$", text, flags=re.MULTILINE):
        yield timeless(part.strip("\n"))


def missing(text: str, lines: list[str]) -> list[str]:
    """Return the first passage that isn't among the lines, behind the one before it; where lines wrap makes no difference."""
    # A longer version wraps a sentence elsewhere.
    words, at = " ".join(lines).split(), 0
    for passage in passages(text):
        wanted = " ".join(passage).split()
        size = len(wanted)
        found = [n for n in range(at, len(words) - size + 1) if words[n : n + size] == wanted]
        if not found:
            return passage
        at = found[0] + size
    return []


def test_the_commands_print_what_the_page_shows(place: Path) -> None:
    """Every one of them, word by word, where dots don't stand for more."""
    shown = 0
    for (language, commands), (following, text) in pairwise([*blocks(), ("", "")]):
        if language != "sh":
            continue
        lines = printed(commands, place)
        assert not [line for line in lines if line.startswith("Usage: ")], commands
        if following == "text":
            shown += 1
            assert missing(text, lines) == [], "\n".join(lines)
    assert shown > 10
    assert {"scan.sarif", "scan.xml", "scan-known.json"} <= {each.name for each in place.iterdir()}


def test_a_passage_that_nobody_prints_is_missed() -> None:
    """Out of order, changed, or only in part."""
    lines = ["a", "b", "c", "d"]
    assert missing("a\nb\n...\nd\n", lines) == []
    assert missing("c\n...\na\n", lines) == ["a"]
    assert missing("a\nc\n", lines) == ["a", "c"]
    assert missing("a b\nc\n...\nd", lines) == []
    assert missing("watchword scan 0.3.0 saw it", timeless("scan 0.4.0.dev1\nsaw")) != []
    assert missing("scan 0.3.0 saw", timeless("scan 0.4.0.dev1\n  saw it")) == []


def test_every_word_of_the_command_is_on_the_page() -> None:
    """Its options, its subcommands, and what --fail-on may name."""
    options = {name for each in command.params for name in each.opts if name.startswith("--")}
    lacking = {name for name in options if name not in PAGE}
    assert lacking == set()
    assert [name for name in command.commands if f"watchword scan {name}" not in PAGE] == []
    assert [name for name in CONDITIONS if f"`{name}`" not in PAGE] == []
