"""Build SVG from elements whose every text and attribute is escaped."""

import textwrap
from typing import Final

from markupsafe import Markup, escape

from watchword.apps.plan.words import flat
from watchword.apps.terminal.paragraphs import printable

_ELLIPSIS: Final = "…"


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """Return one element.

    :param children: text, which is escaped, or elements.
    :param attributes: ``stroke_width`` stands for ``stroke-width``, ``class_`` for ``class``; those that are
        None are left out.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _value(value))
        for name, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(_text(each) for each in children)
    return Markup("<") + tag + written + Markup(">") + inside + Markup("</") + tag + Markup(">")


def group(children: "list[Markup]", **attributes: object) -> Markup:
    """Return a group of elements."""
    return element("g", *children, **attributes)


def text(said: str, x: float, y: float, class_: str = "", anchor: str | None = None) -> Markup:
    """Return one line of text at a place."""
    return element("text", said, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def paragraph(
    said: str, x: float, y: float, *, columns: int, most: int, class_: str, step: float = 15
) -> Markup:
    """Return text in lines of ``columns`` characters, at most ``most`` of them; what is cut ends in dots."""
    rows = textwrap.wrap(printable(flat(said)), columns, break_on_hyphens=True) or [""]
    if len(rows) > most:
        rows = [*rows[: most - 1], rows[most - 1][: columns - 1].rstrip() + _ELLIPSIS]
    spans = [
        element("tspan", row, x=x, dy=step if number else 0) for number, row in enumerate(rows)
    ]
    return element("text", *spans, x=x, y=y, class_=class_)


def shortened(said: str, most: int) -> str:
    """Return text of at most ``most`` characters; what is cut ends in dots."""
    plain = printable(flat(said))
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + _ELLIPSIS


def _text(child: str) -> Markup:
    return child if isinstance(child, Markup) else escape(printable(child))


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return printable(str(value))
