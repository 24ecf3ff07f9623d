"""Recognise the frameworks whose code isn't in the DEX, and tell how far that code was read.

What lies between a reader of such code and the rules, in one place:

1. ``frameworks.toml`` says by which entries, symbols and first bytes each :class:`~watchword.scan.app.Framework` is recognised, and
   which entries hold its code.  :func:`recognise` puts what it finds into ``Coverage.frameworks``, with
   ``Depth.UNREAD`` for whatever no reader spoke of.
2. A **reader** that read the code of an entry calls ``notes.code(entry, Depth.STRINGS)`` (all its string constants, cut as the code has
   them) or ``notes.code(entry, Depth.CALLS)``.  It speaks only of what it read as a whole: an entry with a gap is unread.  A framework
   is as deep as its least read entry.  A reader that makes one entry of another's (an assembly of a store) speaks of the
   entry in the archive.
3. A **rule** says in ``reads`` how deep each framework's code must have been read for the rule to see it (:data:`STRINGS`,
   :data:`NO_CODE`, or a table of its own such as ``{Framework.DOTNET: Depth.CALLS}``).  What isn't named there is never seen by the
   rule, and a rule without ``reads`` sees none: the default is closed.
4. ``Coverage.unread(rule.reads)`` are the frameworks that a rule didn't see.  While there are any, the rule answers "not seen" where it
   would say "absent" or "clean", and none of its protections is proven (``Look``, ``outcome.standings_of``).

So a reader that lands later calls ``notes.code``; rules over texts see what it read at once, and a rule over calls when its table names
the framework.
"""

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from watchword.encoding.tables import read_table
from watchword.scan.app import (
    Code,
    Container,
    Coverage,
    Depth,
    Framework,
    FrameworkCode,
    Manifest,
    Native,
    Part,
)
from watchword.scan.archive.interface import SPLIT_END, Archive, inner_name
from watchword.scan.ios.macho import is_macho
from watchword.scan.libraries import owns, unsure
from watchword.scan.notes import Notes
from watchword.scan.texts import hermes

NO_CODE: Final[Mapping[Framework, Depth]] = dict.fromkeys(Framework, Depth.UNREAD)
"""For a rule that asks no code: it looks at the manifest, a property list, a signature or headers alone."""

STRINGS: Final[Mapping[Framework, Depth]] = dict.fromkeys(Framework, Depth.STRINGS)
"""For a rule that looks for texts, in whatever language the code is written."""

_NATIVE: Final = (Framework.NATIVE, Framework.NATIVE_NETWORK)

NATIVE_HEADERS: Final[Mapping[Framework, Depth]] = dict.fromkeys(_NATIVE, Depth.UNREAD)
"""For a rule over how DEX is written, which says nothing of native code."""

NATIVE_STRINGS: Final[Mapping[Framework, Depth]] = dict.fromkeys(_NATIVE, Depth.STRINGS)
"""For a rule that looks into strings and symbols of native code beside the DEX."""

OFFLINE: Final[Mapping[Framework, Depth]] = {Framework.NATIVE: Depth.STRINGS}
"""For a rule over connections: native code that opens none, as far as its symbols and strings tell, has no say in them."""

PLATFORM_NETWORK: Final[Mapping[Framework, Depth]] = {
    **OFFLINE,
    **dict.fromkeys((Framework.WEB, Framework.REACT_NATIVE, Framework.HERMES), Depth.UNREAD),
}
"""For a rule over the platform's network settings: requests of these scripts are made by the platform, so that they're bound.

Sources, looked at on 2026-11-29: github.com/apache/cordova-docs, pull request 1050 (cleartext is off by default on Android 9); the template
of React Native, whose debug builds need ``usesCleartextTraffic``.  Of other frameworks nobody knows: they may bring sockets of their own.
"""

_NAMED: Final = 3
"""How many frameworks a line names."""

MOST_PEEKS: Final = 20_000
"""How many entries are looked at by their first bytes."""

_HEAD: Final = 64
_SAMPLE: Final = 16 * 1024
_LEAST_PAYLOAD: Final = 16 * 1024
_RANDOM_FROM: Final = 7.5
"""Bits of entropy a byte, from which on a sample is encrypted or packed; code and text have about six."""


