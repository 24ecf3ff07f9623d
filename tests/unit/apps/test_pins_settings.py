"""Show the section `pins` of watchword.yaml: what it comes to, and each fault of it with its line."""

from pathlib import Path

import pytest
import yaml

from watchword.apps.pins.session import PinnedKey, PinnedKeys, parse_pinned, pinned_document
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.pins import load_pins
from watchword.apps.settings.template import TEMPLATE
from watchword.pins.interface import AfterExpiry, Pin, PinMode, PinRole

HOST = "api.example.com"


def written(tmp_path: Path, section: object) -> Path:
    """Write a file with this section."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE + yaml.safe_dump({"pins": section}))
    return file


def test_what_is_left_out(tmp_path: Path) -> None:
    """A host reports, opens after expiry, and stands for itself alone; the workspace is beside the file."""
    file = written(tmp_path, {"hosts": {HOST: {"apps": ["clinic-ios"]}}})
    found = load_pins(file)
    host = found.pins.hosts[HOST]
    assert (host.mode, host.after_expiry) == (PinMode.REPORT, AfterExpiry.OPEN)
    assert not host.include_subdomains
    assert found.pins.directory == (tmp_path / "pins").resolve()
    assert (found.pins.soft_expiry, found.pins.hard_expiry) == (14 * 86400, 90 * 86400)
    assert found.state == (tmp_path / ".watchword").resolve()
    assert load_settings(file).pins == found.pins
    assert (found.pins.apps, found.pins.hosts_of("clinic-android")) == (("clinic-ios",), ())


def test_the_section_needs_no_whole_file(tmp_path: Path) -> None:
    """Pins can be managed where nothing else of Watchword runs."""
    file = tmp_path / "watchword.yaml"
    file.write_text(f"apps: {{mine: {{}}}}\npins: {{hosts: {{{HOST}: {{apps: [mine]}}}}}}\n")
    assert load_pins(file).apps == ("mine",)


def test_where_reports_go_is_nobodys_name(tmp_path: Path) -> None:
    """The pins of such an app would never be found."""
    file = tmp_path / "watchword.yaml"
    hosts = f"{{{HOST}: {{apps: [reports]}}}}"
    file.write_text(f"apps: {{reports: {{}}}}\npins: {{hosts: {hosts}}}\n")
    with pytest.raises(ConfigurationError, match="another name"):
        load_pins(file)


def test_a_file_without_pins_is_good(tmp_path: Path) -> None:
    """The section is left out by whoever pins nothing; `watchword pins` says how to begin."""
    file = tmp_path / "watchword.yaml"
    file.write_text(TEMPLATE)
    assert load_settings(file).pins is None
    with pytest.raises(ConfigurationError, match="watchword pins init"):
        load_pins(file)


@pytest.mark.parametrize(
    ("section", "path", "expected"),
    [
        ({"hosts": {"API.example.com": {"apps": ["clinic-ios"]}}}, "hosts.API", "in lower case"),
        ({"hosts": {"192.0.2.7": {"apps": ["clinic-ios"]}}}, "hosts.192", "no address"),
        ({"hosts": {"a.example:443": {"apps": ["clinic-ios"]}}}, "hosts.a", "no port"),
        ({"hosts": {"*.example.com": {"apps": ["clinic-ios"]}}}, "hosts.*", "no wildcard"),
        ({"hosts": {"b\u00fc.example": {"apps": ["clinic-ios"]}}}, "hosts.b", "xn--"),
        ({"hosts": {HOST: {"apps": ["nobody"]}}}, "apps[0]", "an app of this file"),
        ({"hosts": {HOST: {"apps": ["clinic-ios"] * 2}}}, "apps[1]", "each app once"),
        ({"hosts": {HOST: {"apps": []}}}, "apps", "at least 1"),
        ({"hosts": {HOST: {"apps": ["clinic-ios"], "mode": "on"}}}, "mode", "'report' or 'enforce'"),
        ({"hosts": {HOST: {"apps": ["clinic-ios"], "after_expiry": "x"}}}, "after_expiry", "'open'"),
        ({"hosts": {HOST: {"apps": ["clinic-ios"], "pin": "x"}}}, "pin", "one of apps, mode"),
        ({"hosts": {"lan": {"apps": ["clinic-ios"], "include_subdomains": True}}}, "include_subdomains", "with a dot"),
        ({"soft_expiry": "90d", "hard_expiry": "90d"}, "soft_expiry", "less than hard_expiry"),
        ({"hard_expiry": "500d"}, "hard_expiry", "from 1h to 400d"),
        ({"report_first": 7}, "report_first", "string"),
        ({"reports": "http://reports.example.net/"}, "reports", "https"),
        ({"reports": f"https://{HOST}/r", "hosts": {HOST: {"apps": ["clinic-ios"]}}}, "reports", "isn't pinned"),
        ({"reports": f"https://r.{HOST}/r", "hosts": {HOST: {"apps": ["clinic-ios"], "include_subdomains": True}}}, "reports", "isn't pinned"),
        ({"directory": "~/pins"}, "directory", "~ isn't expanded"),
        ([], "pins", "a mapping"),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_place(
    tmp_path: Path, section: object, path: str, expected: str
) -> None:
    """By `watchword check` and by `watchword pins` alike, and nothing else is said."""
    file = written(tmp_path, section)
    for load in (load_settings, load_pins):
        with pytest.raises(ConfigurationError) as caught:
            load(file)
        (fault,) = caught.value.faults
        assert path in fault.path
        assert expected in fault.expected
        assert fault.line is not None


def test_pinned_keys_are_read_back_as_written() -> None:
    """Whatever the note says: it is text of a stranger's certificate."""
    keys = PinnedKeys(
        {
            HOST: (
                PinnedKey(Pin(bytes(range(32)), PinRole.CURRENT), 'a.pem: CN="x: #\n\u2028"'),
                PinnedKey(Pin(b"\xff" * 32, PinRole.BACKUP)),
            )
        }
    )
    assert parse_pinned(Path("pins.yaml"), pinned_document(keys)) == keys
    assert parse_pinned(Path("pins.yaml"), pinned_document(PinnedKeys())) == PinnedKeys()


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("version: 2\n", 1, "1"),
        ("version: 1\nhosts:\n  a.example:\n    - {pin: AAAA, role: next}\n", 4, "44 of base64"),
        ("version: 1\nhosts:\n  a.example:\n    - {pin: x, role: later}\n", 4, "'next'"),
        ("version: 1\nhosts:\n  A.example: []\n", 3, "in lower case"),
        ("version: 1\nhosts: &a\n  b.example: *a\n", 2, "the value itself"),
        ("version: 1\nhosts:\n  a.example: []\n  a.example: []\n", 4, "once"),
        (
            "version: 1\nhosts:\n  a.example:\n" + 2 * f"    - {{pin: {'00' * 32}, role: next}}\n",
            5,
            "each key once",
        ),
    ],
)
def test_faults_of_pinned_keys_have_lines(text: str, line: int, expected: str) -> None:
    """People edit the file too."""
    with pytest.raises(ConfigurationError) as caught:
        parse_pinned(Path("pins.yaml"), text.encode())
    assert any(f.line == line and expected in f.expected for f in caught.value.faults)
