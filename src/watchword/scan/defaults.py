"""List what Android and iOS do where an app states nothing, by version, each with the source that says so.

A default changes twice: with the version that an app targets, and with the device, for an older system knows nothing of a
newer one's default.  A rule asks a row which phones still do as before, and merges the answer with what the app states.
What only phones are open to that the newest default doesn't reach is told as low, and proves nothing.

Every row was read at the address that it names, on the day that it names; what couldn't be read isn't here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any, Final

from watchword.encoding.tables import read_table
from watchword.scan.app import App, Container, IosInfo

MOST_LEVEL: Final = 200
"""The highest API level that is taken for one.  A code name stands for 10,000, and what nobody released has no defaults yet."""


class Where(StrEnum):
    """Say on which phones that an app admits the default is the one of before.

    ``unknown``: the app names a version that nobody knows, such as a code name; then neither is taken for granted.
    """

    EVERYWHERE = "everywhere"
    OLDER = "older"
    NOWHERE = "nowhere"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Levels:
    """Hold the oldest version that an app admits and the one that it targets; None for a version that isn't known.

    Of Android the API levels, of iOS the major versions of the system and of the SDK that the app is linked with.
    """

    least: int | None
    target: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformDefault:
    """Hold one default.

    :param setting: what it decides, for people.
    :param rules: ids of the rules that rest on it.
    :param target: the first version that an app must target for the later default; 0 for whatever it targets.
    :param device: the first version of the system that has the later default; 0 for whatever the phone.
    :param system: name of the version ``device``.
    :param before: what holds below either version, and ``after`` what holds from both on; alike where no version changes it.
    :param source: an address that says so, and ``more`` of them where it takes several; read on the day ``read``.
    """

    setting: str
    rules: tuple[str, ...]
    target: int = 0
    device: int = 0
    system: str = ""
    before: str
    after: str
    source: str
    more: tuple[str, ...] = ()
    read: date

    def before_on(self, levels: Levels) -> Where:
        """Return on which of the phones that an app admits the default of before holds."""
        if self.target and levels.target is not None and levels.target < self.target:
            return Where.EVERYWHERE
        if self.target and levels.target is None:
            return Where.UNKNOWN
        if not self.device:
            return Where.NOWHERE
        if levels.least is None:
            return Where.UNKNOWN
        return Where.OLDER if levels.least < self.device else Where.NOWHERE

    @property
    def older(self) -> str:
        """Return which phones have the default of before whatever an app targets, to begin a sentence with."""
        return f"Phones before {self.system}"

    @property
    def older_inside(self) -> str:
        """Return the same for the inside of a sentence."""
        return f"phones before {self.system}"


def levels_of(app: App) -> Levels:
    """Return the API levels of an Android app: those that its manifest states, and none that its signature keeps out."""
    if app.manifest is None:
        return Levels(None, None)
    levels = android_levels(app.manifest.min_sdk, app.manifest.target_sdk)
    schemes = app.signing.schemes if app.signing is not None else ()
    if app.container is Container.AAB or not schemes or "v1" in schemes or levels.least is None:
        return levels
    # Phones that know no scheme but v1 don't install it, whatever its minSdk admits.
    return replace(levels, least=max(levels.least, SIGNATURE_V2.device))


def android_levels(least: int | None, target: int | None) -> Levels:
    """Return API levels as the system takes them: 1 where no oldest one is stated, the oldest where no other is targeted.

    Source: https://developer.android.com/guide/topics/manifest/uses-sdk-element, by way of copies read on 2026-11-29.
    """
    first = 1 if least is None else least
    return Levels(_known(first), _known(first if target is None else target))


def ios_levels(ios: IosInfo) -> Levels:
    """Return the oldest system that an app of iOS admits, and the SDK that it says it was linked with."""
    name = ios.info.get("DTSDKName")
    linked = name.removeprefix("iphoneos") if isinstance(name, str) else None
    return Levels(_major(ios.minimum_os), _major(linked))


def _known(level: int) -> int | None:
    return max(level, 1) if level <= MOST_LEVEL else None


def _major(text: str | None) -> int | None:
    major = (text or "").partition(".")[0]
    return _known(int(major)) if major.isascii() and major.isdecimal() and len(major) < 4 else None


def _row(written: Mapping[str, Any]) -> PlatformDefault:
    listed = {"rules": tuple(written["rules"]), "more": tuple(written.get("more", ()))}
    return PlatformDefault(**{**written, **listed})


_ROWS: Final = {
    platform: {name: _row(written) for name, written in rows.items()}
    for platform, rows in read_table("watchword.scan", "defaults.toml").items()
}

WEBVIEW_FILES: Final = _ROWS["android"]["webview_files"]
WEBVIEW_FILE_URLS: Final = _ROWS["android"]["webview_file_urls"]
WEBVIEW_MIXED: Final = _ROWS["android"]["webview_mixed"]
WEBVIEW_BRIDGE: Final = _ROWS["android"]["webview_bridge"]
WEBVIEW_CONTENT: Final = _ROWS["android"]["webview_content"]
CLEARTEXT: Final = _ROWS["android"]["cleartext"]
CLEARTEXT_FLAG: Final = _ROWS["android"]["cleartext_flag"]
NETWORK_CONFIG: Final = _ROWS["android"]["network_config"]
USER_AUTHORITIES: Final = _ROWS["android"]["user_authorities"]
EXPORTED_BY_FILTER: Final = _ROWS["android"]["exported_by_filter"]
PROVIDERS: Final = _ROWS["android"]["providers"]
BACKUP: Final = _ROWS["android"]["backup"]
BACKUP_TRANSFER: Final = _ROWS["android"]["backup_transfer"]
BACKUP_RULES: Final = _ROWS["android"]["backup_rules"]
DEBUGGABLE: Final = _ROWS["android"]["debuggable"]
APP_LINKS: Final = _ROWS["android"]["app_links"]
PENDING_INTENTS: Final = _ROWS["android"]["pending_intents"]
TASKS: Final = _ROWS["android"]["tasks"]
SIGNATURE_V2: Final = _ROWS["android"]["signature_v2"]
JANUS: Final = _ROWS["android"]["janus"]
V1_ALONE: Final = _ROWS["android"]["v1_alone"]
RESOURCES: Final = _ROWS["android"]["resources"]
ATS: Final = _ROWS["ios"]["ats"]
ATS_NARROWER: Final = _ROWS["ios"]["ats_narrower"]
PINNED_DOMAINS: Final = _ROWS["ios"]["pinned_domains"]


ANDROID_DEFAULTS: Final = tuple(_ROWS["android"].values())
IOS_DEFAULTS: Final = tuple(_ROWS["ios"].values())
