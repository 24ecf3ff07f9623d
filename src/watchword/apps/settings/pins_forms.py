"""Turn the ``pins`` section as written into what pin sets are made by, and find faults between its parts."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from watchword.apps.settings.consistency import Inconsistency
from watchword.apps.settings.faults import shown
from watchword.apps.settings.validated import PinnedHostSettings, PinsSettings
from watchword.apps.settings.written_pins import WrittenPins
from watchword.apps.settings.written_types import seconds
from watchword.pins.interface import AfterExpiry, PinMode
from watchword.pins.sets import host_of_url
from watchword.pins.spki import PinError


def pins_settings(base: Path, written: WrittenPins) -> PinsSettings:
    """Return the settings of the section.

    :param base: directory of the file.
    """
    return PinsSettings(
        directory=(base / written.directory).resolve(),
        reports=written.reports,
        soft_expiry=seconds(written.soft_expiry),
        hard_expiry=seconds(written.hard_expiry),
        report_first=seconds(written.report_first),
        hosts={
            name: PinnedHostSettings(
                apps=tuple(each.apps),
                mode=PinMode(each.mode),
                include_subdomains=each.include_subdomains,
                after_expiry=AfterExpiry(each.after_expiry),
            )
            for name, each in written.hosts.items()
        },
    )


def between_pins(written: WrittenPins, apps: Collection[str]) -> Iterator[Inconsistency]:
    """Yield what is wrong between the parts of a section that are each well formed.

    :param apps: names of the apps of the file.
    """
    known = ", ".join(apps)
    for name, host in written.hosts.items():
        for index, app in enumerate(host.apps):
            if app not in apps:
                path = ("pins", "hosts", name, "apps", index)
                yield path, shown(app), f"an app of this file: {known}"
            elif app in host.apps[:index]:
                path = ("pins", "hosts", name, "apps", index)
                yield path, f"{app} again", "each app once"
            elif app == _WHERE_REPORTS_GO:
                path = ("pins", "hosts", name, "apps", index)
                yield path, app, f"another name: apps send their reports to /v1/pins/{app}"
        if host.include_subdomains and "." not in name:
            where = ("pins", "hosts", name, "include_subdomains")
            yield where, f"true for {name}", "a name with a dot: those below it are yours"
    if seconds(written.soft_expiry) >= seconds(written.hard_expiry):
        expected = f"less than hard_expiry, {written.hard_expiry}"
        yield ("pins", "soft_expiry"), shown(written.soft_expiry), expected
    if written.reports is not None:
        yield from _reports(written, written.reports)


_WHERE_REPORTS_GO: Final = "reports"
"""What stands in the place of an app's name where apps report mismatches, and so is no name of one with pins."""


def _reports(written: WrittenPins, url: str) -> Iterator[Inconsistency]:
    """Find a place for reports that the very mismatch cuts off, or that apps won't take."""
    try:
        host = host_of_url(url)
    except PinError as error:
        yield ("pins", "reports"), shown(url), error.detail.partition("expected ")[2] or "a URL"
        return
    if any(
        host == name or (each.include_subdomains and host.endswith(f".{name}"))
        for name, each in written.hosts.items()
    ):
        # A mismatch on it would cut off its own report.
        yield ("pins", "reports"), shown(url), "a host that isn't pinned"
