"""Show that docs/verifying.md and docs/records.md are true: its commands run, and what it prints is what they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.machine import patience

from watchword.apps.evidence.records import REFUSED_PER_MINUTE
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.template import TEMPLATE

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "verifying.md").read_text(encoding="utf-8")
RECORDS = (DOCS / "records.md").read_text(encoding="utf-8")


def test_its_commands_print_what_it_says(tmp_path: Path) -> None:
    """Each line of the output on the page is a line of the real one, in the same order."""
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # noqa: TID251
    environment.pop("COLUMNS", None)
    done = subprocess.run(
        ["bash", "-uc", script],
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 1, done.stderr
    printed = iter(done.stdout.splitlines())
    missing = [line for line in shown.splitlines() if line not in printed]
    assert missing == []
    assert len(shown.splitlines()) > 10


def test_its_configuration_is_good(tmp_path: Path) -> None:
    """The section, put behind a whole file, is read."""
    (section,) = set(re.findall(r"```yaml\n(.*?)```", PAGE + RECORDS, re.DOTALL))
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE + section, encoding="utf-8")
    records = load_settings(file).records
    assert records is not None
    assert (records.keep, records.max_bytes) == (30 * 86400, 256 * 10**6)


def test_its_numbers_are_those_of_the_code() -> None:
    """Ten a minute."""
    assert REFUSED_PER_MINUTE == 10
    assert "at most ten refusals a minute" in " ".join(RECORDS.split())
