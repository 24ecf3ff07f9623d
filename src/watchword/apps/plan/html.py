"""Write a plan as one HTML file that needs nothing else: no script, no style, font or picture from elsewhere.

Its pictures are SVG, built from elements whose every text and attribute is escaped.  Each path is a lane from the attacker
on the left to what he wants on the right.  How it stands is told by words and by the kind of line, so that nothing is
lost without colours.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final

from markupsafe import Markup, escape

from watchword.apps.plan import words
from watchword.apps.plan.words import (
    EXPOSED,
    asked,
    catalogue,
    left_out,
    nothing,
    technique_name,
    verdict,
    what_if,
    world,
)
from watchword.apps.reports.html import render
from watchword.apps.reports.text import in_sentence, listed, one_line
from watchword.encoding.phrases import counted, printable
from watchword.plan.interface import Component, Stage, Technique
from watchword.plan.outcome import AssetState, Exposure, PathState, Phase, Plan, Tally

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


def label(said: str, x: float, y: float, class_: str = "", anchor: str | None = None) -> Markup:
    """Return one line of text at a place."""
    return element("text", said, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def paragraph(
    said: str, x: float, y: float, *, columns: int, most: int, class_: str, step: float = 15
) -> Markup:
    """Return text in lines of ``columns`` characters, at most ``most`` of them; what is cut ends in dots."""
    rows = textwrap.wrap(one_line(said), columns, break_on_hyphens=True) or [""]
    if len(rows) > most:
        rows = [*rows[: most - 1], rows[most - 1][: columns - 1].rstrip() + _ELLIPSIS]
    spans = [
        element("tspan", row, x=x, dy=step if number else 0) for number, row in enumerate(rows)
    ]
    return element("text", *spans, x=x, y=y, class_=class_)


def shortened(said: str, most: int) -> str:
    """Return text of at most ``most`` characters; what is cut ends in dots."""
    plain = one_line(said)
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + _ELLIPSIS


def _text(child: str) -> Markup:
    return child if isinstance(child, Markup) else escape(printable(child))


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return printable(str(value))


_LEFT: Final = 84
_STRIP: Final = 46
_GAP: Final = 12
_CURVE_TOP: Final = 26
_LEAST_TICK: Final = 24
_LEAST_NAME: Final = 52
_NAMES: Final = {Phase.PREVENT: "prevent", Phase.GATHERING: "gathering", Phase.HARDENING: "harden"}


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Hold how the assets of one level stand from one effort to another."""

    start: int
    end: int
    tally: Tally


def curve(plan: Plan, *, width: int, name: str) -> Markup:
    """Return the step chart as an SVG element; an empty one where there are no assets."""
    rows = words.levels(plan)
    total = max(plan.items[-1].spent if plan.items else 0, 1)
    # The last step needs room too.
    end = total + max(1, round(total * 0.07))
    scale = (width - _LEFT - 8) / end
    bottom = _CURVE_TOP + len(rows) * (_STRIP + _GAP)
    parts = [
        element("title", "Exposure by effort", id=f"{name}-title"),
        element("desc", _curve_in_words(plan), id=f"{name}-desc"),
        _patterns(name),
    ]
    for number, (level, now, _) in enumerate(rows):
        top = _CURVE_TOP + number * (_STRIP + _GAP)
        parts.append(label(f"impact {level}", 0, top + _STRIP / 2 + 5, "axis strong"))
        for stretch in _stretches(plan, level, now, end):
            parts.extend(_bars(stretch, top, scale, name))
    parts.extend(_axis(plan, scale, bottom))
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {bottom + 52}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="curve",
    )


def _patterns(name: str) -> Markup:
    stripe = element("path", d="M-2 2 L2 -2 M0 8 L8 0 M6 10 L10 6", class_="stripe")
    return element(
        "defs",
        element(
            "pattern",
            element("rect", width=8, height=8, class_="stripe-ground"),
            stripe,
            id=f"{name}-delayed",
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
        ),
    )


