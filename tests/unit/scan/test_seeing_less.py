"""Show that a scan which sees less of a build says less of it: never worse of a protection, and never better."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from tests.unit.scan.android.builders import Given, Tag, axml
from tests.unit.scan.app_builders import PINS, apk
from tests.unit.scan.archive.builders import built

from watchword.adapters.app_package import PackageError, open_app
from watchword.observations import State
from watchword.scan.android import attributes as of
from watchword.scan.app import Gap, Part
from watchword.scan.archive.interface import Limits
from watchword.scan.outcome import Report
from watchword.scan.registry import RULES
from watchword.scan.service import scan

BAD = {State.ABSENT, State.BROKEN}
OFF: dict[int | str, Given] = {of.ALLOW_BACKUP: False}
TRUSTS_USERS = axml(
    Tag(
        "network-security-config",
        children=[
            Tag(
                "base-config",
                children=[Tag("trust-anchors", children=[Tag("certificates", {"src": "user"})])],
            )
        ],
    )
)


def code_last(data: bytes) -> bytes:
    """Return a package with its code behind everything else, unsigned."""
    with ZipFile(BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    code = entries.pop("classes.dex")
    return built({**entries, "classes.dex": code})


BUILDS = {
    "backups off": apk(application=OFF, sdk=(26, 35)),
    "backups off, older phones": apk(application=OFF, sdk=(21, 35)),
    "cleartext refused": apk(application={**OFF, of.USES_CLEARTEXT_TRAFFIC: False}, sdk=(21, 35)),
    "pinned": apk(pins=PINS, sdk=(21, 35)),
    "users' authorities": apk(config=TRUSTS_USERS, sdk=(26, 35)),
    "pins in code": code_last(apk(config=TRUSTS_USERS, strings=[f"sha256/{pin}" for pin in PINS])),
    "cleartext": apk(strings=["http://api.example.com/v1/visits", "http://example.com"]),
    "old target": apk(sdk=(16, 22)),
}


def report(path: Path, data: bytes) -> Report | None:
    """Return the report of a package; None where nothing of it can be read."""
    path.write_bytes(data)
    try:
        return scan(open_app(path, Limits(), lambda: 60.0), RULES)
    except PackageError:
        return None


@pytest.mark.parametrize("name", BUILDS)
def test_seeing_less_says_no_worse(tmp_path: Path, name: str) -> None:
    """Each build, cut off at many places: what was said of none by the whole build isn't absent, nor proven, by a part."""
    data = BUILDS[name]
    whole = report(tmp_path / "whole.apk", data)
    assert whole is not None
    states = {(each.protection, each.key): each.state for each in whole.standings}
    found = []
    cuts = 0
    for size in range(200, len(data), 41):
        part = report(tmp_path / "cut.apk", data[:size])
        cuts += part is not None
        for each in () if part is None else part.standings:
            said = states[each.protection, each.key]
            worse = each.state in BAD and said not in BAD
            better = each.state is State.PROVEN and said is not State.PROVEN
            if worse or better:
                found.append((size, each.protection, each.key, said, each.state, each.why))
    assert cuts > 10
    assert found == []


def test_authorities_of_users_dont_tell_of_pins_in_code_that_wasnt_read(tmp_path: Path) -> None:
    """Pins hold against these: where some code is damaged, there may be some."""
    path = tmp_path / "app.apk"
    path.write_bytes(BUILDS["users' authorities"])
    app = open_app(path, Limits(), lambda: 60.0)
    gaps = (Gap(Part.DEX, "classes2.dex", "damaged"),)
    torn = replace(app, coverage=replace(app.coverage, gaps=gaps))
    for each, expected in ((app, State.ABSENT), (torn, None)):
        standings = {one.protection: one.state for one in scan(each, RULES).standings}
        assert standings["PR-C03"] is expected
