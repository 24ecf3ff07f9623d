"""Read the manifest and the network security config as the system takes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from typing import Final

from watchword.scan.android import attributes
from watchword.scan.android.binary import AndroidFormatError, Element, Kind, Reader
from watchword.scan.app import (
    Component,
    DomainConfig,
    IntentFilter,
    Manifest,
    NetworkConfig,
    PinSet,
)
from watchword.scan.defaults import (
    EXPORTED_BY_FILTER,
    PROVIDERS,
    USER_AUTHORITIES,
    Levels,
    Where,
    android_levels,
)

MOST_LINKS: Final = 500
"""How many links of one filter are listed."""

_PATHS: Final = (
    (attributes.PATH, "{}"),
    (attributes.PATH_PREFIX, "{}*"),
    (attributes.PATH_SUFFIX, "*{}"),
    (attributes.PATH_PATTERN, "{}"),
    (attributes.PATH_ADVANCED_PATTERN, "{}"),
)


def read_filter(element: Element, read: Reader, most: int = MOST_LINKS) -> IntentFilter:
    """Return an intent filter with this many links at most."""
    return IntentFilter(
        actions=tuple(_names(element, "action", read)),
        categories=tuple(_names(element, "category", read)),
        data=tuple(_links(element, read, most)),
        verified=bool(read.flag(element, attributes.AUTO_VERIFY)),
    )


def _names(element: Element, kind: str, read: Reader) -> Iterator[str]:
    """Yield the names of actions or categories; for these the system goes by name, not by resource id."""
    for child in element.named(kind):
        name = read.text(child, attributes.NAME, "android:name")
        if name:
            yield name


def _links(element: Element, read: Reader, most: int) -> Iterator[str]:
    """Yield ``scheme://host/path`` for each scheme with each host and each path.

    All ``data`` of a filter count together: a scheme in one and a host in another open the app by their combination.
    A filter for kinds of files alone has no scheme, and none of these.
    """
    schemes: dict[str, None] = {}
    hosts: dict[str, None] = {}
    paths: dict[str, None] = {}
    for data in element.named("data"):
        scheme = read.text(data, attributes.SCHEME)
        if scheme:
            schemes[scheme] = None
        host = read.text(data, attributes.HOST)
        if host:
            port = read.text(data, attributes.PORT)
            hosts[f"{host}:{port}" if port else host] = None
        for key, form in _PATHS:
            path = read.text(data, key)
            if path:
                paths[form.format(path)] = None
    if not hosts:
        paths = {}  # Without a host the system doesn't look at the path.
    count = len(schemes) * max(1, len(hosts)) * max(1, len(paths))
    if count > most:
        read.gap("a filter for more links than are listed")
    for scheme, host, path in islice(product(schemes, hosts or [""], paths or [""]), most):
        between = "" if not path or path.startswith(("/", "*", ".")) else "/"
        yield f"{scheme}://{host}{between}{path}"


MOST_COMPONENTS: Final = 20_000
MOST_LINKS_IN_ALL: Final = 20_000
"""How many components and links are listed; the largest apps have some thousands."""

PREVIEW: Final = 10_000
"""What the system takes the code name of an unreleased version for (``CUR_DEVELOPMENT``)."""

_KINDS: Final = ("activity", "activity-alias", "service", "receiver", "provider")
_NEEDS_ACTION: Final = frozenset({"activity", "activity-alias", "receiver"})
"""Components for which the system leaves out a filter without an action."""

_SPLITS_REQUIRED: Final = "com.android.vending.splits.required"
_PERMISSIONS: Final = ("uses-permission", "uses-permission-sdk-23", "uses-permission-sdk-m")


def read_manifest(root: Element, read: Reader) -> Manifest:
    """Return what a manifest states, references resolved.

    :raises AndroidFormatError: if it isn't a manifest.
    """
    if root.name != "manifest":
        raise AndroidFormatError("its outermost element isn't <manifest>")
    minimum = target = None
    for element in root.named("uses-sdk"):  # The last one counts.
        minimum = _version(element, attributes.MIN_SDK_VERSION, read)
        target = _version(element, attributes.TARGET_SDK_VERSION, read)
    application = next(root.named("application"), Element("application"))
    package = read.text(root, "package") or ""
    components = _Components(package, android_levels(minimum, target), application, read)
    return Manifest(
        package=package,
        version_name=read.text(root, attributes.VERSION_NAME),
        version_code=_version_code(root, read),
        min_sdk=minimum,
        target_sdk=minimum if target is None else target,
        debuggable=read.flag(application, attributes.DEBUGGABLE),
        allow_backup=read.flag(application, attributes.ALLOW_BACKUP),
        cleartext=read.flag(application, attributes.USES_CLEARTEXT_TRAFFIC),
        network_config=_file(application, attributes.NETWORK_SECURITY_CONFIG, read),
        test_only=read.flag(application, attributes.TEST_ONLY),
        permissions=tuple(_permissions(root, read)),
        components=components.found(),
        full_backup_content=_file(application, attributes.FULL_BACKUP_CONTENT, read),
        data_extraction_rules=_file(application, attributes.DATA_EXTRACTION_RULES, read),
        application=components.class_name(read.text(application, attributes.NAME)),
        factory=components.class_name(read.text(application, attributes.APP_COMPONENT_FACTORY)),
        has_code=read.flag(application, attributes.HAS_CODE),
        needs_splits=_needs_splits(root, application, read),
    )


def _needs_splits(root: Element, application: Element, read: Reader) -> bool:
    """Tell whether the package is installed only with others of its set: by the manifest, or by what Play writes into it."""
    stated = (read.flag(each, attributes.IS_SPLIT_REQUIRED) for each in (root, application))
    written = (
        read.text(each, attributes.NAME) == _SPLITS_REQUIRED
        for each in application.named("meta-data")
    )
    # The second is the name of a package that is such another one itself.
    needs = (attributes.REQUIRED_SPLIT_TYPES, "split")
    return any(stated) or any(read.text(root, each) for each in needs) or any(written)


def _version(element: Element, key: int, read: Reader) -> int | None:
    """Return a version of the system; a code name stands for one that wasn't released."""
    number = read.number(element, key)
    return PREVIEW if number is None and read.text(element, key) else number