_MAGICS: Final = {
    b"\0asm": Framework.WASM,
    b"XABA": Framework.DOTNET,
    b"XALZ": Framework.DOTNET,
    b"\xaf\x1b\xb1\xfa": Framework.UNITY_IL2CPP,
}
_PLACES: Final = re.compile(r"(?:assets|res/raw|root|assemblies)/")
_ELF: Final = b"\x7fELF"
_KNOWN: Final = (
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"OggS", b"ID3", b"\xff\xfb", b"fLaC", b"wOFF", b"wOF2", b"\x1f\x8b", b"PK\3\4",
    b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd", b"%PDF", b"\x1aE\xdf\xa3", b"UnityFS", b"dex\n", b"\x7fELF",
)  # fmt: skip
"""First bytes of forms that are packed by themselves: pictures, sounds, archives."""

_MEDIA: Final = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg", ".ttf", ".otf", ".mp3", ".ogg", ".wav", ".mp4", ".css", ".xml",
)  # fmt: skip
"""Endings of what no framework keeps code in."""

_LOADERS: Final = (
    ("dalvik.system.BaseDexClassLoader", "<init>"),
    ("dalvik.system.DexClassLoader", "<init>"),
    ("dalvik.system.InMemoryDexClassLoader", "<init>"),
    ("dalvik.system.DelegateLastClassLoader", "<init>"),
    ("dalvik.system.PathClassLoader", "<init>"),
    ("dalvik.system.DexFile", "<init>"),
    ("dalvik.system.DexFile", "loadDex"),
    ("java.lang.System", "load"),
    ("java.lang.Runtime", "load"),
)
"""What loads code from a file of any place, which may have come later."""

_CONNECTS: Final = re.compile(
    "(?:connect|socket|sendto|getaddrinfo|gethostbyname|dlopen|dlsym|android_dlopen_ext|Java_.*(?:[Ss]ocket|[Hh]ttp|[Tt]ls|[Ss]sl).*"
    "|(?:SSL|BIO|TLS|curl|mbedtls|wolfSSL|nghttp2|quiche|grpc|boringssl)_.*)"
)
"""Symbols of code that opens connections, or gets at any other code.  A system call of its own has no name, and isn't seen."""

_JAVA_NETWORK: Final = (
    "java/net/",
    "javax/net/",
    "okhttp3/",
    "android/webkit/",
    "java.net.",
    "okhttp3.",
)
"""What native code names that has classes of the platform connect."""

_ASSET_PAGES: Final = (
    "file:///android_asset/",
    "file:///android_res/",
    "https://appassets.androidplatform.net",
)
_PAGE_LOADER: Final = "androidx.webkit.WebViewAssetLoader"
"""What shows pages of the package, and at which address where nothing else is said: androidx.de/androidx/webkit/WebViewAssetLoader.html,
read on 2026-11-29."""

_LONGEST_PAGE: Final = 256 * 1024
_LIBRARY: Final = re.compile(r"lib/[^/]+/([^/]+)\.so(?:\.\d+)*")
_NATIVE_ACTIVITY: Final = "android.app.NativeActivity"
_PLATFORM: Final = ("android.", "com.android.internal.")
"""Begins of names of classes that the system brings along."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Hold what one entry of the table says."""

    framework: Framework
    name: str
    marks: re.Pattern[str]
    groups: tuple[re.Pattern[str], ...]
    symbols: tuple[str, ...]
    unless: frozenset[Framework]


def _pattern(patterns: Sequence[str]) -> re.Pattern[str]:
    # What no path is, where there is none.
    return re.compile("|".join(patterns) if patterns else r"(?!)")


_TABLE: Final = read_table("watchword.scan", "frameworks.toml")
_ALL: Final = tuple(
    _Known(
        framework=Framework(each["id"]),
        name=each["name"],
        marks=_pattern(each["marks"]),
        groups=tuple(map(_pattern, each["code"])),
        symbols=tuple(each.get("symbols", ())),
        unless=frozenset(map(Framework, each.get("unless", ()))),
    )
    for each in _TABLE["framework"]
)
_PACKERS: Final = {name: _pattern(patterns) for name, patterns in _TABLE["packers"].items()}


