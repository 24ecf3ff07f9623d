"""Write a report as one HTML file that needs nothing else: no script, no style, font or picture from elsewhere."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from watchword.apps.reports.text import shown

if TYPE_CHECKING:
    from jinja2 import Environment

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
    found = environment((package, "."), show=show).get_template(template)
    return found.render(mark=Markup(mark), **values)  # noqa: S704 - said above.


@cache
def environment(*places: tuple[str, str], show: Shown = shown) -> "Environment":
    """Return the environment of templates that escapes every text.

    :param places: where templates are looked for, in order: a package and a directory in it.
    :param show: what is done to every text before it is escaped.
    """
    # It takes as long to import as a small report to make: who wants no page doesn't wait for it.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    def finalize(value: Any) -> Any:
        return show(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    return Environment(
        loader=ChoiceLoader([PackageLoader(*each) for each in places]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
