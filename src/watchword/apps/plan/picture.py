"""Draw the three parts of the platform with the paths through them, and where they are cut.

Each path is a lane from the attacker on the left to what he wants on the right.  How it stands is
told by words and by the kind of line, so that nothing is lost without colours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from markupsafe import Markup

from watchword.apps.plan import words
from watchword.apps.plan.lanes import Drawn, Lane, Stop
from watchword.apps.plan.svg import element, group, paragraph, shortened, text
from watchword.encoding.wording import counted
from watchword.plan.interface import Component, Stage
from watchword.plan.outcome import Exposure

WIDTH: Final = 1240
_TOP: Final = 58
_NODE_WIDTH: Final = 186
_NODE_HEIGHT: Final = 74
_ROW: Final = _NODE_HEIGHT + 40
_PADDING: Final = 16
_START: Final = 26
_ASSET_LEFT: Final = 986
_ASSET_WIDTH: Final = WIDTH - _ASSET_LEFT - 8
_COLUMNS: Final[Mapping[Component, tuple[int, str, str]]] = {
    Component.APP: (118, "App", "on a device the attacker may own"),
    Component.CHANNEL: (400, "Channel", "between app and API"),
    Component.BACKEND: (682, "Backend", "your API and what is behind it"),
}
_MARK: Final = 46
"""Columns between a step and the mark that cuts the way to it."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """Hold where a step is drawn: its left edge, and the middle of its height."""

    stop: Stop
    x: float
    y: float

    @property
    def middle(self) -> float:
        return self.x + _NODE_WIDTH / 2

    @property
    def right(self) -> float:
        return self.x + _NODE_WIDTH


def picture(drawn: Drawn, *, name: str, title: str) -> Markup:
    """Return the picture as an SVG element.

    :param name: sets its ids apart from those of other pictures on the page.
    """
    tops = list(_tops(drawn.lanes))
    height = tops[-1]
    parts = [
        element("title", title, id=f"{name}-title"),
        element("desc", _told(drawn.lanes), id=f"{name}-desc"),
        _markers(name),
        *_bands(height),
    ]
    for lane, top in zip(drawn.lanes, tops, strict=False):
        parts.append(_lane(lane, top, name))
    parts.extend(_assets(drawn.lanes, tops))
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height + 8}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="picture",
    )


def _rows(stops: Sequence[Stop]) -> list[int]:
    """Return the row of each step: a step that doesn't go further right goes one row down."""
    order = list(Component)
    rows, row, last = [], 0, -1
    for stop in stops:
        column = order.index(stop.component)
        row += column <= last
        last = column
        rows.append(row)
    return rows


def _tops(lanes: Sequence[Lane]) -> Iterator[int]:
    """Yield the top of each lane, and in the end the bottom of the last."""
    top = _TOP
    yield top
    for lane in lanes:
        rows = _rows(lane.stops)
        top += 2 * _PADDING + _NODE_HEIGHT + _ROW * (rows[-1] if rows else 0)
        yield top


def _bands(height: int) -> Iterator[Markup]:
    """Yield the three parts, and the heading of what can be lost."""
    for x, heading, below in _COLUMNS.values():
        left, width = x - 16, _NODE_WIDTH + 32
        yield element("rect", x=left, y=2, width=width, height=height, rx=10, class_="band")
        yield text(heading, x + _NODE_WIDTH / 2, 25, "band-name", "middle")
        yield text(below, x + _NODE_WIDTH / 2, 43, "band-about", "middle")
    middle = _ASSET_LEFT + _ASSET_WIDTH / 2
    yield text("What can be lost", middle, 25, "band-name", "middle")
    yield text("the worst first", middle, 43, "band-about", "middle")
    yield text("Attacker", 4, 43, "band-about")