def recognise(
    archive: Archive,
    container: Container,
    notes: Notes,
    manifest: Manifest | None,
    code: Code | None,
    natives: Sequence[Native],
) -> tuple[FrameworkCode, ...]:
    """Return the frameworks that hold code of an app, in a fixed order; what contradicts the manifest becomes a gap.

    :param manifest: of an app for Android, None where it couldn't be read; so is the code.
    """
    looking = _Recognition(archive, container, notes, natives)
    found = [*looking.frameworks()]
    if container is Container.IPA:
        found.append(looking.executable())
    else:
        if manifest is not None and manifest.needs_splits:
            looking.splits()
        found += looking.hidden(manifest, code)
        found += looking.native(manifest, code, found)
    return tuple(found)


def place_of(name: str, container: Container) -> str:
    """Return an entry's path as it would stand in an APK: without its split, its module, or the folder of an iOS app."""
    name = inner_name(name)
    if container is Container.IPA:
        return re.sub(r"^Payload/[^/]+\.app/", "", name)
    if container is Container.AAB:
        return re.sub(r"^[^/]+/(?:root/)?", "", name)
    return name


def unread_line(coverage: Coverage, reads: Mapping[Framework, Depth]) -> str:
    """Say which code a rule didn't see, as the end of a sentence; empty for none."""
    unread = [str(each) for each in coverage.unread(reads)]
    if not unread:
        return ""
    more = f" and {len(unread) - _NAMED} more" if len(unread) > _NAMED else ""
    return f"not enough was read of {', '.join(unread[:_NAMED])}{more}"


