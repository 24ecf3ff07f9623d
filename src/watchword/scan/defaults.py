"""List what Android and iOS do where an app states nothing, by version, each with the source that says so.

A default changes twice: with the version that an app targets, and with the device, for an older system knows nothing of a
newer one's default.  A rule asks a row which phones still do as before, and merges the answer with what the app states.
What only phones are open to that the newest default doesn't reach is told as low, and proves nothing.

Every row was read at the address that it names, on the day that it names; what couldn't be read isn't here.
"""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final

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
    read: date = date(2026, 11, 29)

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


_AOSP: Final = "https://github.com/aosp-mirror/platform_frameworks_base/blob"
_CHROMIUM: Final = "https://github.com/chromium/chromium/blob"
_WEBVIEW: Final = (
    f"{_CHROMIUM}/009623c1591da0652430ac8e5ed755df8bb0c0e5"
    "/android_webview/java/src/org/chromium/android_webview/AwSettings.java"
)
_WEBVIEW_GLUE: Final = (
    f"{_CHROMIUM}/02de291aa214bb38d281192e2b671d9e9d2ef935"
    "/android_webview/glue/java/src/com/android/webview/chromium/WebViewChromium.java"
)
_BACKUP: Final = "https://developer.android.com/about/versions/12/backup-restore"
_APPLICATION: Final = (
    "https://docs.huihoo.com/android/2.3/guide/topics/manifest/application-element.html"
)
_ATS: Final = "https://developer.apple.com/documentation/bundleresources/information_property_list/nsapptransportsecurity"

