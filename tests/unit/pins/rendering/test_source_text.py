"""Read the rendered Kotlin and TypeScript line by line: each line is one of a small table."""

import re

import pytest
from tests.unit.pins.rendering.sets import PLAIN, WHOLE

from watchword.pins.formats import render
from watchword.pins.interface import PinMode, PinSet

PIN = r"sha256/[A-Za-z0-9+/]{43}="
HOST = r"(?:\*\*\.)?[a-z0-9.-]+"
KOTLIN = (
    r"// .*",
    r"package watchword\.pins",
    r"import okhttp3\.CertificatePinner",
    r"object WatchwordPins \{",
    r'    const val APP = "[A-Za-z0-9._-]+"',
    r"    const val (?:VERSION|HARD_EXPIRY_SECONDS) = [0-9]+L",
    r"     ?/?\*.*",
    r"    fun certificatePinner\(nowSeconds: Long = System\.currentTimeMillis\(\) / 1000\): CertificatePinner \{",
    r"        val builder = CertificatePinner\.Builder\(\)",
    r"        if \(nowSeconds < HARD_EXPIRY_SECONDS\) \{",
    r"(?: {8}| {12})builder\.add\(",
    rf'(?: {{12}}| {{16}})"{HOST}",',
    rf'(?: {{12}}| {{16}})"{PIN}", // (?:current|next|backup|ca)',
    r"(?: {8}| {12})\)",
    r"        return builder\.build\(\)",
    r" *\}",
    r"",
)
CONSTANT = (
    r"export const PIN_SET: PinSet = \{",
    r'  app: "[A-Za-z0-9._-]+",',
    r"  (?:version|issuedAt|softExpiry|hardExpiry): [0-9]+,",
    r'  reports: (?:null|"https://[^"\\]+"),',
    r"  hosts: new Map<string, HostPins>\(\[",
    r'    \["[a-z0-9.-]+", \{',
    r'      mode: "(?:report|enforce)",',
    r"      includeSubdomains: (?:true|false),",
    r'      afterExpiry: "(?:open|closed)",',
    r"      pins: \[",
    r'        \{ spki: "[A-Za-z0-9+/]{43}=", role: "(?:current|next|backup|ca)" \},',
    r"      \],",
    r"    \}\],",
    r"  \]\),",
    r"\};",
)


def added(text: str) -> dict[str, list[str]]:
    """Return by pattern the pins that the Kotlin adds."""
    calls = re.findall(r"builder\.add\((.*?)\n *\)\n", text, re.DOTALL)
    found = [re.findall(r'"([^"]+)"', call) for call in calls]
    return {pattern: held for pattern, *held in found}


def held(pin_set: PinSet, host: str) -> list[str]:
    """Return the pins of a host as OkHttp has them."""
    found = pin_set.entry(host)
    assert found is not None
    return [str(pin) for pin in found.pins]


@pytest.mark.parametrize("pin_set", [PLAIN, WHOLE], ids=["plain", "whole"])
def test_kotlin_is_of_the_table(pin_set: PinSet) -> None:
    """No line of the Kotlin is of another form, and its braces are even."""
    text = render("okhttp", pin_set).text
    odd = [
        line for line in text.splitlines() if not any(re.fullmatch(each, line) for each in KOTLIN)
    ]
    assert odd == []
    assert text.count("{") == text.count("}")


def test_kotlin_adds_what_the_set_says() -> None:
    """Each enforced host is there, those below it by a pattern of its own; a closed one is added whatever the time."""
    text = render("okhttp", WHOLE).text
    found = added(text)
    assert found.keys() == {
        "api.example.com",
        "cdn.example.net",
        "a---b--kva.example",
        "both.example.org",
        "**.both.example.org",
    }
    for pattern, pins in found.items():
        assert pins == held(WHOLE, pattern.removeprefix("**."))
    always, _, until = text.partition("if (nowSeconds")
    assert added(always).keys() == {"a---b--kva.example"}
    assert len(added(until)) == 4
    assert f"HARD_EXPIRY_SECONDS = {WHOLE.hard_expiry}L" in text


@pytest.mark.parametrize("pin_set", [PLAIN, WHOLE], ids=["plain", "whole"])
def test_typescript_is_of_the_table(pin_set: PinSet) -> None:
    """No line of the constant is of another form, and it says all that the set says."""
    text = render("typescript", pin_set).text
    constant = text[text.index("export const PIN_SET") : text.index("\n/** Return the entry")]
    odd = [
        line
        for line in constant.splitlines()
        if not any(re.fullmatch(each, line) for each in CONSTANT)
    ]
    assert odd == []
    hosts = re.split(r'\n    \["', constant)[1:]
    said = {
        each.partition('"')[0]: (
            'mode: "report"' in each,
            "includeSubdomains: true" in each,
            'afterExpiry: "closed"' in each,
            re.findall(r'spki: "([^"]+)", role: "([a-z]+)"', each),
        )
        for each in hosts
    }
    assert said == {
        each.host: (
            each.mode is PinMode.REPORT,
            each.include_subdomains,
            each.after_expiry.value == "closed",
            [(str(pin).removeprefix("sha256/"), pin.role.value) for pin in each.pins],
        )
        for each in pin_set.hosts
    }
    numbers = re.findall(r"  (?:version|issuedAt|softExpiry|hardExpiry): ([0-9]+),", constant)
    assert [int(each) for each in numbers] == [
        pin_set.version,
        pin_set.issued_at,
        pin_set.soft_expiry,
        pin_set.hard_expiry,
    ]
