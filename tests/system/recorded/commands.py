"""Run the commands: helps, plans, scans, checks, evidence, policies, pins, engines, each with its errors."""

import json
import os
import pwd
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

import click
from tests.system.recorded.transcript import ROOT, Transcript
from tests.unit.scan.app_builders import PINS, apk
from tests.unit.scan.imports.test_mobsf import REPORT as MOBSF
from tests.unit.scan.imports.test_mobsfscan import REPORT as MOBSFSCAN
from tests.unit.scan.ios_builders import ats, info, ipa, zipped

from watchword.apps.cli.main import cli
from watchword.apps.settings.template import TEMPLATE

DAY: Final = 86_400.0
EXAMPLES: Final = (
    "clinic.yaml",
    "coat-and-car.yaml",
    "api-key-script.yaml",
    "keys_out/watchword.yaml",
    "fastapi_clinic/watchword.yaml",
    "cases/dunkin-2015.yaml",
    "cases/mhealth-2021.yaml",
    "cases/optus-2022.yaml",
    "cases/peloton-2021.yaml",
    "cases/retail-bank.yaml",
    "cases/tmobile-2023.yaml",
)
DESCRIPTIONS: Final = ROOT / "tests" / "system" / "apps" / "plan_files"

BROKEN: Final = {
    "no-yaml.yaml": "version: 1\napis: [1, 2\nenvironment: lab\n",
    "tab.yaml": "version: 1\n\tenvironment: lab\n",
    "twice.yaml": "version: 1\nversion: 1\n",
    "alias.yaml": "version: &a 1\nenvironment: *a\n",
    "empty.yaml": "",
    "list.yaml": "- version\n",
    "version.yaml": "version: 7\nenvironment: lab\n",
    "unknown.yaml": TEMPLATE.replace("token_lifetime", "token_livetime").replace(
        "minimum_version", "minimal_version"
    ),
    "values.yaml": TEMPLATE.replace("token_lifetime: 5m", "token_lifetime: 5 days")
    .replace("ABCDE12345", "short")
    .replace("environment: lab", "environment: staging")
    .replace("impact: 5 ", "impact: 9 ")
    .replace("listen: 127.0.0.1:8080", "listen: 127.0.0.1"),
    "prod.yaml": TEMPLATE.replace("environment: lab", "environment: prod"),
    "names.yaml": TEMPLATE.replace("apps: [clinic-ios, clinic-android]", "apps: [clinic-iso]"),
    "routes.yaml": TEMPLATE.replace(
        "path: /**", "path: v1/**\n        mode: enforced\n        x: 1"
    ),
    "policy.yaml": TEMPLATE + "policy: {base: strickt, with: [{patch_level: {system: no}}]}\n",
    "plan.yaml": TEMPLATE.replace("kind: data   ", "kind: date   ").replace("[app]", "[ap]"),
    "pins.yaml": TEMPLATE + "pins: {hosts: {api..example: {apps: [nobody], mode: maybe}}}\n",
    "secrets.yaml": TEMPLATE
    + "secrets: {keys: {maps: {edge: {origin: 'http://maps', paths: [geo], add: {}}}}}\n",
    "drill.yaml": TEMPLATE.replace("- {path: /patients.json}", "- {path: patients.json, odd: 1}"),
    "records.yaml": TEMPLATE + "records: {keep: 30 days, max_megabytes: -1}\n",
    "openbao.yaml": TEMPLATE + "openbao: {address: 'http://1.2.3.4', token: x}\n",
}


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*path, name))


def helps(shell: Transcript) -> None:
    """Ask each command for help, and each group for an option and a command that it hasn't got."""
    for path in _commands(cli, ()):
        shell(*path, "--help")
    shell("--version")
    shell("chek")
    shell("--nothing")
    shell("plan", "catalog")
    for name in ("lab", "pins", "secrets", "instances", "verify", "policy", "gate", "observe"):
        shell(name)
        shell(name, "nothing")
    shell("check", "--nothing")
    shell("check", "more")
    shell("gate", "config", "--engine", "apache", "-o", "out")
    shell("plan", "--budget", "many")


