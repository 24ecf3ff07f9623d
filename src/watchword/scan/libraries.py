"""Tell the app's own classes from the libraries and services that many apps bring along."""

from collections.abc import Iterator, Mapping
from typing import Final

from watchword.scan.app import App, Code, Manifest, Method

SDKS: Final[Mapping[str, str]] = {
    "com.adjust.sdk.": "Adjust (attribution)",
    "com.airbnb.lottie.": "Lottie (animation)",
    "com.amazonaws.": "AWS SDK (cloud)",
    "com.amplitude.": "Amplitude (analytics)",
    "com.appsflyer.": "AppsFlyer (attribution)",
    "com.braintreepayments.": "Braintree (payments)",
    "com.braze.": "Braze (messages)",
    "com.bugsnag.": "Bugsnag (crash reports)",
    "com.bumptech.glide.": "Glide (images)",
    "com.crashlytics.": "Crashlytics (crash reports)",
    "com.datadog.": "Datadog (monitoring)",
    "com.facebook.ads.": "Meta Audience Network (advertising)",
    "com.facebook.login.": "Facebook Login (sign-in)",
    "com.facebook.react.": "React Native (framework)",
    "com.flurry.": "Flurry (analytics)",
    "com.google.ads.": "Google Ads (advertising)",
    "com.google.android.gms.ads.": "Google Mobile Ads (advertising)",
    "com.google.android.gms.maps.": "Google Maps (maps)",
    "com.google.android.gms.safetynet.": "SafetyNet (attestation, withdrawn)",
    "com.google.android.play.core.integrity.": "Play Integrity (attestation)",
    "com.google.firebase.": "Firebase (cloud)",
    "com.google.gson.": "Gson (JSON)",
    "com.mixpanel.": "Mixpanel (analytics)",
    "com.newrelic.": "New Relic (monitoring)",
    "com.okta.": "Okta (sign-in)",
    "com.onesignal.": "OneSignal (messages)",
    "com.paypal.": "PayPal (payments)",
    "com.revenuecat.": "RevenueCat (payments)",
    "com.scottyab.rootbeer.": "RootBeer (root checks)",
    "com.segment.": "Segment (analytics)",
    "com.squareup.picasso.": "Picasso (images)",
    "com.stripe.": "Stripe (payments)",
    "com.unity3d.": "Unity (framework)",
    "com.auth0.": "Auth0 (sign-in)",
    "com.datatheorem.android.trustkit.": "TrustKit (pinning)",
    "io.branch.": "Branch (attribution)",
    "io.flutter.": "Flutter (framework)",
    "io.intercom.": "Intercom (messages)",
    "io.realm.": "Realm (database)",
    "io.sentry.": "Sentry (crash reports)",
    "net.openid.appauth.": "AppAuth (sign-in)",
    "net.sqlcipher.": "SQLCipher (encrypted database)",
    "okhttp3.": "OkHttp (HTTP)",
    "com.squareup.okhttp.": "OkHttp 2 (HTTP, no longer maintained)",
    "org.apache.cordova.": "Cordova (framework)",
    "org.apache.http.": "Apache HTTP client",
    "org.bouncycastle.": "Bouncy Castle (cryptography)",
    "retrofit2.": "Retrofit (HTTP)",
    "com.jakewharton.": "Jake Wharton's libraries (interface)",
    "com.nineoldandroids.": "NineOldAndroids (animation)",
    "com.sun.mail.": "JavaMail (mail)",
    "io.fabric.": "Fabric (crash reports)",
    "net.hockeyapp.": "HockeyApp (crash reports, withdrawn)",
    "org.acra.": "ACRA (crash reports)",
    "org.greenrobot.": "greenrobot's libraries (events)",
    "timber.log.": "Timber (logs)",
}
"""Name of a library by the prefix of its classes: ours, and short; an inventory of all is another matter."""


def is_sdk(cls: str) -> bool:
    """Tell whether a class is of a library that is named here."""
    return cls.startswith(_PREFIXES)


_PREFIXES: Final = tuple(SDKS)


SHORT: Final = 2
"""Up to how many characters a name has that a shrinker gave."""

