"""Write a report as one HTML file that needs nothing else: no script, no style, font or picture from elsewhere."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from watchword.apps.reports.text import shown

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

Shown = Callable[[str], str]
"""Makes text safe to show."""


def render(
    package: str,
    /,
    *,
    mark: str,
    show: Shown = shown,
    template: str = "report.html.j2",
    **values: Any,
) -> str:
    """Return the page that a template of a package makes.

    :param mark: an element of the head that is ours and a constant, by which an earlier page is known.
    :param show: what is done to every text before it is escaped.
    """
    found = _environment(package, show).get_template(template)
    return found.render(mark=Markup(mark), **values)  # noqa: S704 - said above.


@cache
def _environment(package: str, show: Shown) -> "Environment":
    # It takes as long to import as a small report to make: who wants no page doesn't wait for it.
    from jinja2 import PackageLoader  # noqa: PLC0415

    return environment(PackageLoader(package, "."), show)


def environment(loader: "BaseLoader", show: Shown) -> "Environment":
    """Return what fills templates: it escapes all text, and refuses a name that it doesn't know."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - as above.

    def finalize(value: Any) -> Any:
        return show(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
