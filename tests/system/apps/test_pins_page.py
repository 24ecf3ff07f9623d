"""Show that docs/pins.md and docs/pins-emergency.md are true: every command on them is run as written, in its order, against a server on loopback."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from tests.unit.apps.pins_servers import HOST, Authority, Server, new_key, server

from watchword.apps.pins.cli import command
from watchword.apps.settings.template import TEMPLATE
from watchword.pins.rehearsal import SCENARIOS

DOCS = Path(__file__).parents[3] / "docs"
PAGE = "\n".join(
    (DOCS / name).read_text(encoding="utf-8") for name in ("pins.md", "pins-emergency.md")
)

# What the reader has by his name server and his platform's authorities, this machine has by options.
WRAPPED = """\
set -eu
watchword() {
  case "$1 $2 $*" in
    "pins check"*|"pins publish"*|"pins rotate"*|"pins rehearse"*|"pins watch"*|*--from-live*) command watchword "$@" $AT ;;
    *) command watchword "$@" ;;
  esac
}
"""


def blocks(kind: str) -> list[str]:
    """Return the page's blocks of a kind."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def write_key(file: Path, key: EllipticCurvePrivateKey) -> None:
    """Write a server's key, as openssl would."""
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


class Deployed:
    """Show the key that ``./deploy`` was told last."""

    def __init__(self, directory: Path, running: Server, authority: Authority) -> None:
        """Write the script."""
        self._directory = directory
        self._running = running
        self._authority = authority
        script = directory / "deploy"
        script.write_text('#!/bin/sh\ncp "$1" live.pem\n')
        script.chmod(0o755)

    def before(self) -> None:
        """Take the key of the file, before each handshake."""
        key = load_pem_private_key((self._directory / "live.pem").read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        self._running.show(key, self._authority.issue(key, HOST, "cdn.example.com", days=200))


def shell(directory: Path, script: str, at: str) -> subprocess.CompletedProcess[str]:
    """Run a block."""
    given = f'export PATH="{Path(sys.executable).parent}:$PATH" AT="{at}" COLUMNS=110\n'
    return subprocess.run(
        ["bash", "-c", given + WRAPPED + script],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Server]:
    """Return the server of the page's reader, with what he has at hand."""
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "roots.pem").write_bytes(authority.pem + Authority("Another one").pem)
    for name in ("live.pem", "unplanned.pem"):
        write_key(tmp_path / name, new_key())
    (tmp_path / "watchword.yaml").write_text(TEMPLATE)
    with server(tmp_path) as running:
        made = Deployed(tmp_path, running, authority)
        running.before = made.before
        yield running


def test_each_step_is_run_as_written(tmp_path: Path, deployed: Server) -> None:
    """From the first key through a rotation and all losses; only the wait of seven days is cut short."""
    at = " ".join(
        f"--resolve {host}=127.0.0.1:{deployed.port}" for host in (HOST, "cdn.example.com")
    )
    config = tmp_path / "watchword.yaml"
    (section,) = blocks("yaml")
    cdn = "    cdn.example.com: {apps: [clinic-ios], mode: report}\n"
    section = section.replace("7d ", "1s ") + cdn
    outputs: list[str] = []
    for block in blocks("sh"):
        done = shell(tmp_path, block, f"{at} --cafile ca.pem")
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        outputs.append(done.stdout)
        if "pins init\n" in block:
            config.write_text(TEMPLATE + section)
        if "release clinic-android 4.2.0" in block:
            # Seven days later, the reports are read.
            time.sleep(1.1)
            config.write_text(
                config.read_text().replace(
                    "[clinic-android], mode: report", "[clinic-android], mode: enforce"
                )
            )
    told = "\n".join(outputs)
    assert "every app that is in use has it by" in told
    assert "shows its backup key at all places: it is the current one now" in told
    log = shell(tmp_path, "watchword pins log --forced", at).stdout
    assert "FORCED: current and backup are lost" in log
    check = shell(tmp_path, "watchword pins check", f"{at} --cafile ca.pem")
    assert check.returncode == 0, check.stdout
    assert deployed.received == b""


def test_the_page_names_what_there_is() -> None:
    """Each command of the page is one, and as many accidents are rehearsed as it says."""
    named = set(re.findall(r"watchword pins ([a-z]+)", PAGE))
    assert named <= set(command.commands)
    assert f"for {len(SCENARIOS)} accidents" in " ".join(PAGE.split())