def _stretches(plan: Plan, level: int, now: Tally, end: int) -> Iterator[_Stretch]:
    """Yield the stretches of one level; items that change nothing there don't end one."""
    start, tally = 0, now
    for item in plan.items:
        found = next((each for each in item.exposure if each.level == level), tally)
        if found != tally:
            if item.spent > start:
                yield _Stretch(start, item.spent, tally)
            start, tally = item.spent, found
    yield _Stretch(start, end, tally)


def _bars(stretch: _Stretch, top: float, scale: float, name: str) -> Iterator[Markup]:
    tally = stretch.tally
    counts = words.counts(tally)
    total = sum(count for _, count in counts)
    x, width = _LEFT + stretch.start * scale, (stretch.end - stretch.start) * scale
    y = top + _STRIP
    for exposure, count in counts:
        height = _STRIP * count / total
        y -= height
        fill = f"url(#{name}-delayed)" if exposure is Exposure.DELAYED else None
        yield element(
            "rect", x=x, y=y, width=width, height=height, fill=fill, class_=f"bar-{exposure.value}"
        )
        said = words.assets_that_are(exposure, count)
        if height >= 15 and width > 8 * len(said) + 8:
            middle, base = x + width / 2, y + height / 2 + 4.5
            if exposure is Exposure.DELAYED:
                room = 8 * len(said) + 4
                yield element(
                    "rect", x=middle - room / 2, y=base - 13, width=room, height=18, class_="ground"
                )
            yield label(said, middle, base, f"bar-text {exposure.value}", "middle")


def _axis(plan: Plan, scale: float, bottom: float) -> Iterator[Markup]:
    """Yield the ticks, one an item where there is room, and where each phase begins."""
    yield label("0", _LEFT, bottom + 14, "axis", "middle")
    last = float(_LEFT)
    start = 0
    seen: set[Phase] = set()
    for item in plan.items:
        x = _LEFT + item.spent * scale
        if item.phase not in seen:
            seen.add(item.phase)
            yield from _phase(
                item.phase, _LEFT + start * scale, bottom, _room(plan, item.phase, start, scale)
            )
        start = item.spent
        if x - last >= _LEAST_TICK:
            last = x
            yield element("path", d=f"M{x:.1f} {bottom - _GAP + 2} V{bottom}", class_="tick")
            yield label(str(item.spent), x, bottom + 14, "axis", "middle")
    yield from _turns(plan, scale, bottom)
    yield label("effort spent", _LEFT, bottom + 46, "axis")


def _turns(plan: Plan, scale: float, bottom: float) -> Iterator[Markup]:
    """Yield the measures after which an asset stands differently, where there is room."""
    before: Sequence[Tally] = plan.exposure
    last = float(_LEFT)
    for item in plan.items:
        x = _LEFT + item.spent * scale
        if item.exposure != before and x - last >= _LEAST_NAME:
            last = x
            name = shortened(item.protection.id, 10)
            yield label(name, x, bottom + 29, "axis strong", "middle")
        before = item.exposure


def _room(plan: Plan, phase: Phase, start: int, scale: float) -> float:
    return (words.of_phase(plan, phase)[-1].spent - start) * scale


def _phase(phase: Phase, x: float, bottom: float, room: float) -> Iterator[Markup]:
    yield element("path", d=f"M{x:.1f} 6 V{bottom - _GAP + 2}", class_="phase-rule")
    name = _NAMES[phase]
    if room >= 8 * len(name):
        yield label(name, x + 5, 15, "axis strong")


def _curve_in_words(plan: Plan) -> str:
    said = [f"Now: {words.tallies(plan.exposure)}."]
    last: Sequence[Tally] = plan.exposure
    for item in plan.items:
        if item.exposure != last:
            said.append(
                f"After effort {item.spent} ({item.protection.id}): {words.tallies(item.exposure)}."
            )
            last = item.exposure
    return " ".join(said)


