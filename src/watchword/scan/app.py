"""Define a built app as it was read: what is in its package, and how much of that was seen.

Readers fill it in (``adapters/app_package``), rules ask it.  Whatever couldn't be read is a :class:`Gap`: what isn't
found in a part that wasn't seen is not absent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from watchword.vocabulary import Platform


class Container(StrEnum):
    """Name the form of a package."""

    APK = "apk"
    AAB = "aab"
    SPLITS = "splits"
    IPA = "ipa"


class Part(StrEnum):
    """Name a part of a package; coverage is told by part."""

    ARCHIVE = "archive"
    MANIFEST = "manifest"
    RESOURCES = "resources"
    NETWORK_CONFIG = "network-config"
    SIGNING = "signing"
    DEX = "dex"
    NATIVE = "native"
    BUNDLE = "bundle"
    ASSETS = "assets"
    PLIST = "plist"
    ENTITLEMENTS = "entitlements"
    PRIVACY = "privacy"


class Framework(StrEnum):
    """Name where code of the app lies outside of its DEX, or hidden from it; ``frameworks.toml`` says by what each is recognised."""

    DOTNET = "dotnet"
    WEB = "web"
    REACT_NATIVE = "react-native"
    HERMES = "hermes"
    FLUTTER = "flutter"
    UNITY_MONO = "unity-mono"
    UNITY_IL2CPP = "unity-il2cpp"
    KOTLIN_NATIVE = "kotlin-native"
    WASM = "wasm"
    NATIVESCRIPT = "nativescript"
    TITANIUM = "titanium"
    QT = "qt"
    GODOT = "godot"
    UNREAL = "unreal"
    SCRIPT = "script"
    PACKED = "packed"
    LOADED = "loaded"
    NATIVE = "native"
    NATIVE_NETWORK = "native-network"


class Depth(StrEnum):
    """Say how far code was read, each including those before it.

    ``unread``: not, or only by runs of characters, which run into each other.  ``strings``: its string constants, as the code has
    them.  ``calls``: which method calls what, with constant arguments.
    """

    UNREAD = "unread"
    STRINGS = "strings"
    CALLS = "calls"

    @property
    def rank(self) -> int:
        """Return 0 for unread up to 2 for calls."""
        return list(Depth).index(self)


@dataclass(frozen=True, slots=True)
class FrameworkCode:
    """Hold which code of the app one framework holds, and how far it was read.

    :param name: of the framework, for people.
    :param by: what it was recognised by: an entry, a symbol, a class.
    :param entries: that hold its code; empty where they weren't found, and then it is unread.
    :param depth: that of the entry which was read least.
    """

    framework: Framework
    name: str
    by: str
    entries: tuple[str, ...]
    depth: Depth = Depth.UNREAD

    def __str__(self) -> str:
        """Say where it is, for people: ``.NET in 63 files such as assemblies/Bank.dll``."""
        if not self.entries:
            return f"{self.name} (known by {self.by})"
        if len(self.entries) == 1:
            return f"{self.name} in {self.entries[0]}"
        return f"{self.name} in {len(self.entries):,} files such as {self.entries[0]}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Hold what wasn't seen.

    :param part: of the package.
    :param where: the entry, empty for the whole part.
    :param why: for people: damaged, encrypted, too large, of a form that nobody reads here.
    """

    part: Part
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold how much of a part was read: ``read`` of ``defined`` units (classes, entries, libraries)."""

    part: Part
    read: int
    defined: int
    unit: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Hold how much of the app was seen.

    :param frameworks: those that hold code of the app, read or not, in a fixed order.
    """

    seen: tuple[Seen, ...] = ()
    gaps: tuple[Gap, ...] = ()
    frameworks: tuple[FrameworkCode, ...] = ()

    def whole(self, *parts: Part) -> bool:
        """Tell whether nothing of these parts was missed, so that what isn't found there is absent."""
        return not any(gap.part in parts or gap.part is Part.ARCHIVE for gap in self.gaps)

    def gaps_of(self, *parts: Part) -> tuple[Gap, ...]:
        """Return what was missed of these parts."""
        return tuple(gap for gap in self.gaps if gap.part in parts or gap.part is Part.ARCHIVE)

    @property
    def hidden(self) -> tuple[FrameworkCode, ...]:
        """Return the code that wasn't read as far as code can be: something of it wasn't seen, whatever a rule asks."""
        return tuple(each for each in self.frameworks if each.depth is not Depth.CALLS)

    def unread(self, reads: Mapping[Framework, Depth]) -> tuple[FrameworkCode, ...]:
        """Return the code that a rule didn't see.

        :param reads: how deep a framework's code must have been read for the rule to see it; what isn't named it never sees.
        """
        return tuple(
            each
            for each in self.frameworks
            if each.framework not in reads or each.depth.rank < reads[each.framework].rank
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one entry of the archive, by the central directory.

    :param size: bytes, unpacked.
    :param stored_at: of the resource table: where its bytes start in the package if they aren't packed; None else.
    """

    name: str
    size: int
    stored_at: int | None = None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Hold where two readers of the archive see different things: installers may see either.

    :param entry: its name; empty for the archive as a whole.
    """

    entry: str
    what: str


@dataclass(frozen=True, slots=True)
class Method:
    """Name a method: its class in the form ``com.example.Main``, its name, its descriptor ``(I)V``."""

    cls: str
    name: str
    descriptor: str

    def __str__(self) -> str:
        """Render as people read it."""
        return f"{self.cls}.{self.name}"


@dataclass(frozen=True, slots=True)
class Use:
    """Hold one use of a string or a method in code.

    :param by: the method whose code uses it.
    """

    what: str
    by: Method


@dataclass(frozen=True, slots=True)
class StaticField:
    """Hold a static field with its initial value, where that is a string: ``BuildConfig.API_KEY``."""

    cls: str
    name: str
    value: str = field(repr=False)


class Code(Protocol):
    """Answer questions about the app's bytecode, over all its DEX files.

    Names of classes are in the form ``com.example.Main``, inner ones with ``$``.  Answers are in a stable order.
    """

    @property
    def classes(self) -> Sequence[str]:
        """Return the classes that are defined, sorted."""

    @property
    def strings(self) -> Sequence[str]:
        """Return all strings, each once, sorted."""

    @property
    def static_fields(self) -> Sequence[StaticField]:
        """Return the static fields whose initial value is a string."""

    def superclass(self, cls: str) -> str | None:
        """Return the superclass of a defined class; None for a class that isn't defined here."""

    def interfaces(self, cls: str) -> Sequence[str]:
        """Return the interfaces that a defined class implements itself."""

    def implementers(self, interface: str) -> Sequence[str]:
        """Return the defined classes that implement this interface or extend this class, directly."""

    def methods(self, cls: str) -> Sequence[Method]:
        """Return the methods that a class defines."""

    def without_code(self, cls: str) -> Sequence[Method]:
        """Return those methods of a class that have no code here: native and abstract ones, and those that couldn't be read."""

    def refers_to(self, cls: str) -> bool:
        """Tell whether the code names a class, defined here or not."""

    def calls(self, cls: str, name: str | None = None) -> Sequence[Use]:
        """Return who calls a method: of this class, and of this name if one is given."""

    def calls_of(self, by: Method) -> Sequence[Method]:
        """Return what a method calls, in the order of its code; repeated calls each time."""

    def strings_of(self, by: Method) -> Sequence[str]:
        """Return the strings that a method loads, in the order of its code."""

    def users(self, string: str) -> Sequence[Method]:
        """Return the methods that load this string."""

    def arguments(self, by: Method) -> Sequence[tuple[Method, tuple[str | int | None, ...]]]:
        """Return the calls of a method with those arguments that are constants, as far as straight-line code tells."""

    def body(self, method: Method) -> Sequence[str]:
        """Return the mnemonics of a method's code, to tell an empty one: ``return-void``, ``const/4`` and ``return``."""


class Op(StrEnum):
    """Name what a step of code of .NET does: ``method`` takes a method as a value, ``call`` and ``new`` run one."""

    CALL = "call"
    NEW = "new"
    METHOD = "method"
    STRING = "string"
    NUMBER = "number"
    STORE = "store"
    LOAD = "load"


class Step(NamedTuple):
    """Hold one step of a method of .NET; those that handle values on the stack are left out.

    :param what: the string that it loads, or the class and name of the member, as ``Shop.Net.Send``.
    :param number: that it loads.
    """

    op: Op
    what: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class ManagedMethod:
    """Hold a method of .NET as its code tells it.

    :param steps: in the order of the code.
    :param answer: that it always gives without doing anything else, 1 for true; None where it does more.
    :param empty: whether it only returns.
    """

    method: Method
    steps: tuple[Step, ...] = field(repr=False)
    answer: int | None = None
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Assembly:
    """Hold an assembly of .NET.

    :param file: its entry; one in a store as ``assemblies.blob!/Shop.dll``.
    :param name: its own, as ``Shop``.
    :param own: whether it's the app's or a small library's, as far as its name tells: else it's of the platform or its frameworks, and
        nothing beside its strings and names is kept of it.
    :param implements: class and interface.
    :param constants: strings with the names that they have in code: fields, properties, arguments with a name beside them.
    :param strings: those that its code loads, each with the first method that does; without one where that wasn't told.
    """

    file: str
    name: str
    own: bool
    classes: tuple[str, ...] = field(default=(), repr=False)
    implements: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    methods: tuple[ManagedMethod, ...] = field(default=(), repr=False)
    constants: tuple[StaticField, ...] = field(default=(), repr=False)
    strings: tuple[Use, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class IntentFilter:
    """Hold an intent filter: actions, categories, and data as ``scheme://host/path``."""

    actions: tuple[str, ...]
    categories: tuple[str, ...]
    data: tuple[str, ...]
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Component:
    """Hold a component of the manifest.

    :param kind: ``activity``, ``activity-alias``, ``service``, ``receiver`` or ``provider``.
    :param exported: as the system takes it: stated, or implied where nothing is (:mod:`watchword.scan.defaults`).
    :param stated: whether ``android:exported`` stands there.
    :param permission: that a caller needs, None for none.
    """

    kind: str
    name: str
    exported: bool
    stated: bool
    permission: str | None
    filters: tuple[IntentFilter, ...] = ()

    @property
    def shown(self) -> bool:
        """Tell whether the home screen shows it."""
        return any("android.intent.category.LAUNCHER" in each.categories for each in self.filters)

    @property
    def launches(self) -> bool:
        """Tell whether it is what the home screen starts, by its own class (an alias names none)."""
        return self.kind == "activity" and self.shown


@dataclass(frozen=True, slots=True)
class Manifest:
    """Hold the Android manifest, references to resources resolved.

    :param debuggable: and the flags after it: as they are stated, None where nothing is.
    :param full_backup_content: the file of rules for backups, and ``data_extraction_rules`` the one for phones from Android 12 on.
    :param application: the class that the system starts first, with its ``factory`` of components.
    :param needs_splits: whether the package isn't the whole app: the system installs it only with others of its set.
    """

    package: str
    version_name: str | None
    version_code: str | None
    min_sdk: int | None
    target_sdk: int | None
    debuggable: bool | None
    allow_backup: bool | None
    cleartext: bool | None
    network_config: str | None
    test_only: bool | None
    permissions: tuple[str, ...]
    components: tuple[Component, ...]
    full_backup_content: str | None = None
    data_extraction_rules: str | None = None
    application: str | None = None
    factory: str | None = None
    has_code: bool | None = None
    needs_splits: bool = False


@dataclass(frozen=True, slots=True)
class PinSet:
    """Hold the pins of a domain: base64 of SHA-256, and when they end."""

    pins: tuple[str, ...]
    expiration: str | None


@dataclass(frozen=True, slots=True)
class DomainConfig:
    """Hold one ``domain-config``, or the base (no domains); None where it says nothing."""

    domains: tuple[tuple[str, bool], ...]
    cleartext: bool | None
    user_anchors: bool
    pin_set: PinSet | None
    custom_anchors: bool = False


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Hold the network security config; ``debug`` holds the debug overrides' trust of user anchors."""

    file: str
    base: DomainConfig | None
    domains: tuple[DomainConfig, ...]
    debug_user_anchors: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """Hold a signing certificate: SHA-256 in hex, key kind and bits, signature hash."""

    sha256: str
    subject: str
    key: str
    bits: int | None
    signature_hash: str | None
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class Signing:
    """Hold how the package is signed: ``v1``, ``v2``, ``v3``, ``v3.1``; what is stated, not verified.

    :param changed: the schemes whose digest isn't the package's: it was changed after it was signed.
    """

    schemes: tuple[str, ...]
    certificates: tuple[Certificate, ...]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Native:
    """Hold a native library or executable: ELF or Mach-O.

    Hardening is None where the form has no such thing or it couldn't be read.
    """

    file: str
    form: str
    architecture: str
    strings: tuple[str, ...] = field(default=(), repr=False)
    symbols: frozenset[str] = field(default=frozenset(), repr=False)
    pie: bool | None = None
    canary: bool | None = None
    relro: str | None = None
    executable_stack: bool | None = None
    stripped: bool | None = None
    encrypted: bool | None = None


@dataclass(frozen=True, slots=True)
class TextPart:
    """Hold text of an entry that is matched as it stands: a JavaScript bundle's strings, a JSON or properties file.

    :param kind: ``react-native``, ``hermes``, ``flutter``, ``asset``.
    :param named: those of the strings that compiled code gives a name, such as a property that they're put into.
    """

    file: str
    kind: str
    lines: tuple[str, ...] = field(repr=False)
    named: tuple[StaticField, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class IosInfo:
    """Hold what the property lists of an IPA say; values as they stand in ``Info.plist``."""

    bundle_id: str
    version: str | None
    minimum_os: str | None
    info: Mapping[str, object] = field(repr=False)
    entitlements: Mapping[str, object] | None = field(default=None, repr=False)
    privacy: Mapping[str, object] | None = field(default=None, repr=False)
    provisioned: bool | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """Hold a string resource with its name, of which code and rules know it."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class App:
    """Hold a whole app as it was read.

    :param name: of the file, without its directory.
    :param digest: SHA-256 of the package in hex: what an observation of this build is bound to.
    """

    name: str
    container: Container
    platform: Platform
    digest: str
    size: int
    entries: tuple[Entry, ...]
    coverage: Coverage
    disagreements: tuple[Disagreement, ...] = ()
    manifest: Manifest | None = None
    network: NetworkConfig | None = None
    signing: Signing | None = None
    resources: tuple[Resource, ...] = ()
    code: Code | None = None
    natives: tuple[Native, ...] = ()
    texts: tuple[TextPart, ...] = ()
    ios: IosInfo | None = None
    assemblies: tuple[Assembly, ...] = ()
