"""Hold docs/inventory.cdx.json to its sources, to CycloneDX's schema, and to the code."""

import re
from importlib import metadata

import pytest
from scripts.cited_tests import ROOT
from scripts.pages.inventory import LOCK, cryptography, document
from tests.unit.apps.bom_schema import faults

FOUND = cryptography()
CORE = ROOT / "src" / "watchword"
ELSEWHERE = {"lab", "drill", "client", "scan"}
"""Where the same labels are written by the other side, or other ones for nobody's protection."""

LOCKS = ("runtime.txt", "dev.txt", "mitmproxy.txt", "peers-scan.txt")


def test_document_keeps_to_its_makers_schema() -> None:
    """And none of its names stands there twice."""
    assert faults(document()) == []


def test_every_locked_package_is_in_it() -> None:
    """Also those that others need; and what runs here is one of them."""
    locked = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK.read_text("utf-8"))
    libraries = [each for each in document()["components"] if each["type"] == "library"]
    listed = [each for each in libraries if each["purl"].startswith("pkg:pypi/")]
    carried = {each["purl"] for each in libraries} - {each["purl"] for each in listed}
    assert carried == {"pkg:npm/htmx.org@2.0.11"}
    assert [(each["name"], each["version"]) for each in listed] == locked
    assert len(locked) > 30
    assert ("cryptography", metadata.version("cryptography")) in locked


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_has_one_release_and_its_digests(name: str) -> None:
    """No name alone, no address, no other index: another file of that name isn't the one that was meant."""
    lines = (ROOT / "requirements" / name).read_text("utf-8").splitlines()
    blocks = re.split(r"\n(?=\S)", "\n".join(line for line in lines if line))
    for block in blocks:
        first, *digests = block.split("\n")
        assert re.fullmatch(r"[a-z0-9._\[\]-]+==[0-9][^\s;]*( ; [^\\]+)? \\", first), first
        assert digests
        for each in digests:
            assert re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", each), each


def test_whatever_is_installed_is_installed_by_its_digest() -> None:
    """Each call of pip that fetches something has a lock, and takes nothing that isn't in it."""
    script = (ROOT / "scripts" / "setup").read_text("utf-8").replace("\\\n", " ")
    calls = [line for line in script.splitlines() if "pip install" in line]
    assert len(calls) > 2
    for call in calls:
        assert "--no-deps" in call
        ours = re.search(r"--editable (\.|packages/[a-z-]+)$", call.rstrip())
        assert "--require-hashes" in call or ours, call
        assert "index" not in call


@pytest.mark.parametrize("each", FOUND["algorithms"] + FOUND["keys"], ids=lambda one: one["id"])
def test_what_is_listed_stands_in_the_code(each: dict[str, str]) -> None:
    """Where it says; and a key is one of a listed algorithm."""
    assert each["shows"] in (ROOT / each["file"]).read_text("utf-8")
    if "algorithm" in each:
        assert each["algorithm"] in {one["id"] for one in FOUND["algorithms"]}


def test_every_label_of_the_code_is_listed() -> None:
    """A new use of a key brings a label of its own, and with it a row."""
    label = re.compile(r'b"(watchword/[a-z-]+/v[0-9]+)(?:\\0|\\x00)?"')
    found = {
        name
        for file in CORE.rglob("*.py")
        if not ELSEWHERE & set(file.relative_to(CORE).parts)
        for name in label.findall(file.read_text("utf-8"))
    }
    listed = {each["shows"] for each in FOUND["keys"]}
    assert found == {each for each in listed if re.fullmatch(r"watchword/[a-z-]+/v[0-9]+", each)}