MAX_LANES: Final = 12
"""Most lanes of a picture; more can't be taken in."""

_WORST_FIRST: Final = tuple(Exposure)


@dataclass(frozen=True, slots=True)
class Stop:
    """Hold one step of a lane.

    :param cut_by: protections that cut it, in this state of things.
    """

    technique: str
    name: str
    component: Component
    stage: Stage
    cut_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """Hold one path that is drawn.

    :param more: how many other paths it stands for, that differ only in how intelligence is gathered.
    """

    asset: AssetState
    exposure: Exposure
    asset_exposure: Exposure
    stops: tuple[Stop, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """Hold the lanes of a picture, and how many paths none of them stands for."""

    lanes: tuple[Lane, ...]
    left_out: int


def lanes(plan: Plan, *, after: bool) -> Drawn:
    """Return the lanes now, or once the plan is done; the worst assets first, the same in both.

    Each asset has its worst path before any has a second one, and so on, as far as there is room.
    """
    assets = {each.asset.id: each for each in plan.assets}
    known = [each for each in plan.paths if each.path.asset in assets]
    known.sort(key=_worst_first)
    groups = _together(known, plan) if len(known) > MAX_LANES else [[each] for each in known]
    groups.sort(key=lambda found: -found[0].impact)
    drawn = _gathered(_chosen(groups))
    shown = sum(len(each) for each in drawn)
    return Drawn(
        tuple(_lane_of(each, assets[each[0].path.asset], plan, after=after) for each in drawn),
        len(plan.paths) - shown,
    )


def _worst_first(state: PathState) -> tuple[int, int, int, str, str]:
    """Order paths: the worst impact first, then what is worse now, then what stays worse."""
    path = state.path
    return -state.impact, _place(state.now), _place(state.after), path.asset, path.id


def _place(exposure: Exposure) -> int:
    return _WORST_FIRST.index(exposure)


def _together(paths: Iterable[PathState], plan: Plan) -> list[list[PathState]]:
    """Put paths together that reach the same asset by the same steps of exploitation, and stand alike."""
    found: dict[object, list[PathState]] = {}
    for each in paths:
        key = (each.path.asset, _ending(each, plan), each.now, each.after)
        found.setdefault(key, []).append(each)
    return list(found.values())


def _ending(state: PathState, plan: Plan) -> tuple[str, ...]:
    steps = state.path.steps
    for number, step in enumerate(steps):
        technique = plan.catalogue.techniques.get(step)
        if technique is not None and technique.stage is Stage.EXPLOIT:
            return steps[number:]
    return steps[-1:]


def _chosen(groups: Sequence[list[PathState]]) -> list[list[PathState]]:
    """Return as many groups as there is room for, in their order: the first of each asset, then the second."""
    taken: Counter[str] = Counter()
    turns: list[tuple[int, int]] = []
    for number, each in enumerate(groups):
        asset = each[0].path.asset
        turns.append((taken[asset], number))
        taken[asset] += 1
    return [groups[number] for number in sorted(number for _, number in sorted(turns)[:MAX_LANES])]


def _gathered(groups: Sequence[list[PathState]]) -> list[list[PathState]]:
    """Return the groups with those of one asset beside each other, in the order of the first of each."""
    by_asset: dict[str, list[list[PathState]]] = {}
    for each in groups:
        by_asset.setdefault(each[0].path.asset, []).append(each)
    return [group for found in by_asset.values() for group in found]


def _lane_of(paths: Sequence[PathState], asset: AssetState, plan: Plan, *, after: bool) -> Lane:
    state = paths[0]
    cuts = state.cut_after if after else state.cut_now
    return Lane(
        asset,
        state.after if after else state.now,
        asset.after if after else asset.now,
        tuple(_stop(step, cuts, plan) for step in state.path.steps),
        len(paths) - 1,
    )


def _stop(technique: str, cuts: Iterable[tuple[str, str]], plan: Plan) -> Stop:
    found = plan.catalogue.techniques.get(technique)
    return Stop(
        technique,
        technique_name(plan, technique),
        Component.BACKEND if found is None else found.component,
        Stage.EXPLOIT if found is None else found.stage,
        tuple(dict.fromkeys(by for step, by in cuts if step == technique)),
    )


WIDTH: Final = 1240
_PICTURE_TOP: Final = 58
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
        element("desc", _picture_in_words(drawn.lanes), id=f"{name}-desc"),
        _markers(name),
        *_bands(height),
    ]
    for lane, top in zip(drawn.lanes, tops, strict=False):
        parts.append(_drawn_lane(lane, top, name))
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
    top = _PICTURE_TOP
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
        yield label(heading, x + _NODE_WIDTH / 2, 25, "band-name", "middle")
        yield label(below, x + _NODE_WIDTH / 2, 43, "band-about", "middle")
    middle = _ASSET_LEFT + _ASSET_WIDTH / 2
    yield label("What can be lost", middle, 25, "band-name", "middle")
    yield label("the worst first", middle, 43, "band-about", "middle")
    yield label("Attacker", 4, 43, "band-about")


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