def _markers(name: str) -> Markup:
    """Return the arrow heads, one for each way in which a line may end."""
    heads = [
        element(
            "marker",
            element("path", d="M0 0 L10 5 L0 10 z", class_=f"head {kind}"),
            id=f"{name}-{kind}",
            viewBox="0 0 10 10",
            refX=9,
            refY=5,
            markerWidth=11,
            markerHeight=11,
            markerUnits="userSpaceOnUse",
            orient="auto-start-reverse",
        )
        for kind in ("open", "delayed", "closed")
    ]
    return element("defs", *heads)


def _lane(lane: Lane, top: float, name: str) -> Markup:
    middle = top + _PADDING + _NODE_HEIGHT / 2
    spots = [
        _Spot(stop, _COLUMNS[stop.component][0], middle + row * _ROW)
        for stop, row in zip(lane.stops, _rows(lane.stops), strict=True)
    ]
    parts = [element("circle", cx=_START, cy=middle, r=7, class_=f"start {lane.exposure.value}")]
    if lane.more:
        parts.append(text(f"+{lane.more:,} more", 4, middle + 25, "more"))
        parts.append(text("ways to learn", 4, middle + 38, "more"))
    parts.extend(_way(lane, spots, middle, name))
    parts.extend(_node(spot) for spot in spots)
    return group(parts)


def _way(lane: Lane, spots: Sequence[_Spot], middle: float, name: str) -> Iterator[Markup]:
    """Yield the line from the attacker through each step to the asset, with the marks that cut it."""
    kind = "run"
    last: _Spot | None = None
    for spot in spots:
        reach = 0 if last is not None and last.y != spot.y else _MARK
        if spot.stop.cut_by and kind != "dead":
            # What is behind the mark isn't the same line any more.
            yield _line(_route(last, spot, middle, short=reach), lane, kind, name, head=False)
            kind = "dead" if spot.stop.stage is Stage.EXPLOIT else "held"
            if reach:
                yield _line(f"M{spot.x - reach} {spot.y} H{spot.x}", lane, kind, name)
            yield _mark(last, spot)
        else:
            yield _line(_route(last, spot, middle), lane, kind, name)
        last = spot
    if last is not None:
        end = f"M{last.right} {last.y} H{_ASSET_LEFT - 2}"
        yield _line(end, lane, kind, name)
        yield _badge(lane.exposure, _ASSET_LEFT - 62, last.y)


def _route(last: _Spot | None, spot: _Spot, middle: float, short: float = 0) -> str:
    """Return the way of the line to a step; ``short``: how far before it the line ends."""
    if last is None:
        return f"M{_START + 7} {middle} H{spot.x - short}"
    if last.y == spot.y:
        return f"M{last.right} {last.y} H{spot.x - short}"
    bottom, top = last.y + _NODE_HEIGHT / 2, spot.y - _NODE_HEIGHT / 2
    if last.x == spot.x:
        return f"M{last.middle} {bottom} V{top}"
    # Backwards: down between the rows, and into the step from above.
    return f"M{last.middle} {bottom} V{(bottom + top) / 2} H{spot.middle} V{top}"


def _line(route: str, lane: Lane, kind: str, name: str, *, head: bool = True) -> Markup:
    # What doesn't get there has no head.
    ends = head and kind != "dead"
    return element(
        "path",
        d=route,
        class_=f"line {kind} {lane.exposure.value}",
        marker_end=f"url(#{name}-{lane.exposure.value})" if ends else None,
    )


