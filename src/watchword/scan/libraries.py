"""Tell the app's own classes from libraries that everybody uses."""

from collections.abc import Iterator

from watchword.scan.app import App

LIBRARIES = (
    "android.",
    "androidx.",
    "com.android.",
    "com.google.",
    "com.facebook.",
    "com.squareup.",
    "com.fasterxml.",
    "io.grpc.",
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