def files(shell: Transcript) -> None:
    """Write, check and describe ``watchword.yaml``, with every kind of fault in it."""
    shell("check")
    shell("init")
    shell("init")
    shell("init", "--force", "--json")
    shell.tree(".")
    shell("check")
    shell("check", "--json")
    for name in EXAMPLES:
        shell.example(name)
        shell("check", config=name)
        shell("check", "--json", config=name)
    for name, text in BROKEN.items():
        shell.write(name, text)
        shell("check", config=name)
        shell("check", "--json", config=name)
    for words in (
        ["plan"],
        ["keys", "list"],
        ["up"],
        ["gate", "config", "--engine", "caddy", "-o", "x"],
    ):
        shell(*words, config="values.yaml")
    shell("check", config="nowhere.yaml")
    shell("check", config=".")


def schema(shell: Transcript) -> None:
    """Print the JSON Schema of ``watchword.yaml``."""
    shell.most_lines = 10_000
    shell("schema")
    same = json.loads(shell.printed("schema")) == json.loads(shell.printed("schema", "--json"))
    shell.note("schema --json is the same document", f"{same}\n")


def plans(shell: Transcript) -> None:
    """Plan each example, and one in every form."""
    # Of the largest what is said depends on how much of a time limit was left.
    for name in (each for each in EXAMPLES if each != "cases/retail-bank.yaml"):
        shell.example(name)
        shell("plan", config=name)
    for name in ("clinic.yaml", "api-key-script.yaml"):
        shell("plan", "--all", "--details", config=name)
        shell("plan", "--budget", "2", config=name)
        shell("plan", "--item", "PR-B01", config=name)
    shell("plan", "--item", "1", config="clinic.yaml")
    shell("plan", "--item", "PR-B99", config="clinic.yaml")
    shell("plan", "--what-if", "+PR-B01", config="clinic.yaml")
    shell("plan", "--what-if", "-PR-B01", "--json", config="clinic.yaml")
    shell("plan", "--what-if", "PR-B99", config="clinic.yaml")
    shell("plan", "--what-if", "+PR-B99", config="clinic.yaml")
    shell("plan", "--fail-on", "open", config="clinic.yaml")
    shell("plan", "--fail-on", "nothing", config="clinic.yaml")
    shell("plan", config="nowhere.yaml")
    shell.write("bare.yaml", "version: 1\nenvironment: lab\n")
    shell("plan", config="bare.yaml")


def plan_documents(shell: Transcript) -> None:
    """Write a plan as JSON, Markdown, HTML and CycloneDX."""
    for name in ("clinic.yaml", "api-key-script.yaml"):
        shell.example(name)
        shell("plan", "--json", config=name)
        shell("plan", "--markdown", config=name)
        shell("plan", "--cyclonedx", config=name)
        shell("plan", "--html", "plan.html", config=name)
        shell.file("plan.html")
    shell("plan", "--html", "nowhere/plan.html", config="clinic.yaml")
    shell("plan", "--json", "--markdown", config="clinic.yaml")


def plan_comparisons(shell: Transcript) -> None:
    """Compare plans, and read the catalogue."""
    shell.example("clinic.yaml")
    one = shell.printed("plan", "--json", config="clinic.yaml")
    shell.write("one.json", one)
    text = (shell.directory / "clinic.yaml").read_text("utf-8")
    shell.write(
        "clinic.yaml",
        text.replace("mode: monitor", "mode: enforce").replace("impact: 2", "impact: 4"),
    )
    shell.write("two.json", shell.printed("plan", "--json", config="clinic.yaml"))
    for more in ((), ("--json",)):
        shell("plan", "diff", "one.json", "two.json", *more)
        shell("plan", "diff", "one.json", "one.json", *more)
        shell("plan", "--since", "one.json", *more, config="clinic.yaml")
        shell("plan", "--since", "two.json", "--fail-on", "worse", *more, config="clinic.yaml")
    shell.write("odd.json", one.replace('"items"', '"itmes"', 1))
    shell.write("cut.json", one[:500])
    shell.write("newer.json", one.replace('"version": 1', '"version": 99', 1))
    for name in ("odd.json", "cut.json", "newer.json", "nowhere.json"):
        shell("plan", "diff", name, "two.json")
        shell("plan", "--since", name, config="clinic.yaml")


