"""Say which part of the platform each component of a threat model is, and what lies at it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from watchword.plan.drafts.wording import one_line
from watchword.plan.interface import AssetKind, Component

MAX_ENTRIES: Final = 5_000
"""Most entries of one list of the model that are read."""

_MAX_PARENTS: Final = 20

# The first set that a component's type and name have a word of decides.
_LOCAL: Final = frozenset(["sqlite", "keychain", "keystore", "userdefaults", "sharedpreferences"])
_STORES: Final = frozenset(
    [
        "database",
        "db",
        "sql",
        "nosql",
        "postgresql",
        "postgres",
        "mysql",
        "mariadb",
        "mongodb",
        "redis",
        "storage",
        "store",
        "bucket",
        "s3",
        "blob",
        "dynamodb",
        "datastore",
    ]
)
_SERVES: Final = frozenset(
    [
        "api",
        "server",
        "service",
        "backend",
        "gateway",
        "microservice",
        "lambda",
        "function",
        "webservice",
        "graphql",
        "web",
    ]
)
_DEVICE: Final = frozenset(
    [
        "mobile",
        "android",
        "ios",
        "iphone",
        "ipad",
        "phone",
        "smartphone",
        "handset",
        "tablet",
        "device",
        "app",
        "client",
    ]
)
_CLOUD: Final = frozenset(
    [
        "cloud",
        "backend",
        "server",
        "datacenter",
        "dmz",
        "internal",
        "intranet",
        "private",
        "aws",
        "azure",
    ]
)


@dataclass(frozen=True, slots=True)
class _Component:
    """Hold one component as it was read."""

    name: str
    words: frozenset[str]
    parent: Any
    held: frozenset[str]
    threats: tuple[str, ...]


class Parts:
    """Know the components, trust zones and data flows of one model."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read them."""
        self._known: dict[str, Component] = {}
        self._zones = {text_of(zone, "id"): _words(zone) for zone in listed(document, "trustZones")}
        self.components = dict(_components(document))
        self._flows = [
            (
                text_of(flow, "source"),
                text_of(flow, "destination"),
                frozenset(_texts(flow.get("assets"))),
                _threat_ids(flow),
            )
            for flow in listed(document, "dataflows")
        ]

    def part(self, key: str) -> Component:
        """Return where a component runs: by its own words, else by those of what it stands in."""
        if key not in self._known:
            self._known[key] = self._part(key)
        return self._known[key]

    def _part(self, key: str) -> Component:
        component = self.components.get(key)
        words = component.words if component is not None else frozenset()
        if words & _LOCAL:
            return Component.APP
        if words & (_STORES | _SERVES):
            return Component.BACKEND
        if words & _DEVICE:
            return Component.APP
        for around in self._surroundings(key):
            if around & _CLOUD:
                return Component.BACKEND
            if around & _DEVICE:
                return Component.APP
        return Component.BACKEND

    def kind(self, key: str) -> AssetKind | None:
        """Return what is lost with a component: its data, or what it serves; None for neither."""
        words = self.components[key].words
        if words & (_LOCAL | _STORES):
            return AssetKind.DATA
        if words & _SERVES and self.part(key) is Component.BACKEND:
            return AssetKind.SERVICE
        return None

    def around(self, key: str) -> set[Component]:
        """Return where a component's data can be taken: there, and on its way to an app."""
        found = {self.part(key)}
        for source, destination, _, _ in self._flows:
            if key in {source, destination}:
                other = self.part(destination if key == source else source)
                if other is not self.part(key):
                    found |= {other, Component.CHANNEL}
        return found

    def of_asset(self, asset: str) -> set[Component]:
        """Return where an asset can be taken: where it is held, and on the way."""
        found = {
            self.part(key) for key, component in self.components.items() if asset in component.held
        }
        for source, destination, assets, _ in self._flows:
            if asset in assets:
                found |= {self.part(source), self.part(destination), Component.CHANNEL}
        return found

    def threats_at(self, key: str) -> dict[str, None]:
        """Return the ids of the threats drawn at an asset, or at the component of that id, in order."""
        found: dict[str, None] = {}
        for name, component in self.components.items():
            if name == key or key in component.held:
                found.update(dict.fromkeys(component.threats))
        for source, destination, assets, threats in self._flows:
            if key in {source, destination} or key in assets:
                found.update(dict.fromkeys(threats))
        return found

    def _surroundings(self, key: str) -> Iterator[frozenset[str]]:
        """Yield the words of what a component stands in, from the inside; circles end."""
        component = self.components.get(key)
        for _ in range(_MAX_PARENTS):
            parent = component.parent if component is not None else None
            if not isinstance(parent, dict):
                return
            zone = self._zones.get(text_of(parent, "trustZone"))
            if zone is not None:
                yield zone
                return
            component = self.components.get(text_of(parent, "component"))
            if component is not None:
                yield component.words


def listed(holder: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the mappings in a list of the model, as many as are read."""
    value = holder.get(key)
    entries = value[:MAX_ENTRIES] if isinstance(value, list) else []
    return [each for each in entries if isinstance(each, dict)]


def text_of(holder: Any, key: str) -> str:
    """Return a text of the model on one line, empty where there is none."""
    value = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return one_line(str(value), 200) if isinstance(value, str) or abs(value) < 10**18 else ""


def _components(document: Mapping[str, Any]) -> Iterator[tuple[str, _Component]]:
    for each in listed(document, "components"):
        key = text_of(each, "id") or text_of(each, "name")
        assets = each.get("assets")
        held = assets if isinstance(assets, dict) else {}
        yield (
            key,
            _Component(
                name=text_of(each, "name") or key,
                words=_words(each),
                parent=each.get("parent"),
                held=frozenset((*_texts(held.get("processed")), *_texts(held.get("stored")))),
                threats=_threat_ids(each),
            ),
        )


def _words(entry: dict[str, Any]) -> frozenset[str]:
    text = f"{text_of(entry, 'type')} {text_of(entry, 'name')}"
    # PostgreSQL is one word, MobileClient is two; both readings count.
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return frozenset(re.findall(r"[a-z0-9]+", f"{text} {apart}".lower()))


def _threat_ids(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(text_of(each, "threat") for each in listed(entry, "threats"))


def _texts(value: Any) -> tuple[str, ...]:
    """Return the ids in a list: texts, or numbers as text."""
    entries = value[:MAX_ENTRIES] if isinstance(value, list) else []
    return tuple(text_of({"id": each}, "id") for each in entries)
