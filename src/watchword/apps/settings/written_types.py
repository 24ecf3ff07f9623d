"""Define the kinds of values in ``watchword.yaml``: names, durations, addresses, patterns."""

import ipaddress
import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_ADDRESS = re.compile(r"(?:([0-9A-Za-z.-]+)|\[([0-9A-Fa-f:.]+)\]):([1-9][0-9]{0,4})")
_ORIGIN = re.compile(r"https?://(?:([0-9A-Za-z._-]+)|\[([0-9A-Fa-f:.]+)\])(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?")
_URL = re.compile(r"(https?://[^/?#]+)(?:[/?][!-\"$-~]{0,300})?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_LEAST_PREFIX = {
    4: 8,
    6: 19,
}  # Wider ones are whole parts of the Internet, however they are cut into pieces.
_LOCAL_IPV6 = ipaddress.IPv6Network("fc00::/7")  # RFC 4193.

MAX_PORT = 65535

TECHNIQUE: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

IN_WORDS: Final = {
    TECHNIQUE: "a technique's id, such as MT-B03: `watchword plan catalogue` lists them",
    _NAME: "lower-case letters a to z, digits and dashes, at most 63, and no dash first",
}
"""What a pattern asks for, by the pattern, where a person has to meet it."""


def _expected(text: str) -> PydanticCustomError:
    return PydanticCustomError("expected", "{expected}", {"expected": text})


def seconds(text: str) -> int:
    """Return the seconds of a duration such as ``90s``, ``5m``, ``1h`` or ``30d``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise _expected("a duration such as 90s, 5m, 1h or 30d")
    return int(found[1]) * _SECONDS[found[2]]


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; IPv6 addresses stand in brackets."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > MAX_PORT:
        raise _expected("host:port, such as 127.0.0.1:8080 or [::1]:8080")
    host = found[1] or found[2]
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise _expected("an IP address or localhost, then :port") from None
    return host, int(found[3])


def _duration(text: str) -> str:
    seconds(text)
    return text


def _address(text: str) -> str:
    split_address(text)
    return text


def within(least: str, most: str) -> AfterValidator:
    """Accept durations between two others, both included."""
    allowed = range(seconds(least), seconds(most) + 1)

    def check(text: str) -> str:
        if seconds(text) not in allowed:
            raise _expected(f"a duration from {least} to {most}")
        return text

    return AfterValidator(check)


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found[3] or 1) > MAX_PORT:
        return False
    name, bracketed = found[1], found[2]
    try:
        if bracketed is not None:
            ipaddress.IPv6Address(bracketed)
        elif re.fullmatch(r"[0-9.]+", name):
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return name is None or all(map(_LABEL.fullmatch, name.removesuffix(".").split(".")))


def _origin(text: str) -> str:
    """Accept ``http(s)://host[:port]`` and nothing behind it."""
    if not _is_origin(text):
        raise _expected("an origin such as http://127.0.0.1:9000, without path or user")
    return text


def _url(text: str) -> str:
    """Accept what can be fetched: an origin, and a path and a query behind it."""
    found = _URL.fullmatch(text)
    if found is None or not _is_origin(found[1]):
        raise _expected("a URL such as https://host/path, without user or fragment")
    return text


def _path(text: str) -> str:
    if text.startswith("~") or "\0" in text:
        # A directory named ~ would be made, and nobody would look for the keys in it.
        raise _expected("a path, from this file or absolute; ~ isn't expanded")
    return text


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text.replace(":", "").lower()):
        raise _expected("a SHA-256 digest: 64 hex digits, colons allowed")
    return text


def _proxy_network(text: str) -> str:
    """Accept an address or a network that can be that of one's own proxies.

    Who trusts the Internet lets every client choose the address that it is counted by.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise _expected("an address or a network, such as 10.0.3.0/24 or 2001:db8::5") from None
    least = _LEAST_PREFIX[network.version]
    private = isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_LOCAL_IPV6)
    if network.prefixlen < least and not private:
        raise _expected(f"your proxies alone: a network of at least /{least}")
    return text


def _pattern(text: str) -> str:
    """Accept ``/literal/*/segments`` with an optional last ``**``."""
    segments = text.split("/")[1:]
    rest = segments[:-1] if segments and segments[-1] == "**" else segments
    plain = all(re.fullmatch(r"\*|[A-Za-z0-9._~!$&'()+,=:@-]+", part) for part in rest if part)
    dots = any(part in {".", ".."} for part in rest)
    empty = any(part == "" for part in (rest if rest is not segments else segments[:-1]))
    if not text.startswith("/") or not plain or dots or empty:
        raise _expected(
            "a path such as /v1/records/*, with * for one segment and a last ** for any"
        )
    return text


Name: TypeAlias = Annotated[str, Field(pattern=_NAME)]
Duration: TypeAlias = Annotated[str, AfterValidator(_duration)]
ListenAddress: TypeAlias = Annotated[str, AfterValidator(_address)]
Origin: TypeAlias = Annotated[str, AfterValidator(_origin)]
Url: TypeAlias = Annotated[str, AfterValidator(_url)]
Digest: TypeAlias = Annotated[str, AfterValidator(_digest)]
ProxyNetwork: TypeAlias = Annotated[str, AfterValidator(_proxy_network)]
FilePath: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_path)]
Pattern: TypeAlias = Annotated[str, AfterValidator(_pattern)]


class Written(BaseModel):
    """Refuse unknown keys and silent conversions (``port: "80"`` isn't a number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
