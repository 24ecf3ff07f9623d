"""Run the shipped Android adapters on a simulated phone against a whole deployment, with each OkHttp that they are made for.

The checks are Kotlin (sdk/android/endtoend), all of them in one run of the JVM for each OkHttp; each is a test here.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12Certificate,
    serialize_java_truststore,
)
from cryptography.x509 import load_pem_x509_certificates
from scripts.sdk import android
from tests.machine import patience
from tests.system.sdk.deployment import deployed
from tests.unit.apps.service_process import watchword

_CHECKS = re.findall(
    r'^ {8}"([a-z0-9-]+)" to ',
    (android.SOURCES / "endtoend/src/main/kotlin/dev/watchword/endtoend/EndToEnd.kt").read_text(
        encoding="utf-8"
    ),
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the deployment has its files."""
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def addresses(directory: Path) -> Iterator[dict[str, Any]]:
    """Run the deployment for all tests here."""
    with deployed(directory) as where:
        yield where


class Found(NamedTuple):
    """Hold what came of a run.

    :param wrong: by check what went wrong, None for nothing.
    :param place: where the phones and the self-test's report are.
    """

    wrong: Mapping[str, str | None]
    place: Path


@pytest.fixture(scope="module", params=android.modules()["endtoend"].variants)
def found(
    request: pytest.FixtureRequest,
    addresses: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Found:
    """Run all checks with one OkHttp."""
    place = tmp_path_factory.mktemp("phones")
    options = _platform(place, addresses["pinned"])
    file = place / "addresses.json"
    file.write_text(json.dumps(addresses), encoding="utf-8")
    path = os.pathsep.join(map(str, android.Build().classpath("endtoend", request.param)))
    done = subprocess.run(
        [
            *("java", "-ea", *options, "-cp", path),
            *("dev.watchword.endtoend.EndToEnd", str(file), str(place)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        timeout=patience(300),
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    return Found({row["check"]: row["wrong"] for row in rows}, place)


def _platform(place: Path, pinned: Mapping[str, str]) -> list[str]:
    """Return Java's options for a phone that trusts these authorities, and that finds these hosts on this machine."""
    names = place / "hosts"
    names.write_text(f"127.0.0.1 localhost {pinned['host']} {pinned['reports_host']}\n", "utf-8")
    trusted = load_pem_x509_certificates(Path(pinned["trust"]).read_bytes())
    entries = [PKCS12Certificate(each, str(n).encode()) for n, each in enumerate(trusted)]
    password = "of a test"
    store = place / "trusted.p12"
    store.write_bytes(
        serialize_java_truststore(entries, BestAvailableEncryption(password.encode()))
    )
    return [
        f"-Djdk.net.hosts.file={names}",
        f"-Djavax.net.ssl.trustStore={store}",
        f"-Djavax.net.ssl.trustStorePassword={password}",
    ]


def test_every_check_was_tried(found: Found) -> None:
    """None was left out, and none is there that has no test."""
    assert list(found.wrong) == _CHECKS
    assert len(_CHECKS) >= 15


@pytest.mark.parametrize("check", _CHECKS)
def test_check(found: Found, check: str) -> None:
    """A check of the Kotlin program holds; what went wrong is its own stack trace."""
    if found.wrong[check] is not None:
        pytest.fail(str(found.wrong[check]), pytrace=False)


def test_self_test_shows_evidence_that_is_verified_and_replayed(
    found: Found, directory: Path
) -> None:
    """The chain that it wrote down passes for the challenge in its report, and so does the service's record of it."""
    file, anchors = directory / "watchword.yaml", str(found.place / "anchors.json")
    report = json.loads((found.place / "self-test.json").read_text(encoding="utf-8"))
    assert watchword(file, "lab", "anchors", "-o", anchors).returncode == 0
    chain = ("--file", str(found.place / "chain.pem"), "--anchors", anchors)
    bound = ("--challenge", report["evidence"]["challenge"], "--app", "clinic-android")
    verified = watchword(
        file, "verify", "evidence", "--format", "android-key", *chain, *bound, "--json"
    )
    assert json.loads(verified.stdout)["verdict"] == "accept"
    other = watchword(
        file, "verify", "evidence", "--format", "android-key", *chain, "--challenge", "00" * 32
    )
    assert other.returncode == 1
    replayed = watchword(file, "verify", "replay")
    assert replayed.returncode == 0, replayed.stdout