_HOPS: Final = 3
"""Over how many calls a renamed method is followed back to code that is surely the app's."""

LIBRARIES = (
    "android.",
    "androidx.",
    "com.android.",
    "com.google.",
    "com.facebook.",
    "com.ibm.icu.",
    "com.nimbusds.",
    "com.squareup.",
    "com.fasterxml.",
    "io.grpc.",
    "io.jsonwebtoken.",
    "io.netty.",
    "io.reactivex.",
    "java.",
    "javax.",
    "kotlin.",
    "kotlinx.",
    "mono.android.",
    "okhttp3.",
    "okio.",
    "org.apache.",
    "org.bouncycastle.",
    "org.intellij.",
    "org.jetbrains.",
    "org.json.",
    "org.slf4j.",
    "org.spongycastle.",
    "org.xmlpull.",
    "retrofit2.",
    "rx.",
    "scala.",
)
"""Prefixes of classes that are somebody else's: their constants and traps aren't the app's secrets."""

ASSEMBLIES = (
    "FormsViewGroup.",
    "GoogleGson.",
    "Java.Interop.",
    "Microsoft.",
    "Mono.",
    "System.",
    "Xamarin.",
    "mscorlib.",
    "netstandard.",
    "UnityEngine.",
    "UnityEditor.",
    "Unity.",
    "Windows.",
    "WindowsBase.",
)
"""Prefixes of assemblies of .NET that are of the platform, or of Microsoft's and Unity's frameworks; each name with a dot behind it."""


def own_classes(app: App) -> Iterator[str]:
    """Yield the classes that are the app's own, in order."""
    package = package_of(app)
    if app.code is not None:
        yield from (cls for cls in app.code.classes if is_own(cls, package))


def package_of(app: App) -> str:
    """Return the app's own package, empty where nothing states one."""
    return "" if app.manifest is None else app.manifest.package


def is_own(cls: str, package: str = "") -> bool:
    """Tell whether a class is the app's own, as far as its name tells.

    :param package: the app's, which wins: an app may be called as the system's libraries are.
    """
    if package and cls.startswith(f"{package}."):
        return True
    return not cls.startswith(LIBRARIES)


def is_own_assembly(name: str) -> bool:
    """Tell whether an assembly of .NET is the app's own or a small library's, as far as its name tells."""
    return not f"{name}.".startswith(ASSEMBLIES)


def of_framework(file: str) -> bool:
    """Tell whether a file is an assembly that isn't the app's own: what it names is the same in every app."""
    name, _, ending = file.rpartition("/")[2].rpartition(".")
    return ending.lower() in {"dll", "exe"} and not is_own_assembly(name)


def owns(cls: str, package: str) -> bool:
    """Tell whether a class is the app's own: under its package, or under no known library's."""
    under = bool(package) and cls.startswith(f"{package}.")
    return is_own(cls, package) and (under or not is_sdk(cls))


def renamed(cls: str, manifest: Manifest | None) -> bool:
    """Tell whether a class lies in a package as shrinkers name them, and isn't what the manifest names."""
    if manifest is not None:
        outer = cls.partition("$")[0]
        if cls.startswith(f"{manifest.package}.") or any(
            each.name == outer for each in manifest.components
        ):
            return False
    return all(len(each) <= SHORT for each in cls.split(".")[:-1])


def unsure(by: Method, code: Code, manifest: Manifest | None) -> bool:
    """Tell whether a method counts as own only since it was renamed, and nothing that is surely own calls it.

    It may as well be a library's: shrinkers rename libraries too, and some of these look for root or read certificates.
    """
    if not renamed(by.cls, manifest):
        return False
    package = "" if manifest is None else manifest.package
    seen, edge = {(by.cls, by.name)}, [(by.cls, by.name)]
    for _ in range(_HOPS):
        callers = {use.by for each in edge for use in code.calls(*each)}
        if any(owns(each.cls, package) and not renamed(each.cls, manifest) for each in callers):
            return False
        edge = sorted({(each.cls, each.name) for each in callers} - seen)
        seen.update(edge)
    return True
