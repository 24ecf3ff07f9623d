"""Name the libraries and services that many apps bring along."""

from collections.abc import Mapping
from typing import Final

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