def catalogue(shell: Transcript) -> None:
    """Read the catalogue, and one's own."""
    shell("plan", "catalogue")
    shell("plan", "catalogue", "--json")
    for entry in ("MT-A02", "PR-B01", "PR-B99", "mt-a02"):
        shell("plan", "catalogue", entry)
        shell("plan", "catalogue", entry, "--json")
    shell("plan", "catalogue", "--check")
    shell.write("own.yaml", "techniques:\n  - {id: OWN-1, name: Ours}\n")
    shell("plan", "catalogue", "--own", "own.yaml")
    shell("plan", "catalogue", "--own", "nowhere.yaml")
    shell("plan", "catalogue", "--stix", "nowhere.json")
    shell("plan", "catalogue", "--maswe", "nowhere")


def drafts(shell: Transcript) -> None:
    """Draft plans from descriptions of APIs and threat models."""
    shell("plan", "init")
    for name in ("bank.openapi.yaml", "clinic.openapi.yaml", "shop.swagger.json"):
        shell.write(name, (DESCRIPTIONS / name).read_bytes())
        shell("plan", "init", "--openapi", name, "-o", f"{name}.plan")
        shell.file(f"{name}.plan")
    shell.example("retail-bank/openapi.yaml")
    shell(
        "plan",
        "init",
        "--openapi",
        "retail-bank/openapi.yaml",
        "--api",
        "bank",
        "-o",
        "bank.yaml",
        "--json",
    )
    shell.file("bank.yaml")
    shell("plan", "init", "--openapi", "retail-bank/openapi.yaml", "-o", "bank.yaml")
    shell.write("platform.otm.json", (DESCRIPTIONS / "platform.otm.json").read_bytes())
    shell("plan", "init", "--otm", "platform.otm.json", "-o", "otm.yaml")
    shell.file("otm.yaml")
    shell.write("bad.yaml", "openapi: 3.0.0\nb: [1, 2\nc: 3\n")
    shell("plan", "init", "--openapi", "bad.yaml")
    shell("plan", "init", "--otm", "bad.yaml")
    shell("plan", "init", "--openapi", "nowhere.yaml")


def _shop() -> dict[str, Any]:
    operation = {
        "parameters": [
            {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
        ],
        "responses": {
            "200": {
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "email": {"type": "string"},
                                "password": {"type": "string"},
                            },
                        }
                    }
                }
            }
        },
    }
    return {
        "openapi": "3.0.3",
        "info": {"title": "Shop", "version": "1"},
        "servers": [{"url": "http://api.example-shop.com"}],
        "paths": {"/users/{id}": {"get": operation, "delete": {"responses": {"204": {}}}}},
    }


def _dated(archive: bytes) -> bytes:
    """Return an archive whose entries are all of 1980: it is the same whenever it was made."""
    early = b"\x00\x00\x21\x00"
    archive = re.sub(rb"(PK\x03\x04.{6}).{4}", rb"\g<1>" + early, archive, flags=re.DOTALL)
    return re.sub(rb"(PK\x01\x02.{8}).{4}", rb"\g<1>" + early, archive, flags=re.DOTALL)


