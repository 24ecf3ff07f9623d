"""Make pages of one look: templates in which every text is escaped, and static files with their hash in the name."""

import hashlib
import mimetypes
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from watchword.apps.reports.html import Shown, environment
from watchword.apps.reports.text import shown
from watchword.apps.web.access import Access

_OURS: Final = "watchword.apps.web"
_FOREVER: Final = "public, max-age=31536000, immutable"

STATIC: Final = "/static"
"""Where static files are served; they hold nothing of anybody's plan, so they need no key."""


class Kit:
    """Make the pages of one program, from its package's ``templates`` and ``static`` and from the kit's own."""

    def __init__(self, access: Access, *packages: str, show: Shown = shown) -> None:
        """Read what is there to be served.

        :param packages: each has a directory ``templates``, and may have ``static``.
        :param show: what is done to every text before it is escaped; ``{{ text | exact }}`` goes without.
        """
        every = (*packages, _OURS)
        self._environment = environment(
            *((each, "templates") for each in every), show=show
        ).overlay()
        # An overlay shares these with the cached environment that it lies over.
        self._environment.globals = {
            **self._environment.globals,
            "csrf": access.csrf,
            "static": self.static,
        }
        self._environment.filters = {**self._environment.filters, "exact": _exact}
        self._files: dict[str, tuple[bytes, str]] = {}
        self._names: dict[str, str] = {}
        for package in reversed(every):
            self._files.update(self._read(package))

    def _read(self, package: str) -> Mapping[str, tuple[bytes, str]]:
        directory = resources.files(package).joinpath("static")
        found = {}
        for each in directory.iterdir() if directory.is_dir() else ():
            kind = mimetypes.guess_type(each.name)[0]
            if kind not in {"text/css", "text/javascript", "image/svg+xml"}:
                continue
            data = each.read_bytes()
            stem, _, suffix = each.name.rpartition(".")
            self._names[each.name] = f"{stem}.{hashlib.sha256(data).hexdigest()[:12]}.{suffix}"
            found[self._names[each.name]] = (data, kind)
        return found

    def static(self, name: str) -> str:
        """Return the address of a static file.

        :raises KeyError: when there is none of that name.
        """
        return f"{STATIC}/{self._names[name]}"

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Return the page that a template makes; it extends ``layout.html.j2``."""
        text = self._environment.get_template(template).render(**values)
        return HTMLResponse(text, status)

    def refusal(self, status: int, title: str, cause: str, help_: str = "") -> HTMLResponse:
        """Return the page of a request that wasn't done.

        :param cause: what happened; :param help_: what to do now.
        """
        return self.page("refusal.html.j2", status=status, title=title, cause=cause, help=help_)

    async def serve_static(self, request: Request) -> Response:
        """Answer a request for a static file."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            return self.refusal(
                404, "No such file", "This file isn't part of this version.", "Load the page again."
            )
        data, kind = found
        return Response(data, media_type=kind, headers={"cache-control": _FOREVER})


def _exact(value: object) -> Markup:
    """Return text escaped and otherwise as it is: a field must give back what it was given."""
    return escape("" if value is None else value)