class _Recognition:
    """Look at one package."""

    def __init__(
        self, archive: Archive, container: Container, notes: Notes, natives: Sequence[Native]
    ) -> None:
        self._archive = archive
        self._notes = notes
        self._natives = natives
        self._places = {
            name: place_of(name, container) for name in archive.names if not name.endswith("/")
        }
        # Nine of ten entries of an app are pictures and layouts: no pattern looks for one.
        self._told = {
            name: place for name, place in self._places.items() if not place.endswith(_MEDIA)
        }
        self._ios = container is Container.IPA
        self._heads = self._peeked()
        self._engine: set[str] = set()

    def frameworks(self) -> Iterator[FrameworkCode]:
        """Yield those that the table knows."""
        found: set[Framework] = set()
        for known in _ALL:
            if known.unless & found:
                continue
            for each in self._of(known):
                found.add(each.framework)
                yield each

    def _of(self, known: _Known) -> Iterator[FrameworkCode]:
        marks = [name for name, place in self._told.items() if known.marks.fullmatch(place)]
        kinds = {known.framework}
        if known.framework is Framework.REACT_NATIVE:
            kinds.add(Framework.HERMES)
        heads = [name for name, (kind, _) in self._heads.items() if kind in kinds]
        holders = [
            native.file
            for native in self._natives
            if any(symbol.startswith(known.symbols) for symbol in native.symbols)
        ]
        self._engine.update(marks, holders)
        if not marks and not heads and not holders:
            return
        entries = [*self._code_of(known), *heads, *holders]
        if known.framework is Framework.REACT_NATIVE:
            yield from self._scripts(known, entries, marks)
            return
        yield self._made(known.framework, known.name, min([*marks, *heads, *holders]), entries)

    def _code_of(self, known: _Known) -> list[str]:
        """Return the entries of the first group that any entry matches."""
        for group in known.groups:
            entries = [name for name, place in self._told.items() if group.fullmatch(place)]
            if entries:
                self._engine.update(entries)
                return entries
        return []

    def _scripts(
        self, known: _Known, entries: Sequence[str], marks: Sequence[str]
    ) -> Iterator[FrameworkCode]:
        """Yield the scripts of React Native, those that are bytecode for themselves."""
        versions: dict[str, list[str]] = {}
        for name in dict.fromkeys(entries):
            head = self._archive.peek(name, _HEAD)
            version = _version(head) if hermes.is_hermes(head) else None
            versions.setdefault(version or "", []).append(name)
        if not versions:
            yield self._made(known.framework, known.name, min(marks), ())
        for version, mine in sorted(versions.items()):
            if version:
                title = f"React Native (Hermes bytecode of version {version})"
                yield self._made(Framework.HERMES, title, min(mine), mine)
            else:
                yield self._made(known.framework, f"{known.name} (JavaScript)", min(mine), mine)

    def _made(
        self, framework: Framework, name: str, by: str, entries: Iterable[str]
    ) -> FrameworkCode:
        mine = tuple(sorted(set(entries)))
        depth = min(
            (self._notes.depth(each) for each in mine),
            key=lambda one: one.rank,
            default=Depth.UNREAD,
        )
        return FrameworkCode(framework, name, by, mine, depth)

    def _peeked(self) -> dict[str, tuple[Framework, str]]:
        """Return the entries whose first bytes tell a framework, with the version of bytecode, whatever they are called."""
        found: dict[str, tuple[Framework, str]] = {}
        names = [name for name, place in self._places.items() if self._ios or _PLACES.match(place)]
        if len(names) > MOST_PEEKS:
            why = f"only the first {MOST_PEEKS} files were looked at for code of frameworks"
            self._notes.gap(Part.BUNDLE, "", why)
        read = {native.file for native in self._natives}
        for name in names[:MOST_PEEKS]:
            head = self._archive.peek(name, _HEAD)
            if (head.startswith(_ELF) or is_macho(head)) and name not in read:
                why = "a program or a library among other files, which isn't read"
                self._notes.gap(Part.NATIVE, name, why)
            elif hermes.is_hermes(head):
                found[name] = (Framework.HERMES, _version(head))
            elif head[:4] in _MAGICS:
                found[name] = (_MAGICS[head[:4]], "")
        return found

    def splits(self) -> None:
        """Note the packages of the set that aren't here, if the base came alone."""
        if not any(SPLIT_END in name for name in self._places):
            why = "the app is installed with other packages of its set, which aren't here"
            for part in (Part.DEX, Part.NATIVE, Part.ASSETS, Part.BUNDLE, Part.RESOURCES):
                self._notes.gap(part, "AndroidManifest.xml", why)

    def hidden(self, manifest: Manifest | None, code: Code | None) -> Iterator[FrameworkCode]:
        """Yield code that is unpacked or fetched on the phone.

        These are signs, not proofs: an app that hides its code well enough shows none of them.
        """
        by = self._packer() or self._behind_dex()
        if manifest is not None and code is None:
            self._without_code(manifest)
        elif manifest is not None and code is not None:
            by = self._missing(manifest, code) or by or self._hollow(manifest, code)
        if code is not None:
            yield from self._pages(code)
        if by:
            yield FrameworkCode(Framework.PACKED, "code that is unpacked on the phone", by, ())
        if code is not None:
            package = "" if manifest is None else manifest.package
            users = [use.by for cls, name in _LOADERS for use in code.calls(cls, name)]
            # By reflection, as who wants to hide it does.
            users += [by for cls, _ in _LOADERS[:7] for by in code.users(cls)]
            loaders = [
                by
                for by in users
                # Libraries that many apps have load code of their own, renamed ones too.
                if owns(by.cls, package) and not unsure(by, code, manifest)
            ]
            if loaders:
                title = "code that is loaded at run time"
                yield FrameworkCode(Framework.LOADED, title, str(min(map(str, loaders))), ())

    def _pages(self, code: Code) -> Iterator[FrameworkCode]:
        """Yield scripts among the assets that the code shows as pages of its own, as Cordova would."""
        shown = next((page for each in _ASSET_PAGES for page in _first(code.strings, each)), "")
        if not shown and code.refers_to(_PAGE_LOADER):
            shown = _PAGE_LOADER
        scripts = [
            name for name, place in self._told.items() if shown and self._is_script(name, place)
        ]
        if scripts and self._engine.isdisjoint(scripts):
            yield self._made(Framework.WEB, "JavaScript in web pages", shown, scripts)

    def _is_script(self, name: str, place: str) -> bool:
        """Tell whether a file is a script that a page may load, or a page with one in it."""
        if not place.startswith(("assets/", "res/raw/")):
            return False
        page = place.endswith((".html", ".htm")) and self._archive.peek(name, _LONGEST_PAGE)
        return place.endswith((".js", ".mjs")) or b"<script" in (page or b"").lower()

    def _packer(self) -> str:
        """Say by which of its entries a packer is known; empty for none."""
        for packer, pattern in _PACKERS.items():
            for name, place in self._told.items():
                if pattern.fullmatch(place):
                    return f"{name}, which {packer} adds"
        return ""

    def _behind_dex(self) -> str:
        """Say which DEX file holds more than its header knows of; containers of several (version 41) do by design."""
        sizes = {entry.name: entry.size for entry in self._archive.entries}
        for name, place in self._places.items():
            if not re.fullmatch(r"(?:dex/)?classes\d*\.dex", place):
                continue
            head = self._archive.peek(name, 40)
            more = sizes[name] - int.from_bytes(head[32:36], "little")
            if head.startswith(b"dex\n") and head[4:7] < b"041" and more >= _LEAST_PAYLOAD:
                return f"{more:,} bytes behind the end of {name}"
        return ""

    def _without_code(self, manifest: Manifest) -> None:
        """Note a manifest that declares code where there is none."""
        if any(place.endswith(".dex") for place in self._places.values()):
            return  # What of it couldn't be read is noted by its reader.
        if manifest.has_code is False and not manifest.components:
            return
        declared = len(manifest.components)
        why = f"the manifest declares {declared} components, but the package holds no DEX"
        self._notes.gap(Part.DEX, "AndroidManifest.xml", why)

    def _missing(self, manifest: Manifest, code: Code) -> str:
        """Say what the manifest starts that no DEX holds; a gap for what is only declared."""
        if manifest.has_code is False:
            why = "the manifest says that the app has no code, but the package holds DEX"
            self._notes.gap(Part.DEX, "AndroidManifest.xml", why)
        declared = [each for each in manifest.components if each.kind != "activity-alias"]
        started = [
            *(name for name in (manifest.application, manifest.factory) if name),
            *(each.name for each in declared if each.launches),
        ]
        gone = [each for each in started if not _holds(code, each)]
        if gone:
            return f"{gone[0]}, which the manifest starts and no DEX holds"
        lost = [each.name for each in declared if not _holds(code, each.name)]
        if lost and 2 * len(lost) >= len(declared):
            return f"{len(lost)} of {len(declared)} components that no DEX holds, such as {lost[0]}"
        if lost:
            why = (
                f"the manifest declares {len(lost)} of {len(declared)} components that no DEX holds"
            )
            self._notes.gap(Part.DEX, lost[0], why)
        return ""

    def _hollow(self, manifest: Manifest, code: Code) -> str:
        """Say which class that the system starts has its first method in native code, or unpacks what looks encrypted."""
        application = manifest.application or ""
        for cls in (application, *(each.name for each in manifest.components)):
            for method in code.without_code(cls) if cls else ():
                if method.name in {"onCreate", "attachBaseContext"}:
                    return f"{method}, whose code is native"
        for method in code.methods(application) if application else ():
            if method.name != "attachBaseContext":
                continue
            called = {(each.cls, each.name) for each in code.calls_of(method)}
            loads = {("java.lang.System", "load"), ("java.lang.System", "loadLibrary")} & called
            payload = next(self._payloads(), "") if loads else ""
            if payload:
                return (
                    f"{payload}, which looks encrypted, and {method}, which loads native code first"
                )
        return ""

    def _payloads(self) -> Iterator[str]:
        """Yield files that look encrypted: no form that is packed by itself, and as random as one."""
        sizes = {entry.name: entry.size for entry in self._archive.entries}
        names = [name for name, place in self._places.items() if _PLACES.match(place)]
        for name in names[:MOST_PEEKS]:
            if sizes[name] < _LEAST_PAYLOAD:
                continue
            sample = self._archive.peek(name, _SAMPLE)
            if (
                not sample.startswith(_KNOWN)
                and sample[4:8] != b"ftyp"
                and _entropy(sample) >= _RANDOM_FROM
            ):
                yield name

    def executable(self) -> FrameworkCode:
        """Return the code of an app for iOS itself, of which strings and symbols are read: what rules for iOS look at."""
        files = tuple(
            sorted({each.file for each in self._natives if "/" not in self._places[each.file]})
        )
        by = files[0] if files else "its executable, which isn't in the package"
        gaps = [each for each in self._notes.coverage().gaps if each.part is Part.NATIVE]
        read = bool(files) and not any(gap.where in {"", *files} for gap in gaps)
        depth = Depth.STRINGS if read else Depth.UNREAD
        return FrameworkCode(Framework.NATIVE, "native code", by, files, depth)

    def native(
        self, manifest: Manifest | None, code: Code | None, found: Sequence[FrameworkCode]
    ) -> Iterator[FrameworkCode]:
        """Yield the app's own native libraries: those that serve its classes, or that its classes load.

        Strings and symbols of them are read, and nothing of what they do.
        """
        package = "" if manifest is None else manifest.package
        loaded, any_of_them = _loaded(code, package) if code is not None else (set(), True)
        if manifest is not None and any(
            one.name == _NATIVE_ACTIVITY for one in manifest.components
        ):
            any_of_them = True
        taken = self._engine.union(*(each.entries for each in found))
        mine: list[Native] = []
        for native in self._natives:
            match = _LIBRARY.fullmatch(self._places.get(native.file, ""))
            if match is None or native.file in taken:
                continue
            served = [_served(symbol) for symbol in native.symbols if symbol.startswith("Java_")]
            if any(owns(cls, package) for cls in served) or (
                not served and (any_of_them or match[1].removeprefix("lib") in loaded)
            ):
                mine.append(native)
        kinds = (
            (Framework.NATIVE, "native code", False),
            (Framework.NATIVE_NETWORK, "native code that may open connections", True),
        )
        for framework, name, connects in kinds:
            files = tuple(sorted({each.file for each in mine if _connects(each) is connects}))
            read = not any(self._notes.missed(each) for each in files)
            if files:
                depth = Depth.STRINGS if read else Depth.UNREAD
                yield FrameworkCode(framework, name, files[0], files, depth)