def _apps(shell: Transcript) -> None:
    shell.marks = {"took": r"(?<=\"seconds\": )\d+\.\d+|(?<=\btime=\")\d+\.\d+|(?<= )\d+\.\d s\b"}
    strings = (
        "http://plain.example.net/collect",
        "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "-----BEGIN RSA PRIVATE " + "KEY-----",
        "AES/ECB/PKCS5Padding",
        "/system/xbin/su",
    )
    shell.write("clinic.apk", _dated(apk(pins=PINS)))
    shell.write(
        "leaky.apk", _dated(apk(strings=strings, more={"assets/config.json": b'{"debug": true}'}))
    )
    config = {
        "Payload/Shop.app/config.json": json.dumps(
            {"token": "sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc"}
        ).encode()
    }
    shell.write("shop.ipa", _dated(zipped(ipa(ats(NSAllowsArbitraryLoads=True), files=config))))
    shell.write("plain.ipa", _dated(zipped(ipa(info()))))
    shell.write("shop.yaml", json.dumps(_shop()))


SCANS: Final = ("clinic.apk", "leaky.apk", "shop.ipa", "plain.ipa")


def scans(shell: Transcript) -> None:
    """Scan small apps and a description of an API, and fail as the command fails."""
    _apps(shell)
    for name in SCANS:
        shell("scan", name)
        shell("scan", name, "--json")
    shell("scan", "leaky.apk", "--reveal")
    for level in ("critical", "high", "low", "nothing"):
        shell("scan", "leaky.apk", "--fail-on", level)
    shell("scan", "--api", "shop.yaml")
    shell("scan", "leaky.apk", "--api", "shop.yaml", "--json")
    shell.write("text.apk", "no archive")
    shell.write("empty.ipa", "")
    shell.write("cut.apk", _dated(apk())[:900])
    for name in ("text.apk", "empty.ipa", "cut.apk", "nowhere.apk"):
        shell("scan", name)
        shell("scan", name, "--json")
    shell("scan")
    shell("scan", "--api", "text.apk")
    shell("scan", "leaky.apk", "--sign", "nowhere.pem")


def scan_documents(shell: Transcript) -> None:
    """Write scans as SARIF, JUnit, HTML and CycloneDX."""
    _apps(shell)
    for name in ("leaky.apk", "shop.ipa"):
        names = {
            "--sarif": "s.sarif",
            "--junit": "s.xml",
            "--html": "s.html",
            "--cyclonedx": "s.cdx.json",
        }
        shell(
            "scan", name, "--api", "shop.yaml", *(word for pair in names.items() for word in pair)
        )
        for written in names.values():
            shell.file(written)


def scan_reports(shell: Transcript) -> None:
    """Compare scans, keep a baseline, read others' reports, list the rules."""
    _apps(shell)
    for name in ("clinic.apk", "leaky.apk"):
        shell.write(f"{name}.json", shell.printed("scan", name, "--json"))
    for more in ((), ("--json",)):
        shell("scan", "diff", "clinic.apk.json", "leaky.apk.json", *more)
        shell("scan", "diff", "leaky.apk.json", "clinic.apk.json", *more)
        shell("scan", "diff", "clinic.apk", "leaky.apk", *more)
        shell("scan", "diff", "shop.yaml", "shop.yaml", *more)
    shell("scan", "diff", "clinic.apk.json", "nowhere.json")
    shell("scan", "baseline", "leaky.apk.json", "-o", "baseline.json")
    shell.file("baseline.json")
    shell("scan", "baseline", "leaky.apk.json", "-o", "baseline.json", "--json")
    shell("scan", "leaky.apk", "--baseline", "baseline.json")
    shell("scan", "leaky.apk", "--baseline", "nowhere.json")
    shell("scan", "leaky.apk", "--baseline", "shop.yaml")
    shell.write("suppress.yaml", "- {rule: nothing}\n")
    shell("scan", "leaky.apk", "--suppress", "suppress.yaml")
    shell.write("mobsf.json", json.dumps(MOBSF))
    shell.write("mobsfscan.json", json.dumps(MOBSFSCAN))
    for name in ("mobsf.json", "mobsfscan.json", "baseline.json", "nowhere.json"):
        shell("scan", "import", name)
        shell("scan", "import", name, "--json")
    shell("scan", "rules")
    shell("scan", "rules", "--json")
    shell("scan", "rules", "pinning")
    shell("scan", "rules", "pining")


