"""Fill templates: the layout and the controls that all pages share, and each capability's own."""

from collections.abc import Sequence
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from watchword.apps.reports.html import environment
from watchword.apps.reports.text import shown
from watchword.encoding.phrases import printable

PACKAGE: Final = "watchword.apps.web"


class Kit:
    """Make pages from the templates of one capability and those that all share."""

    def __init__(self, *packages: str) -> None:
        """Find templates and static files of these packages, then the shared ones.

        :param packages: each with folders ``templates`` and ``static``.
        """
        self.packages: Sequence[str] = (*packages, PACKAGE)
        loader = ChoiceLoader([PackageLoader(each, "templates") for each in self.packages])
        self._environment: Environment = environment(loader, shown)
        self._environment.filters.update(exact=_exact, kept=_kept)

    def let(self, **values: Any) -> None:
        """Make values known to all templates."""
        self._environment.globals.update(values)

    def text(self, template: str, **values: Any) -> str:
        """Return a page; every text in it is made safe to show and escaped."""
        return self._environment.get_template(template).render(**values)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page as an answer."""
        return HTMLResponse(self.text(template, **values), status)


def _exact(value: object) -> Markup:
    """Return text escaped and otherwise as it is: a field gives back what it was given, however long."""
    return escape("" if value is None else value)


def _kept(value: str) -> Markup:
    """Return text with its spaces, but without what turns other text around."""
    return escape(printable(value))


def go(path: str) -> Response:
    """Return the answer that leads to a page after something changed: a reload sends nothing twice."""
    return RedirectResponse(path, 303)