def _first(texts: Sequence[str], begin: str) -> Iterator[str]:
    """Yield the first of sorted texts that begins so, if any does."""
    first = bisect_left(texts, begin)
    if first < len(texts) and texts[first].startswith(begin):
        yield texts[first]


def _version(head: bytes) -> str:
    """Return the version of Hermes bytecode."""
    return str(int.from_bytes(head[8:12], "little"))


def _holds(code: Code, cls: str) -> bool:
    return cls.startswith(_PLATFORM) or code.superclass(cls) is not None


def _loaded(code: Code, package: str) -> tuple[set[str], bool]:
    """Return the native libraries that the app's own classes load by name, and whether they load any that isn't named."""
    names: set[str] = set()
    unnamed = False
    calls = [
        use.by
        for cls in ("java.lang.System", "java.lang.Runtime")
        for name in ("loadLibrary", "load")
        for use in code.calls(cls, name)
    ]
    for by in dict.fromkeys(each for each in calls if owns(each.cls, package)):
        for callee, arguments in code.arguments(by):
            if callee.name in {"loadLibrary", "load"} and callee.cls.startswith("java.lang."):
                name = arguments[-1] if arguments else None
                if isinstance(name, str) and callee.name == "loadLibrary":
                    names.add(name)
                else:
                    unnamed = True
    return names, unnamed


def _served(symbol: str) -> str:
    """Return the method that a native function serves, as far as its name tells: ``Java_a_b_C_run`` is ``a.b.C.run``."""
    return symbol.removeprefix("Java_").replace("_1", "\0").replace("_", ".").replace("\0", "_")


def _connects(native: Native) -> bool:
    """Tell whether native code may open a connection, itself or by the platform's classes."""
    return any(map(_CONNECTS.fullmatch, native.symbols)) or any(
        text.lstrip("L").startswith(_JAVA_NETWORK) for text in native.strings
    )


def _entropy(data: bytes) -> float:
    """Return the bits of entropy a byte."""
    if not data:
        return 0.0
    counts = Counter(data)
    return -sum(count / len(data) * math.log2(count / len(data)) for count in counts.values())