def drills(shell: Transcript) -> None:
    """List the attacks, and refuse to begin a drill."""
    shell("drill", "attacks")
    shell("drill", "attacks", "--json")
    shell("drill", "attacks", "nested-tokens")
    shell("drill", "attacks", "nothing")
    shell("drill")
    shell.example("clinic.yaml", "watchword.yaml")
    shell("drill", "--api", "nobody")
    shell("drill", "--only", "nothing")
    shell("drill", "--sign", "nowhere.pem")
    shell("drill", "consent", "--key", "nowhere.jwk", "--origin", "https://api.example.net")
    shell(
        "drill",
        "enrol",
        "--api",
        "clinic",
        "--app",
        "nobody",
        "--service",
        "https://w.example",
        "-o",
        "x",
    )
    shell("conformance", "setup", "-o", "watchword.yaml")
    shell(
        "conformance",
        "gate",
        "--target",
        "http://127.0.0.1:1",
        "--upstream",
        "http://127.0.0.1:2",
        "--deployment",
        "x",
    )
    shell("conformance", "suites", "nowhere")


def policies(shell: Transcript) -> None:
    """Show policies in words and as JSON, try cases, compare two."""
    for name in ("strict", "balanced", "inclusive", "recorded", "nobody"):
        shell("policy", "show", name)
        shell("policy", "show", name, "--json")
    shell.write("watchword.yaml", TEMPLATE + "policy: {with: [{patch_level: {system: 6}}]}\n")
    shell("policy", "show")
    shell("policy", "show", "--json")
    shell("policy", "show", "nowhere.yaml")
    shell.write(
        "cases.yaml",
        "cases:\n"
        "  - {name: genuine, like: android-key, expect: {level: hardware}}\n"
        "  - {name: iphone, like: app-attest, expect: {level: hardware}}\n"
        "  - name: unlocked\n    like: android-key\n    claims: {boot: {device_locked: false}}\n"
        "    expect: {level: none, reasons: [policy.bootloader_unlocked]}\n"
        "  - {name: wrong, like: android-key, expect: {level: none}}\n",
    )
    shell("policy", "test", "cases.yaml")
    shell("policy", "test", "cases.yaml", "--json")
    shell("policy", "test", "cases.yaml", "--policy", "strict")
    shell.write("odd.yaml", "cases:\n  - {name: x, like: windows, claims: {boot: 1}}\n")
    shell("policy", "test", "odd.yaml")
    shell("policy", "test", "nowhere.yaml")
    shell("policy", "diff", "balanced", "strict")
    shell("policy", "diff", "balanced", "strict", "--json")
    shell("policy", "diff", "balanced", "nobody")
    shell("policy", "diff", "balanced", "strict", "--records", "nowhere.jsonl")


def observations(shell: Transcript) -> None:
    """Make a key, record what was seen, list and export it."""
    shell.aliases = {
        "id": r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
        "signature": r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{86}(?![A-Za-z0-9_-])",
        "digest": r"\b[0-9a-f]{64}\b",
    }
    shell.example("clinic.yaml")
    text = (shell.directory / "clinic.yaml").read_text("utf-8")
    shell.write(
        "watchword.yaml",
        text.replace("# observers: {drill: {key: observer.jwk}}", "observers: {ci: {key: ci.jwk}}"),
    )
    shell("observe", "list")
    shell("observe", "keygen", "-o", "ci.pem", "--public", "ci.jwk")
    shell("observe", "keygen", "-o", "ci.pem")
    target = ("--target", "api:clinic", "--key")
    source = ("--source", "review")
    shell("observe", "record", "PR-B07", *target, "scan:api.bola_test", "--source", "review")
    shell(
        "observe",
        "record",
        "PR-B01",
        *target,
        "live:shield.enforced_ratio",
        "--route",
        "GET /**",
        "--sign",
        "ci.pem",
        *source,
        "--json",
    )
    shell(
        "observe",
        "record",
        "PR-B07",
        *target,
        "scan:api.bola_test",
        "--state",
        "broken",
        "--detail",
        "ids are counted up",
        *source,
    )
    shell("observe", "record", "PR-B99", *target, "scan:api.bola_test", *source)
    shell("observe", "record", "PR-B07", *target, "scan:nothing", *source)
    shell(
        "observe",
        "record",
        "PR-B07",
        "--target",
        "api:nobody",
        "--key",
        "scan:api.bola_test",
        *source,
    )
    shell("observe", "record", "PR-B07", *target, "scan:api.bola_test", "--state", "maybe", *source)
    shell(
        "observe",
        "record",
        "PR-B07",
        *target,
        "scan:api.bola_test",
        "--sign",
        "nowhere.pem",
        *source,
    )
    shell("observe", "list")
    shell("observe", "list", "--json")
    shell("observe", "list", "--protection", "PR-B07")
    shell("observe", "export")
    shell("observe", "export", "--json")
    shell("plan")


