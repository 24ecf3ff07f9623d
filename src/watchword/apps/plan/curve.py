"""Draw exposure by effort: how many assets of each impact are open after so much work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from watchword.apps.plan import words
from watchword.apps.plan.svg import element, shortened, text
from watchword.plan.outcome import Exposure, Phase, Plan, Tally

_LEFT: Final = 84
_STRIP: Final = 46
_GAP: Final = 12
_TOP: Final = 26
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
    bottom = _TOP + len(rows) * (_STRIP + _GAP)
    parts = [
        element("title", "Exposure by effort", id=f"{name}-title"),
        element("desc", _told(plan), id=f"{name}-desc"),
        _patterns(name),
    ]
    for number, (level, now, _) in enumerate(rows):
        top = _TOP + number * (_STRIP + _GAP)
        parts.append(text(f"impact {level}", 0, top + _STRIP / 2 + 5, "axis strong"))
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
            yield text(said, middle, base, f"bar-text {exposure.value}", "middle")


def _axis(plan: Plan, scale: float, bottom: float) -> Iterator[Markup]:
    """Yield the ticks, one an item where there is room, and where each phase begins."""
    yield text("0", _LEFT, bottom + 14, "axis", "middle")
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
            yield text(str(item.spent), x, bottom + 14, "axis", "middle")
    yield from _turns(plan, scale, bottom)
    yield text("effort spent", _LEFT, bottom + 46, "axis")


def _turns(plan: Plan, scale: float, bottom: float) -> Iterator[Markup]:
    """Yield the measures after which an asset stands differently, where there is room."""
    before: Sequence[Tally] = plan.exposure
    last = float(_LEFT)
    for item in plan.items:
        x = _LEFT + item.spent * scale
        if item.exposure != before and x - last >= _LEAST_NAME:
            last = x
            name = shortened(item.protection.id, 10)
            yield text(name, x, bottom + 29, "axis strong", "middle")
        before = item.exposure


def _room(plan: Plan, phase: Phase, start: int, scale: float) -> float:
    return (words.of_phase(plan, phase)[-1].spent - start) * scale


def _phase(phase: Phase, x: float, bottom: float, room: float) -> Iterator[Markup]:
    yield element("path", d=f"M{x:.1f} 6 V{bottom - _GAP + 2}", class_="phase-rule")
    name = _NAMES[phase]
    if room >= 8 * len(name):
        yield text(name, x + 5, 15, "axis strong")


def _told(plan: Plan) -> str:
    said = [f"Now: {words.tallies(plan.exposure)}."]
    last: Sequence[Tally] = plan.exposure
    for item in plan.items:
        if item.exposure != last:
            said.append(
                f"After effort {item.spent} ({item.protection.id}): {words.tallies(item.exposure)}."
            )
            last = item.exposure
    return " ".join(said)
