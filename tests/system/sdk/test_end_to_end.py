"""Run the shipped Android adapters on a simulated phone against a whole deployment, with each OkHttp that they are made for.

The checks are Kotlin (sdk/android/endtoend), all of them in one run of the JVM for each OkHttp; each is a test here.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from scripts.sdk import android
from tests.machine import patience
from tests.system.sdk.deployment import deployed

_CHECKS = re.findall(
    r'^ {8}"([a-z0-9-]+)" to ',
    (android.SOURCES / "endtoend/src/main/kotlin/dev/watchword/endtoend/EndToEnd.kt").read_text(
        encoding="utf-8"
    ),
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run the deployment for all tests here."""
    with deployed(tmp_path_factory.mktemp("deployment")) as where:
        yield where


@pytest.fixture(scope="module", params=android.modules()["endtoend"].variants)
def found(
    request: pytest.FixtureRequest,
    addresses: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, str | None]:
    """Run all checks with one OkHttp, and return what went wrong in each, None for nothing."""
    place = tmp_path_factory.mktemp("phones")
    file = place / "addresses.json"
    file.write_text(json.dumps(addresses), encoding="utf-8")
    path = os.pathsep.join(map(str, android.Build().classpath("endtoend", request.param)))
    done = subprocess.run(
        ["java", "-ea", "-cp", path, "dev.watchword.endtoend.EndToEnd", str(file), str(place)],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        timeout=patience(300),
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    return {row["check"]: row["wrong"] for row in rows}


def test_every_check_was_tried(found: Mapping[str, str | None]) -> None:
    """None was left out, and none is there that has no test."""
    assert list(found) == _CHECKS
    assert len(_CHECKS) >= 15


@pytest.mark.parametrize("check", _CHECKS)
def test_check(found: Mapping[str, str | None], check: str) -> None:
    """A check of the Kotlin program holds; what went wrong is its own stack trace."""
    if found[check] is not None:
        pytest.fail(str(found[check]), pytrace=False)