WEBVIEW_FILES: Final = PlatformDefault(
    setting="WebSettings.setAllowFileAccess",
    rules=("webview",),
    target=30,
    before="pages may be loaded from files",
    after="no files but the app's assets and resources",
    source=_WEBVIEW,
)
WEBVIEW_FILE_URLS: Final = PlatformDefault(
    setting="WebSettings.setAllowFileAccessFromFileURLs and setAllowUniversalAccessFromFileURLs",
    rules=("webview",),
    target=16,
    before="a page from a file reads other files and every site",
    after="it reads neither",
    source=_WEBVIEW_GLUE,
)
WEBVIEW_MIXED: Final = PlatformDefault(
    setting="WebSettings.setMixedContentMode",
    rules=("webview",),
    target=21,
    device=21,
    system="Android 5 (API 21)",
    before="a page that came by TLS loads parts without",
    after="it loads none",
    source=_WEBVIEW_GLUE,
)
WEBVIEW_BRIDGE: Final = PlatformDefault(
    setting="WebView.addJavascriptInterface",
    rules=("webview",),
    target=17,
    device=17,
    system="Android 4.2 (API 17)",
    before="pages reach every public method of the object",
    after="only methods that are marked by @JavascriptInterface",
    source="https://github.com/android/platform_frameworks_base/commit/e91d5bee241f30513b82263bc71b56abfde8ad8d",
)
WEBVIEW_CONTENT: Final = PlatformDefault(
    setting="WebSettings.setAllowContentAccess",
    rules=("webview",),
    before="pages may load what content providers give",
    after="pages may load what content providers give",
    source=f"{_AOSP}/00d2eba50172a6763f3414c092be05a3b283b851/core/java/android/webkit/WebSettings.java",
)
CLEARTEXT: Final = PlatformDefault(
    setting="cleartext where neither the manifest nor a network security config states it",
    rules=("cleartext-traffic",),
    target=28,
    device=28,
    system="Android 9 (API 28)",
    before="permitted",
    after="refused",
    source=f"{_AOSP}/0172a23b1af4735bcca3580bc53e37f57a639c7a/core/java/android/security/net/config/NetworkSecurityConfig.java",
)
CLEARTEXT_FLAG: Final = PlatformDefault(
    setting="android:usesCleartextTraffic",
    rules=("cleartext-traffic",),
    device=23,
    system="Android 6 (API 23)",
    before="not known, so that cleartext is permitted",
    after="heeded",
    source="https://learn.microsoft.com/en-us/dotnet/api/android.resource.attribute.usescleartexttraffic",
)
NETWORK_CONFIG: Final = PlatformDefault(
    setting="android:networkSecurityConfig, with its pins",
    rules=("cleartext-traffic", "pinning"),
    device=24,
    system="Android 7 (API 24)",
    before="not known",
    after="heeded",
    source="https://developer.android.com/about/versions/17/behavior-changes-all",
)
USER_AUTHORITIES: Final = PlatformDefault(
    setting="authorities that the phone's owner installs",
    rules=("pinning",),
    target=24,
    device=24,
    system="Android 7 (API 24)",
    before="trusted",
    after="not trusted",
    source=f"{_AOSP}/0172a23b1af4735bcca3580bc53e37f57a639c7a/core/java/android/security/net/config/NetworkSecurityConfig.java",
)
EXPORTED_BY_FILTER: Final = PlatformDefault(
    setting="android:exported of an activity, service or receiver with an intent filter",
    rules=("exported-components", "install-refused"),
    target=31,
    device=31,
    system="Android 12 (API 31)",
    before="exported",
    after="has to be stated, or the app isn't installed",
    source=f"{_AOSP}/022e707f9094cb7b9ac46ca7ab1cb643ab2f42f8/core/java/android/content/pm/parsing/component/ParsedActivityUtils.java",
    more=("https://developer.android.com/about/versions/12/behavior-changes-12#exported",),
)
PROVIDERS: Final = PlatformDefault(
    setting="android:exported of a provider",
    rules=("exported-components",),
    target=17,
    device=17,
    system="Android 4.2 (API 17)",
    before="exported",
    after="not exported",
    source=f"{_AOSP}/022e707f9094cb7b9ac46ca7ab1cb643ab2f42f8/core/java/android/content/pm/parsing/component/ParsedProviderUtils.java",
    more=("https://developer.android.com/privacy-and-security/risks/android-exported",),
)
BACKUP: Final = PlatformDefault(
    setting="android:allowBackup",
    rules=("backup-allowed",),
    before="on",
    after="on",
    source="https://man.hubwiz.com/docset/Mono.docset/Contents/Resources/Documents/api.xamarin.com/monodoc587d-2.html",
)
BACKUP_TRANSFER: Final = PlatformDefault(
    setting="a move to a new phone",
    rules=("backup-allowed",),
    target=31,
    device=31,
    system="Android 12 (API 31)",
    before="heeds android:allowBackup and android:fullBackupContent",
    after="heeds android:dataExtractionRules alone, and copies everything where there are none",
    source=_BACKUP,
)
BACKUP_RULES: Final = PlatformDefault(
    setting="android:dataExtractionRules",
    rules=("backup-allowed",),
    device=31,
    system="Android 12 (API 31)",
    before="not known; android:fullBackupContent counts",
    after="heeded",
    source=_BACKUP,
)
DEBUGGABLE: Final = PlatformDefault(
    setting="android:debuggable",
    rules=("debuggable",),
    before="off",
    after="off",
    source=_APPLICATION,
)
APP_LINKS: Final = PlatformDefault(
    setting="android:autoVerify",
    rules=("deep-links",),
    device=23,
    system="Android 6 (API 23)",
    before="not known, so that every app may claim the link",
    after="the site has to vouch for the app",
    source="https://developer.android.com/training/app-links/verify-applinks",
)
PENDING_INTENTS: Final = PlatformDefault(
    setting="PendingIntent without FLAG_IMMUTABLE or FLAG_MUTABLE",
    rules=("pending-intents",),
    target=31,
    device=31,
    system="Android 12 (API 31)",
    before="mutable",
    after="refused when it is made",
    source="https://learn.microsoft.com/en-us/dotnet/api/android.app.pendingintent.flagmutable",
)
TASKS: Final = PlatformDefault(
    setting="an activity of another app in this app's task (StrandHogg)",
    rules=("task-hijacking",),
    target=28,
    before="possible",
    after="prevented",
    source="https://googlesamples.github.io/android-custom-lint-rules/checks/StrandhoggVulnerable.md.html",
)
SIGNATURE_V2: Final = PlatformDefault(
    setting="APK signature scheme v2",
    rules=("signing-scheme", "install-refused"),
    device=24,
    system="Android 7 (API 24)",
    before="not known; the v1 signature counts",
    after="verified, over the whole package",
    source="https://source.android.com/security/apksigning/v2.html",
)
JANUS: Final = PlatformDefault(
    setting="code in front of a package that is signed by v1 (Janus, CVE-2017-13156)",
    rules=("signing-scheme",),
    device=27,
    system="Android 8.1 (API 27)",
    before="run without breaking the signature",
    after="refused",
    source="https://raw.githubusercontent.com/CVEProject/cvelistV5/main/cves/2017/13xxx/CVE-2017-13156.json",
)
V1_ALONE: Final = PlatformDefault(
    setting="a package that is signed by v1 alone",
    rules=("install-refused",),
    target=30,
    device=30,
    system="Android 11 (API 30)",
    before="installed",
    after="not installed",
    source=f"{_AOSP}/00dc69492890104aba55aa304492d3bb073fb24e/core/java/android/util/apk/ApkSignatureVerifier.java",
)
RESOURCES: Final = PlatformDefault(
    setting="resources.arsc that is compressed, or doesn't start at a multiple of four bytes",
    rules=("install-refused",),
    target=30,
    device=30,
    system="Android 11 (API 30)",
    before="installed",
    after="not installed",
    source="https://developer.android.com/preview/behavior-changes-11?hl=fr",
)
ATS: Final = PlatformDefault(
    setting="App Transport Security",
    rules=("ats-exceptions",),
    target=9,
    device=9,
    system="iOS 9",
    before="off",
    after="on: cleartext is refused",
    source=_ATS,
)
ATS_NARROWER: Final = PlatformDefault(
    setting="NSAllowsArbitraryLoadsInWebContent, -ForMedia and NSAllowsLocalNetworking",
    rules=("ats-exceptions",),
    device=10,
    system="iOS 10",
    before="not known; NSAllowsArbitraryLoads counts",
    after="heeded, in the place of NSAllowsArbitraryLoads",
    source=_ATS,
)
PINNED_DOMAINS: Final = PlatformDefault(
    setting="NSPinnedDomains",
    rules=("ios-pinned-domains",),
    device=14,
    system="iOS 14",
    before="not known, so that nothing is pinned",
    after="heeded",
    source="https://developer.apple.com/documentation/bundleresources/information-property-list/nsapptransportsecurity/nspinneddomains.md",
)

ANDROID_DEFAULTS: Final = (
    WEBVIEW_FILES,
    WEBVIEW_FILE_URLS,
    WEBVIEW_MIXED,
    WEBVIEW_BRIDGE,
    WEBVIEW_CONTENT,
    CLEARTEXT,
    CLEARTEXT_FLAG,
    NETWORK_CONFIG,
    USER_AUTHORITIES,
    EXPORTED_BY_FILTER,
    PROVIDERS,
    BACKUP,
    BACKUP_TRANSFER,
    BACKUP_RULES,
    DEBUGGABLE,
    APP_LINKS,
    PENDING_INTENTS,
    TASKS,
    SIGNATURE_V2,
    JANUS,
    V1_ALONE,
    RESOURCES,
)
IOS_DEFAULTS: Final = (ATS, ATS_NARROWER, PINNED_DOMAINS)