def _version_code(root: Element, read: Reader) -> str | None:
    """Return both halves of the code as one number (``PackageInfo.getLongVersionCode``), in decimal."""
    low = read.number(root, attributes.VERSION_CODE)
    high = read.number(root, attributes.VERSION_CODE_MAJOR)
    if low is None and high is None:
        return None
    return str(((high or 0) & 0xFFFFFFFF) << 32 | ((low or 0) & 0xFFFFFFFF))


def _file(element: Element, key: int, read: Reader) -> str | None:
    """Return the file that an attribute refers to; None for a flag in its place, or if it isn't stated."""
    stated = element.attributes.get(key)
    found = read.value(element, key)
    if found is not None:
        return found.text or None if found.kind is Kind.STRING else None
    # A reference that leads nowhere is stated all the same: whoever asks for the file has to see that it's missing.
    return (
        f"@{stated.text or hex(stated.number)}"
        if stated is not None and stated.kind is Kind.REFERENCE
        else None
    )


def _permissions(root: Element, read: Reader) -> Iterator[str]:
    names = (read.text(each, attributes.NAME) for each in root.named(*_PERMISSIONS))
    yield from dict.fromkeys(name for name in names if name)


class _Components:
    """Read the components of an application."""

    def __init__(self, package: str, levels: Levels, application: Element, read: Reader) -> None:
        self._package = package
        self._levels = levels
        self._application = application
        self._read = read
        self._default = read.text(application, attributes.PERMISSION) or None
        self._permissions: dict[str, str | None] = {}
        self._links = MOST_LINKS_IN_ALL

    def found(self) -> tuple[Component, ...]:
        """Return them in the manifest's order."""
        return tuple(self._all())

    def _all(self) -> Iterator[Component]:
        for count, element in enumerate(self._application.named(*_KINDS)):
            if count >= MOST_COMPONENTS:
                self._read.gap(f"more than {MOST_COMPONENTS} components")
                return
            name = self.class_name(self._read.text(element, attributes.NAME))
            if name is None:
                self._read.gap(f"a component without a name ({element.name})")
                continue
            yield self._component(element, name)

    def _component(self, element: Element, name: str) -> Component:
        filters = tuple(self._filters(element))
        stated = self._read.flag(element, attributes.EXPORTED)
        if element.name == "provider":
            implied = PROVIDERS.before_on(self._levels) is Where.EVERYWHERE
            permission = self._provider_permission(element)
        else:
            # Phones that don't install what leaves it to the filter can't be told from those that do by targetSdk alone: an older
            # one takes the filter for an answer whatever is targeted.
            where = EXPORTED_BY_FILTER.before_on(self._levels)
            implied = bool(filters) and where is not Where.NOWHERE
            permission = self._permission(element, name)
        return Component(
            kind=element.name,
            name=name,
            exported=implied if stated is None else stated,
            stated=stated is not None,
            permission=permission,
            filters=filters,
        )

    def _filters(self, element: Element) -> Iterator[IntentFilter]:
        for each in element.named("intent-filter"):
            found = read_filter(each, self._read, min(self._links, MOST_LINKS))
            self._links -= len(found.data)
            if found.actions or element.name not in _NEEDS_ACTION:
                yield found

    def _permission(self, element: Element, name: str) -> str | None:
        """Return its own permission, or what it inherits: an alias its target's, others the application's."""
        if element.name == "activity-alias":
            target = self.class_name(self._read.text(element, attributes.TARGET_ACTIVITY))
            inherited = self._permissions.get(target or "", self._default)
        else:
            inherited = self._default
        stated = self._read.text(element, attributes.PERMISSION)
        permission = inherited if stated is None else stated or None
        if element.name == "activity":
            self._permissions[name] = permission
        return permission

    def _provider_permission(self, element: Element) -> str | None:
        """Return what a caller needs at least: None if either reading or writing needs nothing."""
        both = self._read.text(element, attributes.PERMISSION)
        general = self._default if both is None else both or None
        read = self._read.text(element, attributes.READ_PERMISSION)
        write = self._read.text(element, attributes.WRITE_PERMISSION)
        to_read = general if read is None else read or None
        to_write = general if write is None else write or None
        return to_read if to_write else None

    def class_name(self, name: str | None) -> str | None:
        """Return the full name of a class (``buildClassName``)."""
        if not name:
            return None
        if name.startswith("."):
            return f"{self._package}{name}"
        return name if "." in name else f"{self._package}.{name}"


