"""Scan packages that a test makes, as somebody at a terminal would."""

import json
import subprocess
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.machine import patience
from tests.unit.apps.forked_commands import command
from tests.unit.scan.ios_builders import ats, info, ipa, zipped

RUN = """
from watchword.apps.cli import main
main.COMMANDS.setdefault("scan", ("watchword.apps.scan.cli", "See."))
main.run()
"""


REAL = Path(__file__).parents[4] / "shared" / "apps"


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def dead_token() -> str:
    """Return a token of GitHub's form whose checksum holds and that nobody was ever given."""
    body = "aB3dE7" * 5
    rest, number = "", zlib.crc32(body.encode())
    while number:
        number, digit = divmod(number, 62)
        rest = _DIGITS[digit] + rest
    return f"gh{'p'}_{body}{rest:>06}"


def package(path: Path, files: Mapping[str, bytes] | None = None, **plist: object) -> Path:
    """Write an IPA."""
    path.write_bytes(zipped(ipa(info(**plist), files=files)))
    return path


def leaky(path: Path) -> Path:
    """Write an IPA with a token in a file and cleartext permitted."""
    config = {"Payload/Shop.app/config.json": json.dumps({"token": dead_token()}).encode()}
    path.write_bytes(zipped(ipa(ats(NSAllowsArbitraryLoads=True), files=config)))
    return path


def scan(
    *arguments: object, cwd: Path | None = None, guard: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the scan, and hold it to what holds always: no trace, whatever happens."""
    words = ["scan", *map(str, arguments)]
    if guard:
        done = subprocess.run(
            [sys.executable, "-B", "-c", guard + RUN, *words],
            capture_output=True,
            text=True,
            timeout=patience(120),
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=cwd,
        )
    else:
        done = command(cwd or Path.cwd(), *words, timeout=120)
    assert "Traceback" not in done.stdout + done.stderr
    assert "internal error" not in done.stderr
    return done


def document(*arguments: object, **more: Any) -> Any:
    """Return the JSON document of a scan that ended well."""
    done = scan(*arguments, "--json", **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
