"""Read where an API is: servers of OpenAPI 3, host and schemes of Swagger 2."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from watchword.scan.api.description import Aspect, Server
from watchword.scan.api.paths import segments_of
from watchword.scan.api.references import Source, listed, mapping, text
from watchword.scan.api.words import plain, shown

MAX_SERVERS: Final = 200
"""How many servers of one description are looked at, their variants counted."""

_MAX_URL: Final = 2_000
_MAX_VARIANTS: Final = 20
_VARIABLE: Final = re.compile(r"\{([^{}]{1,100})\}")
_URL: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]{0,20}):)?//([^/?#]*)([^?#]*)")


class Servers:
    """Collect the servers of one document."""

    def __init__(self, source: Source) -> None:
        """Read those of the whole description; those of single operations come by :meth:`add`."""
        self._source = source
        self._found: dict[Server, None] = {}
        document = source.document
        if "swagger" in document and "openapi" not in document:
            self._of_swagger(document)
        else:
            self.add(document.get("servers"), "servers")

    @property
    def found(self) -> tuple[Server, ...]:
        """Return them, each once, in the order of the description."""
        return tuple(self._found)

    def add(self, given: Any, where: str) -> None:
        """Read a list of servers."""
        if given is not None and not isinstance(given, list):
            self._source.miss(Aspect.SERVERS, where, "the servers aren't a list")
        for each in listed(given):
            if len(self._found) >= MAX_SERVERS or not self._source.spend():
                self._source.miss(Aspect.SERVERS, where, f"servers beyond {MAX_SERVERS}")
                return
            url = mapping(each).get("url")
            if not isinstance(url, str):
                self._source.miss(Aspect.SERVERS, where, "a server without a URL")
                continue
            for variant in _variants(url[:_MAX_URL], mapping(each.get("variables"))):
                self._keep(variant, where)

    def _of_swagger(self, document: Mapping[Any, Any]) -> None:
        host, base = text(document.get("host")), text(document.get("basePath"))
        schemes = [each for each in listed(document.get("schemes")) if isinstance(each, str)]
        if not host:
            if base:
                self._keep(base, "basePath")
            return
        for scheme in schemes[:5] or [""]:
            self._keep(f"{scheme}:" * bool(scheme) + f"//{host}{base}", "host")

    def _keep(self, url: str, where: str) -> None:
        match = _URL.match(url)
        if match is None:
            self._found[Server(shown(url), "", "", segments_of(url))] = None
            return
        authority = match[2].rpartition("@")[2]
        host = authority if authority.startswith("[") else authority.partition(":")[0]
        host = host.partition("]")[0] + "]" if host.startswith("[") else host
        if "{" in host or not host:
            self._source.miss(Aspect.SERVERS, where, f"the host of {shown(url, 80)} isn't told")
            return
        scheme = (match[1] or "").lower()
        clean = f"{scheme}:" * bool(scheme) + f"//{authority}{match[3]}"
        host = host.lower().rstrip(".")
        self._found[Server(shown(clean), scheme, shown(host), segments_of(match[3]))] = None


def _variants(url: str, variables: Mapping[Any, Any]) -> Iterator[str]:
    """Yield a URL with its variables at their defaults, and with each other value of one of them."""
    names = list(dict.fromkeys(_VARIABLE.findall(url)))[:_MAX_VARIANTS]
    values: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for name in names:
        said = mapping(variables.get(name))
        allowed = [plain(each) for each in listed(said.get("enum"))[:_MAX_VARIANTS]]
        default = said.get("default")
        if isinstance(default, str | int | float):
            values[name] = plain(default)
        elif allowed:
            values[name] = allowed[0]
        others += [(name, each) for each in allowed if each != values.get(name)]
    yield _filled(url, values)
    for name, each in others[:_MAX_VARIANTS]:
        yield _filled(url, {**values, name: each})


def _filled(url: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values.get(match[1], match[0]), url)[:_MAX_URL]