def _drawn_lane(lane: Lane, top: float, name: str) -> Markup:
    middle = top + _PADDING + _NODE_HEIGHT / 2
    spots = [
        _Spot(stop, _COLUMNS[stop.component][0], middle + row * _ROW)
        for stop, row in zip(lane.stops, _rows(lane.stops), strict=True)
    ]
    parts = [element("circle", cx=_START, cy=middle, r=7, class_=f"start {lane.exposure.value}")]
    if lane.more:
        parts.append(label(f"+{lane.more:,} more", 4, middle + 25, "more"))
        parts.append(label("ways to learn", 4, middle + 38, "more"))
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
        left, base = spot.middle + 18, y
    else:
        x = spot.x - _MARK
        bar = element("rect", x=x - 3, y=spot.y - 14, width=6, height=28, class_=f"bar {firm}")
        left, base = x - width / 2, spot.y - 27
    return group(
        [
            bar,
            element(
                "rect", x=left, y=base - 10, width=width, height=20, rx=4, class_=f"tag {firm}"
            ),
            label(said, left + width / 2, base + 4.5, f"tag-text {firm}", "middle"),
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
            label(shortened(spot.stop.technique, 12), spot.x + 9, top + 18, "node-id"),
            label(stage, spot.right - 9, top + 18, "node-stage", "end"),
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
            label(said, x, y + 4.5, f"badge-text {exposure.value}", "middle"),
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
            label(f"impact {asset.impact} of 5", left, middle + 18, "asset-about"),
            label(lane.asset_exposure.value.upper(), left + 96, middle + 18, "asset-state"),
        ]
        yield group(parts)
        if first:
            yield element("path", d=f"M0 {tops[first]} H{WIDTH}", class_="rule")


def _picture_in_words(lanes: Sequence[Lane]) -> str:
    """Return the picture in words, for who doesn't see it."""
    said = []
    for lane in lanes:
        steps = ", then ".join(_stop_told(stop) for stop in lane.stops)
        more = f" and {counted(lane.more, 'path')} like it" if lane.more else ""
        asset = lane.asset.asset
        said.append(f"{steps}{more}: {asset.id}, impact {asset.impact}, is {lane.exposure.value}.")
    return " ".join(said)


def _stop_told(stop: Stop) -> str:
    cut = f", cut by {in_sentence(stop.cut_by, 3)}" if stop.cut_by else ""
    return f"{stop.name} ({stop.technique}, {stop.component.value}{cut})"


MAX_ROWS: Final = 500
"""Most rows of a table; ``--json`` has them all, and so does no reader's patience."""

MAX_CARDS: Final = 5
"""Most measures at the top, where a manager reads for two minutes; the list has them all."""

MAX_NAMED: Final = 12
"""Most paths that are named for one item."""

_AFTER: Final = "Once the plan is done"
_CATALOGUES: Final[Mapping[str, str]] = {
    "maswe": "MASWE",
    "attack-mobile": "ATT&CK Mobile",
    "attack-enterprise": "ATT&CK Enterprise",
    "owasp-api": "OWASP API",
    "owasp-mobile": "OWASP Mobile",
    "owasp-oat": "OWASP OAT",
}


MARK: Final = '<meta name="generator" content="Watchword">'
"""Stands in the head of every report, by which an earlier one is known when it is to be written over."""


def report(plan: Plan, since: Sequence[str] = ()) -> str:
    """Return the report: a manager reads its top, an engineer works from the rest.

    :param since: what changed since an earlier plan: a heading, and lines below it.
    """
    now, after = lanes(plan, after=False), lanes(plan, after=True)
    today = "In that case" if asked(plan) else "Today"
    return render(
        "watchword.apps.plan",
        mark=MARK,
        show=one_line,
        listed=in_sentence,
        either=partial(listed, last=" or "),
        since=since,
        plan=plan,
        words=words,
        today=today,
        what_if=what_if(plan),
        world=world(plan),
        sentences=verdict(plan),
        left_out=list(left_out(plan)),
        nothing=nothing(plan),
        in_catalogue=catalogue(plan),
        meanings=_meanings(plan),
        exposed=any(each.now in EXPOSED for each in plan.assets),
        unreached=[each for each in plan.assets if each.now is Exposure.UNREACHED],
        phases=[(phase, words.of_phase(plan, phase)) for phase in Phase],
        firsts=words.of_phase(plan, Phase.PREVENT),
        levels=words.levels(plan),
        pictures=[
            ("now", today, now, picture(now, name="now", title=f"The paths: {today}")),
            (
                "after",
                _AFTER,
                after,
                picture(after, name="after", title=f"The paths: {_AFTER}"),
            ),
        ],
        curves=[
            ("wide", curve(plan, width=1180, name="curve-wide")),
            ("narrow", curve(plan, width=350, name="curve-narrow")),
        ],
        unclosable=words.unclosable(plan),
        all_ways=sum(each.ways for each in plan.assets),
        techniques=_techniques(plan),
        catalogues=_catalogues,
        paths=words.worst_first(plan.paths)[:MAX_ROWS],
        assets=plan.assets[:MAX_ROWS],
        cutters=_cutters,
        max_cards=MAX_CARDS,
        max_named=MAX_NAMED,
        max_rows=MAX_ROWS,
    )


def _meanings(plan: Plan) -> dict[Exposure, str]:
    """Return what the words of exposure mean; that of struck assets only where there are some."""
    found = dict(words.MEANINGS)
    if all(each.now is not Exposure.UNREACHED for each in plan.assets):
        del found[Exposure.UNREACHED]
    return found


def _techniques(plan: Plan) -> list[Technique]:
    """Return the techniques of the paths, by id."""
    used = {step for each in plan.paths for step in each.path.steps}
    known = plan.catalogue.techniques
    return [known[name] for name in sorted(used & known.keys())][:MAX_ROWS]


def _catalogues(technique: Technique) -> str:
    """Return a technique's ids in other catalogues."""
    return "; ".join(
        f"{_CATALOGUES.get(catalogue, catalogue)} {', '.join(technique.names[catalogue])}"
        for catalogue in sorted(technique.names)
        if technique.names[catalogue]
    )


def _cutters(state: PathState, technique: str) -> str:
    """Return what cuts one step of a path once the plan is done."""
    return ", ".join(dict.fromkeys(by for step, by in state.cut_after if step == technique))
