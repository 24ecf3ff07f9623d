"""Tell the app's own classes from the libraries and services that many apps bring along."""

from collections.abc import Iterator, Mapping
from typing import Final

from watchword.encoding.tables import read_table
from watchword.scan.app import App, Code, Manifest, Method

_TABLE: Final = read_table("watchword.scan", "libraries.toml")

SDKS: Final[Mapping[str, str]] = _TABLE["sdks"]
"""Name of a library by the prefix of its classes: ours, and short; an inventory of all is another matter."""


def is_sdk(cls: str) -> bool:
    """Tell whether a class is of a library that is named here."""
    return cls.startswith(_PREFIXES)


_PREFIXES: Final = tuple(SDKS)


SHORT: Final = 2
"""Up to how many characters a name has that a shrinker gave."""

_HOPS: Final = 3
"""Over how many calls a renamed method is followed back to code that is surely the app's."""

LIBRARIES: Final[tuple[str, ...]] = tuple(_TABLE["libraries"])
"""Prefixes of classes that are somebody else's: their constants and traps aren't the app's secrets."""

ASSEMBLIES: Final[tuple[str, ...]] = tuple(_TABLE["assemblies"])
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
