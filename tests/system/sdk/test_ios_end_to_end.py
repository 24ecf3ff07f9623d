"""Run the shipped iOS adapters on a simulated phone against a whole deployment, the built-in proxy, nginx and Envoy among it.

The checks are Swift (sdk/ios/EndToEnd), all of them in one run; each is a test here.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from scripts.sdk import ios
from tests.machine import patience
from tests.system.sdk.deployment import deployed
from tests.system.sdk.hosts import Relay, unchallenged

_CHECKS: Final = re.findall(
    r'^ {12}\("([a-z0-9-]+)", ',
    (ios.SOURCES / "EndToEnd" / "EndToEnd.swift").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run the deployment for all tests here; every API is reached through a relay that Linux needs."""
    with ExitStack() as stack:
        where = stack.enter_context(deployed(tmp_path_factory.mktemp("deployment")))
        for name, url in list(where["relays"].items()):
            relay = Relay("127.0.0.1", urlsplit(url).port or 0, unchallenged)
            stack.callback(relay.close)
            where["relays"][name] = relay.url
            if name in where["apis"]:
                where["apis"][name]["url"] = where["relays"][name]
        yield where


@pytest.fixture(scope="module")
def found(
    addresses: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str | None]:
    """Run all checks, and return by check what went wrong, None for nothing."""
    place = tmp_path_factory.mktemp("phones")
    file = place / "addresses.json"
    file.write_text(json.dumps(addresses), encoding="utf-8")
    program = ios.built(ios.SWIFT_5, product="EndToEnd") / "EndToEnd"
    done = subprocess.run(
        [str(program), str(file), str(place)],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        timeout=patience(300),
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["check"]: row["wrong"] for row in rows}


def test_every_check_was_tried(found: Mapping[str, str | None]) -> None:
    """None was left out, and none is there that has no test."""
    assert list(found) == _CHECKS
    assert len(_CHECKS) >= 20


@pytest.mark.parametrize("check", _CHECKS)
def test_check(found: Mapping[str, str | None], check: str) -> None:
    """A check of the Swift program holds; what went wrong is its own error."""
    if found[check] is not None:
        pytest.fail(str(found[check]), pytrace=False)