def _mark(last: _Spot | None, spot: _Spot) -> Markup:
    """Return the mark of a cut: a bar across the line, and what cuts it."""
    more = len(spot.stop.cut_by) - 1
    said = shortened(spot.stop.cut_by[0], 10) + (f" +{more}" if more else "")
    firm = "exploit" if spot.stop.stage is Stage.EXPLOIT else "recon"
    width = 16 + 7.4 * len(said)
    if last is not None and last.y != spot.y:
        y = spot.y - _NODE_HEIGHT / 2 - 14
        bar = element("rect", x=spot.middle - 13, y=y - 3, width=26, height=6, class_=f"bar {firm}")
        left, label = spot.middle + 18, y
    else:
        x = spot.x - _MARK
        bar = element("rect", x=x - 3, y=spot.y - 14, width=6, height=28, class_=f"bar {firm}")
        left, label = x - width / 2, spot.y - 27
    return group(
        [
            bar,
            element(
                "rect", x=left, y=label - 10, width=width, height=20, rx=4, class_=f"tag {firm}"
            ),
            text(said, left + width / 2, label + 4.5, f"tag-text {firm}", "middle"),
        ]
    )


def _node(spot: _Spot) -> Markup:
    top = spot.y - _NODE_HEIGHT / 2
    stage = "does the damage" if spot.stop.stage is Stage.EXPLOIT else "gathers"
    return group(
        [
            element(
                "rect",
                x=spot.x,
                y=top,
                width=_NODE_WIDTH,
                height=_NODE_HEIGHT,
                rx=6,
                class_=f"node {spot.stop.stage.value}",
            ),
            text(shortened(spot.stop.technique, 12), spot.x + 9, top + 18, "node-id"),
            text(stage, spot.right - 9, top + 18, "node-stage", "end"),
            paragraph(
                spot.stop.name,
                spot.x + 9,
                top + 35,
                columns=26,
                most=3,
                class_="node-name",
                step=14,
            ),
        ]
    )


def _badge(exposure: Exposure, x: float, y: float) -> Markup:
    said = exposure.value.upper()
    width = 18 + 8 * len(said)
    return group(
        [
            element(
                "rect",
                x=x - width / 2,
                y=y - 11,
                width=width,
                height=22,
                rx=11,
                class_=f"badge {exposure.value}",
            ),
            text(said, x, y + 4.5, f"badge-text {exposure.value}", "middle"),
        ]
    )


def _assets(lanes: Sequence[Lane], tops: Sequence[float]) -> Iterator[Markup]:
    """Yield one box an asset, as high as the lanes that reach it."""
    numbered = list(enumerate(lanes))
    for _, found in groupby(numbered, key=lambda each: each[1].asset.asset.id):
        rows = list(found)
        first, last = rows[0][0], rows[-1][0]
        top, bottom = tops[first] + 8, tops[last + 1] - 8
        lane = rows[0][1]
        asset = lane.asset.asset
        left = _ASSET_LEFT + 14
        middle = (top + bottom) / 2
        parts = [
            element(
                "rect",
                x=_ASSET_LEFT,
                y=top,
                width=_ASSET_WIDTH,
                height=bottom - top,
                rx=8,
                class_=f"asset {lane.asset_exposure.value}",
            ),
            paragraph(asset.id, left, middle - 16, columns=25, most=2, class_="asset-name"),
            text(f"impact {asset.impact} of 5", left, middle + 18, "asset-about"),
            text(lane.asset_exposure.value.upper(), left + 96, middle + 18, "asset-state"),
        ]
        yield group(parts)
        if first:
            yield element("path", d=f"M0 {tops[first]} H{WIDTH}", class_="rule")


def _told(lanes: Sequence[Lane]) -> str:
    """Return the picture in words, for who doesn't see it."""
    said = []
    for lane in lanes:
        steps = ", then ".join(_stop_told(stop) for stop in lane.stops)
        more = f" and {counted(lane.more, 'path')} like it" if lane.more else ""
        asset = lane.asset.asset
        said.append(f"{steps}{more}: {asset.id}, impact {asset.impact}, is {lane.exposure.value}.")
    return " ".join(said)


def _stop_told(stop: Stop) -> str:
    cut = f", cut by {words.listed(stop.cut_by, 3)}" if stop.cut_by else ""
    return f"{stop.name} ({stop.technique}, {stop.component.value}{cut})"