def pins(shell: Transcript) -> None:
    """Make a workspace of pins, a root list, pins, and render them; nothing is asked over a network."""
    shell.aliases = {
        "pin": r"[A-Za-z0-9+/]{43}=",
        "id": r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
        "signature": r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{86}(?![A-Za-z0-9_-])",
        "digest": r"\b[0-9a-f]{64}\b",
        "day": r"\b20\d\d-\d\d-\d\d\b",
        "pem": r"-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----",
    }
    who = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"
    shell.marks = {"somebody": rf"{re.escape(who)} *"}
    shell.ahead = {"in a year": 365 * DAY, "in 90 days": 90 * DAY, "in 30 days": 30 * DAY}
    shell.write(
        "watchword.yaml",
        TEMPLATE
        + "pins:\n  hosts:\n    api.example.net: {apps: [clinic-android, clinic-ios], mode: report}\n",
    )
    shell("pins", "show")
    shell("pins", "init")
    shell("pins", "init")
    shell("pins", "init", "--json")
    for name in ("one", "two", "three"):
        shell("pins", "root", "key", "-o", f"{name}.key")
    shell("pins", "root", "key", "-o", "one.key")
    shell("pins", "root", "show", "nowhere.json")
    shell("pins", "root", "init", "--keys", "nowhere", "--expires", "1y")
    shell.write("word", "a passphrase of some length\n")
    word = ("--passphrase-file", "word")
    shell(
        "pins",
        "root",
        "init",
        "-d",
        "roots",
        "--pin-key",
        "pins/pin-key.jwk",
        "--passphrase",
        *word,
    )
    shell(
        "pins",
        "root",
        "init",
        "-d",
        "roots",
        "--pin-key",
        "pins/pin-key.jwk",
        "--keys",
        "3",
        "--threshold",
        "2",
    )
    shell("pins", "root", "init", "-d", "roots", "--pin-key", "pins/pin-key.jwk")
    shell("pins", "root", "show", "roots/roots-1.json")
    shell("pins", "root", "show", "roots/roots-1.json", "--json")
    shell("pins", "root", "accept", "roots/roots-1.json")
    shell("pins", "root", "accept", "roots/roots-1.json", "--json")
    shell(
        "pins",
        "root",
        "rotate",
        "roots/roots-1.json",
        "--add-key",
        "one.jwk",
        "--key",
        "roots/root-1.pem",
        "-o",
        "roots-2.json",
    )
    shell("pins", "root", "sign", "nowhere.json", "--key", "one.key")
    shell("pins", "root", "show")
    spki = "base64:" + "A" * 43 + "="
    for words in (
        (
            "add",
            "api.example.net",
            "--spki",
            "7HIpactkIAq2Y49orFOOQKurWxmmSFZhBCoQYcRhJ3Y=",
            "--role",
            "current",
        ),
        (
            "add",
            "api.example.net",
            "--spki",
            "YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=",
            "--role",
            "backup",
            "--json",
        ),
        (
            "add",
            "api.example.net",
            "--spki",
            "YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=",
            "--role",
            "backup",
        ),
        ("add", "api.example.net", "--spki", spki),
        ("add", "other.example.net", "--spki", "YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="),
        ("add", "api.example.net"),
        ("show",),
        ("show", "--json"),
        ("check", "--offline"),
        ("check", "--offline", "--json"),
        ("check", "--offline", "--app", "nobody"),
        ("rehearse", "api.example.net", "--offline"),
        ("render", "android", "--app", "clinic-android", "--draft"),
        ("render", "ios", "--app", "clinic-ios", "--draft"),
        ("render", "okhttp", "--app", "clinic-android", "--draft"),
        ("render", "windows"),
        ("render", "android", "--app", "clinic-android"),
        ("publish", "--dry-run"),
        ("publish",),
        ("release", "clinic-android", "1.2.3"),
        ("reports",),
        ("log",),
        ("log", "--json"),
        ("remove", "api.example.net", "nothing"),
        ("remove", "api.example.net", "YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="),
        ("remove", "api.example.net", "7HIpactkIAq2Y49orFOOQKurWxmmSFZhBCoQYcRhJ3Y=", "--json"),
        ("rotate", "nobody.example.net"),
        ("watch", "--once", "--interval", "x"),
    ):
        shell("pins", *words)
    shell.file("watchword.yaml")


