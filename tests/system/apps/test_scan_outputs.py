"""Show every output of a scan of one app: each has its form, and none holds a secret, nor a part or an encoding of one."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from junitparser import JUnitXml
from tests.unit.apps import bom_schema, sarif_schema
from tests.unit.apps.scanned import dead_token, package, scan
from tests.unit.scan.app_builders import apk
from tests.unit.scan.ios_builders import ats, ipa, zipped

LONGEST = 8
"""Most characters of a secret that may stand anywhere: they are its first ones, by which its owner knows it."""

FORMS = ("sarif", "junit", "html", "cyclonedx")


def leaking(folder: Path, kind: str) -> Path:
    """Write an app that has the canary wherever rules look: in files, addresses, paths, names, code."""
    token = dead_token()
    texts = (
        f"token={token}",
        f"https://api.example.net/v1/hooks/{token}/send",
        f"https://api.example.net/v1/items?access_token={token}&x=1",
        f"http://user:{token}@plain.example.net/v1/x",
        f"/v1/hooks/{token}",
        base64.b64encode(f"api:{token}".encode()).decode(),
        f"Authorization: token {token}",
        f"https://{token.lower()}.example.net/",
        f"{token}://open",
    )
    file = folder / f"shop.{kind}"
    if kind == "apk":
        file.write_bytes(apk(strings=(*texts, token)))
        return file
    schemes = [{"CFBundleURLSchemes": [token]}]
    plist = ats(
        NSExceptionDomains={f"{token}.example.net": {"NSExceptionAllowsInsecureHTTPLoads": 1}}
    )
    plist |= {"CFBundleURLTypes": schemes, "ApiToken": token}
    files = {
        "Payload/Shop.app/config.json": json.dumps({"t": texts, token: 1}).encode(),
        f"Payload/Shop.app/{token}.json": json.dumps({"token": token}).encode(),
        "Payload/Shop.app/main.jsbundle": "\n".join(f'x="{text}";' for text in texts).encode(),
    }
    file.write_bytes(zipped(ipa(plist, files=files)))
    return file


def shapes(secret: str) -> Iterator[str]:
    """Yield what of a secret may stand nowhere: parts that are longer than allowed, in common encodings."""
    parts = [secret[at : at + LONGEST + 1] for at in range(len(secret) - LONGEST)]
    for part in parts:
        yield part.lower()
    yield secret.encode().hex()
    yield quote(secret, safe="").lower()
    for shift in range(3):
        whole = base64.b64encode(b"x" * shift + secret.encode()).decode()
        # The first and last group may hold characters of others.
        yield whole[4:-4].lower()


def told(text: str, secret: str = "") -> list[str]:
    """Return which shapes of a secret a text holds."""
    low = text.lower()
    return [each for each in shapes(secret or dead_token()) if each in low]


@pytest.mark.parametrize("kind", ["ipa", "apk"])
def test_no_output_holds_a_secret_or_a_part_of_one(tmp_path: Path, kind: str) -> None:
    """Not the terminal, JSON, files, a baseline or differences; with --reveal the terminal and JSON alone."""
    app = leaking(tmp_path, kind)
    written = {form: tmp_path / f"scan.{form}" for form in FORMS}
    options = [word for form, file in written.items() for word in (f"--{form}", file)]
    report, known = tmp_path / "scan.json", tmp_path / "known.json"
    shown = scan(app, *options)
    assert "secret-in-app" in shown.stdout
    found = scan(app, "--json")
    report.write_text(found.stdout, encoding="utf-8")
    assert scan("baseline", report, "-o", known).returncode == 0
    clean = package(tmp_path / "clean.ipa")
    outputs = {
        "terminal": shown.stdout + shown.stderr,
        "json": found.stdout,
        "failing": scan(app, "--fail-on", "low", "--fail-on", "not-seen").stderr,
        "baseline": known.read_text(encoding="utf-8"),
        "with it": scan(app, "--baseline", known).stdout,
        **{form: file.read_text(encoding="utf-8") for form, file in written.items()},
    }
    for old, new in ((clean, report), (report, clean)):
        outputs[f"diff {old.name}"] = scan("diff", old, new).stdout
        outputs[f"diff --json {old.name}"] = scan("diff", old, new, "--json").stdout
    assert {name: told(text) for name, text in outputs.items() if told(text)} == {}
    for words in ([], ["--json"]):
        revealed = scan(app, *words, *options, "--reveal")
        assert dead_token() in revealed.stdout
        assert not told(revealed.stderr)
    for form, file in written.items():
        assert not told(file.read_text(encoding="utf-8")), form


def test_the_search_for_secrets_sees_them() -> None:
    """It isn't blind: the whole, a part, another case, base64 with something before it, hex."""
    token = dead_token()
    encoded = [base64.b64encode(f"{'x' * each}{token}y".encode()).decode() for each in range(3)]
    for text in (token, token[10:20], token.upper(), token.encode().hex(), *encoded):
        assert told(f"<p>{text}</p>")
    assert not told(f"{token[:4]}... ({len(token)} characters)")


def outputs_of(app: Path, folder: Path, *more: object) -> dict[str, Any]:
    """Scan an app; return what was written."""
    files = {form: folder / f"out.{form}" for form in FORMS}
    options = [word for form, file in files.items() for word in (f"--{form}", file)]
    done = scan(app, "--json", *options, *more)
    assert done.returncode == 0, done.stderr
    texts = {form: file.read_text(encoding="utf-8") for form, file in files.items()}
    return {"json": done.stdout, **texts}


@pytest.mark.parametrize("kind", ["ipa", "apk"])
def test_every_output_has_its_form(tmp_path: Path, kind: str) -> None:
    """SARIF and CycloneDX pass their schemas, JUnit its parser, all beside an API's description."""
    api = tmp_path / "api.yaml"
    api.write_text(
        "openapi: 3.0.0\ninfo: {title: T, version: '1'}\nservers: [{url: 'http://api.example.net'}]\n"
        "paths: {'/v1/users/{id}': {get: {responses: {'200': {description: ok}}}}}\n",
        encoding="utf-8",
    )
    app = leaking(tmp_path, kind)
    found = outputs_of(app, tmp_path, "--api", api)
    (scanned,) = json.loads(found["json"])["scans"]
    acted = [
        each
        for each in (*scanned["findings"], *scanned["api"])
        if each["verdict"] in {"exposed", "absent"} and each["severity"] != "info"
    ]
    log = json.loads(found["sarif"])
    assert sarif_schema.faults(log) == []
    places = {
        each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for each in log["runs"][0]["results"]
    }
    assert places == {app.name, "api.yaml"}
    assert sorted(
        each["partialFingerprints"]["primaryLocationLineHash"] for each in log["runs"][0]["results"]
    ) == sorted(each["fingerprint"] for each in acted)
    bill = json.loads(found["cyclonedx"])
    assert bom_schema.faults(bill) == []
    assert len(bill["vulnerabilities"]) == len(acted)
    (suite,) = JUnitXml.fromstring(found["junit"])
    assert suite.failures == len({each["rule"] for each in acted})
