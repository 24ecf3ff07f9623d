"""Read intent filters, and which links they stand for."""

from collections.abc import Iterator
from itertools import islice, product
from typing import Final

from watchword.scan.android import attributes
from watchword.scan.android.elements import Element
from watchword.scan.android.resources import Reader
from watchword.scan.app import IntentFilter

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