_PIN_DIGEST: Final = "SHA-256"


@dataclass(frozen=True, slots=True)
class _Anchors:
    """Hold which authorities are trusted."""

    user: bool
    custom: bool


@dataclass(frozen=True, slots=True)
class _Inherited:
    """Hold what a ``domain-config`` says for those within it."""

    cleartext: bool | None
    anchors: _Anchors
    pins: PinSet | None


def read_network_config(file: str, root: Element, target: int, read: Reader) -> NetworkConfig:
    """Return a network security config, what is inherited filled in.

    A domain's ``cleartext`` stays None where neither its config nor one around it says anything: then the base's counts.  Its
    anchors are those that count for it, the base's and the system's default included.

    :param target: the app's targetSdk, on which defaults depend.
    :raises AndroidFormatError: if it isn't one.
    """
    if root.name != "network-security-config":
        raise AndroidFormatError("its outermost element isn't <network-security-config>")
    default = _Anchors(user=target < USER_AUTHORITIES.target, custom=False)
    base: DomainConfig | None = None
    for element in root.named("base-config"):
        anchors = _anchors(element) or default
        base = DomainConfig(
            domains=(),
            cleartext=read.flag(element, "cleartextTrafficPermitted"),
            user_anchors=anchors.user,
            pin_set=None,
            custom_anchors=anchors.custom,
        )
    if base is not None:
        default = _Anchors(base.user_anchors, base.custom_anchors)
    debug = [_anchors(element) for element in root.named("debug-overrides")]
    return NetworkConfig(
        file=file,
        base=base,
        domains=tuple(_domains(root, _Inherited(None, default, None), read)),
        debug_user_anchors=any(each is not None and each.user for each in debug),
    )


def _domains(root: Element, inherited: _Inherited, read: Reader) -> Iterator[DomainConfig]:
    """Yield the domain configs, one within another after it."""
    waiting = [(element, inherited) for element in root.named("domain-config")][::-1]
    while waiting:
        element, around = waiting.pop()
        cleartext = read.flag(element, "cleartextTrafficPermitted")
        own = _Inherited(
            cleartext=around.cleartext if cleartext is None else cleartext,
            anchors=_anchors(element) or around.anchors,
            pins=_pins(element, read) or around.pins,
        )
        names = tuple(
            (each.text.strip().lower(), bool(read.flag(each, "includeSubdomains")))
            for each in element.named("domain")
        )
        yield DomainConfig(
            domains=names,
            cleartext=own.cleartext,
            user_anchors=own.anchors.user,
            pin_set=own.pins,
            custom_anchors=own.anchors.custom,
        )
        waiting.extend([(child, own) for child in element.named("domain-config")][::-1])


def _anchors(element: Element) -> _Anchors | None:
    """Return which authorities a config names; None if it doesn't say."""
    stated = user = custom = False
    for anchors in element.named("trust-anchors"):
        stated = True
        for certificates in anchors.named("certificates"):
            value = certificates.attributes.get("src")
            if value is None:
                continue
            if value.kind is Kind.STRING:
                user = user or value.text == "user"
                custom = custom or value.text not in ("user", "system")
            else:
                custom = True
    return _Anchors(user, custom) if stated else None


def _pins(element: Element, read: Reader) -> PinSet | None:
    found: PinSet | None = None
    for each in element.named("pin-set"):
        pins = []
        for pin in each.named("pin"):
            if read.text(pin, "digest") == _PIN_DIGEST:
                pins.append("".join(pin.text.split()))
            else:
                read.gap(f"a pin whose digest isn't {_PIN_DIGEST}, which the system refuses")
        found = PinSet(tuple(pins), read.text(each, "expiration"))
    return found
