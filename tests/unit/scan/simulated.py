"""Simulate an app as readers would hand it over, from a small description."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from watchword.scan.app import (
    App,
    Component,
    Container,
    Coverage,
    Entry,
    Gap,
    IntentFilter,
    Manifest,
    Method,
    Part,
    Seen,
    StaticField,
    Use,
)
from watchword.scan.interface import Rule, Verdict
from watchword.vocabulary import Platform

PACKAGE = "com.example.shop"
MAIN = f"{PACKAGE}.Main"


@dataclass(frozen=True, slots=True)
class Call:
    """Describe a call: of which method, with which constants."""

    cls: str
    name: str
    arguments: tuple[str | int | None, ...] = ()
    descriptor: str = "()V"

    @property
    def method(self) -> Method:
        """Return what is called."""
        return Method(self.cls, self.name, self.descriptor)


@dataclass(frozen=True, slots=True)
class Body:
    """Describe a method: what it calls, what it loads, and its mnemonics."""

    name: str
    calls: tuple[Call, ...] = ()
    strings: tuple[str, ...] = ()
    mnemonics: tuple[str, ...] = ("return-void",)
    descriptor: str = "()V"


@dataclass(frozen=True, slots=True)
class Class:
    """Describe a class."""

    name: str
    bodies: tuple[Body, ...] = ()
    extends: str = "java.lang.Object"
    implements: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)


class SimulatedCode:
    """Answer as ``Code`` does, over a few described classes."""

    def __init__(self, described: Sequence[Class], more_strings: Sequence[str] = ()) -> None:
        self._classes = {each.name: each for each in described}
        self._more = tuple(more_strings)

    @property
    def classes(self) -> Sequence[str]:
        """Return the names, sorted."""
        return sorted(self._classes)

    @property
    def strings(self) -> Sequence[str]:
        """Return what is loaded, what fields hold, and what was given besides."""
        loaded = {text for _, body in self._bodies() for text in body.strings}
        values = {each.value for each in self.static_fields}
        return sorted(loaded | values | set(self._more))

    @property
    def static_fields(self) -> Sequence[StaticField]:
        """Return the described fields."""
        return [
            StaticField(each.name, name, value)
            for each in self._classes.values()
            for name, value in each.fields.items()
        ]

    def superclass(self, cls: str) -> str | None:
        """Return what a class extends."""
        return self._classes[cls].extends if cls in self._classes else None

    def interfaces(self, cls: str) -> Sequence[str]:
        """Return what a class implements."""
        return self._classes[cls].implements if cls in self._classes else ()

    def implementers(self, interface: str) -> Sequence[str]:
        """Return who implements or extends it, directly."""
        return sorted(
            name
            for name, each in self._classes.items()
            if interface == each.extends or interface in each.implements
        )

    def methods(self, cls: str) -> Sequence[Method]:
        """Return a class's methods."""
        return [method for method, _ in self._bodies() if method.cls == cls]

    def without_code(self, cls: str) -> Sequence[Method]:
        """Return the methods of a class of which no code is described."""
        return tuple(method for method in self.methods(cls) if not self.body(method))

    def refers_to(self, cls: str) -> bool:
        """Tell whether it is defined or called."""
        return cls in self._classes or bool(self.calls(cls))

    def calls(self, cls: str, name: str | None = None) -> Sequence[Use]:
        """Return who calls it."""
        return [
            Use(call.name, method)
            for method, body in self._bodies()
            for call in body.calls
            if call.cls == cls and name in {None, call.name}
        ]

    def calls_of(self, by: Method) -> Sequence[Method]:
        """Return what a method calls."""
        return [call.method for call in self._body(by).calls]

    def strings_of(self, by: Method) -> Sequence[str]:
        """Return what a method loads."""
        return self._body(by).strings

    def users(self, string: str) -> Sequence[Method]:
        """Return who loads it."""
        return [method for method, body in self._bodies() if string in body.strings]

    def arguments(self, by: Method) -> Sequence[tuple[Method, tuple[str | int | None, ...]]]:
        """Return the calls with their constants, the object itself left out."""
        return [(call.method, call.arguments) for call in self._body(by).calls]

    def body(self, method: Method) -> Sequence[str]:
        """Return a method's mnemonics, none for one that isn't described."""
        return self._body(method).mnemonics

    def _bodies(self) -> Iterator[tuple[Method, Body]]:
        for name, each in sorted(self._classes.items()):
            for body in each.bodies:
                yield Method(name, body.name, body.descriptor), body

    def _body(self, wanted: Method) -> Body:
        found = (body for method, body in self._bodies() if method == wanted)
        return next(found, Body(wanted.name, mnemonics=()))


def launcher(name: str = MAIN) -> Component:
    """Return the activity that the home screen starts."""
    main = IntentFilter(("android.intent.action.MAIN",), ("android.intent.category.LAUNCHER",), ())
    return Component("activity", name, exported=True, stated=True, permission=None, filters=(main,))


def manifest(*components: Component) -> Manifest:
    """Return a manifest that states nothing but the network and a release for Android 14; change it by ``replace``."""
    return Manifest(
        package=PACKAGE,
        version_name="1.0",
        version_code="1",
        min_sdk=24,
        target_sdk=34,
        debuggable=None,
        allow_backup=None,
        cleartext=None,
        network_config=None,
        test_only=None,
        permissions=("android.permission.INTERNET",),
        components=(launcher(), *components),
    )


def simulated(*described: Class, strings: Sequence[str] = (), **parts: object) -> App:
    """Return an app with these classes beside its launcher; other parts of ``App`` by name."""
    classes = (*described, *(() if any(c.name == MAIN for c in described) else (Class(MAIN),)))
    app = App(
        name="shop.apk",
        container=Container.APK,
        platform=Platform.ANDROID,
        digest="00" * 32,
        size=1000,
        entries=(Entry("AndroidManifest.xml", 100), Entry("classes.dex", 900)),
        coverage=Coverage(seen=(Seen(Part.DEX, len(classes), len(classes), "classes"),)),
        manifest=manifest(),
        code=SimulatedCode(classes, strings),
    )
    return replace(app, **parts)  # type: ignore[arg-type]


def running(*calls: Call, strings: Sequence[str] = (), by: str = MAIN) -> App:
    """Return an app whose one class runs these calls and loads these strings."""
    return simulated(Class(by, (Body("run", tuple(calls), tuple(strings)),)))


def verdicts(rule: Rule, app: App) -> dict[str, Verdict]:
    """Return a rule's verdicts by their subjects."""
    return {each.subject: each.verdict for each in rule.run(app)}


def without(app: App, part: Part, where: str = "classes2.dex") -> App:
    """Return the app with a gap in a part."""
    gap = Gap(part, where, "damaged")
    return replace(app, coverage=replace(app.coverage, gaps=(*app.coverage.gaps, gap)))
