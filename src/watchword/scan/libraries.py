"""Tell the app's own classes from libraries that everybody uses."""

from collections.abc import Iterator

from watchword.scan.app import App

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