def unreachable(shell: Transcript) -> None:
    """Ask a service that isn't there, for everything that a service is asked for."""
    shell.aliases = {"serial": r"\b\d{14,20}\b"}
    shell.write("watchword.yaml", TEMPLATE)
    for words in (
        ("instances", "list"),
        ("instances", "list", "--json"),
        ("instances", "list", "--limit", "0"),
        ("instances", "revoke", "nobody", "--because", "lost"),
        (
            "instances",
            "invite",
            "--app",
            "clinic-ios",
            "--level",
            "hardware",
            "--for",
            "a drill",
            "--because",
            "x",
        ),
        ("instances", "invitations"),
        ("instances", "cancel", "nobody"),
        ("keys", "list"),
        ("keys", "rotate"),
        ("keys", "retire", "nobody"),
        ("metrics",),
        ("metrics", "--json"),
        ("explain", "not-a-reference"),
        ("explain", "not-a-reference", "--json"),
        ("secrets", "list"),
        ("secrets", "add", "maps"),
        ("secrets", "canary", "list"),
        ("pins", "reports"),
        ("lab", "request", "genuine-iphone", "http://127.0.0.1:1/"),
        ("lab", "revoke", "nobody"),
        ("lab", "status-list"),
        (
            "gate",
            "pull",
            "--url",
            "https://127.0.0.1:1",
            "--api",
            "clinic",
            "--certificate",
            "a",
            "--key",
            "b",
            "--ca",
            "c",
            "-o",
            "pulled",
        ),
        ("gate", "authz", "clinic"),
        ("gate", "authz", "nobody"),
        ("gate", "config", "--engine", "nginx", "-o", "out"),
        ("gate", "config", "--engine", "nginx", "-o", "out", "--api", "nobody"),
        ("gate", "follow", "--engine", "caddy", "-o", "out"),
        ("audit", "ingest", "nowhere.log", "--engine", "nginx"),
        ("verify", "replay", "nowhere"),
        ("verify", "replay", "service"),
    ):
        shell(*words)


GROUPS: Final[dict[str, Callable[[Transcript], None]]] = {
    "help": helps,
    "files": files,
    "schema": schema,
    "plan": plans,
    "plan-documents": plan_documents,
    "plan-comparisons": plan_comparisons,
    "catalogue": catalogue,
    "drafts": drafts,
    "scan": scans,
    "scan-documents": scan_documents,
    "scan-reports": scan_reports,
    "drill": drills,
    "policy": policies,
    "observations": observations,
    "pins": pins,
    "unreachable": unreachable,
}
