"""Ask the method's questions in the terminal: the same as the workshop's pages, one after the other.

An answer can be taken back: the questions are asked by a generator, and going back runs it anew with the answers but the
last.  Where the input ends, what was answered so far is the draft.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from watchword.plan.drafts import DRAFT_IMPACT, slug
from watchword.plan.interface import UNJUDGED, AssetKind, Component, Trait, is_guess
from watchword.plan.questions import NO_LIKELIHOOD, Wording, questions

BACK: Final = "back"
MAX_ANSWER: Final = 1000

_LEVELS: Final = {"1", "2", "3", "4", "5"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """Hold one question.

    :param said: lines above it; :param ask: the question; :param default: what an empty answer means.
    :param expected: returns what is wrong with an answer, None where nothing is.
    """

    said: tuple[str, ...]
    ask: str
    default: str = ""
    expected: Callable[[str], str | None] = field(default=lambda _answer: None)


Script: TypeAlias = Generator[Prompt, str, None]
Ask: TypeAlias = Callable[[Prompt], str | None]
"""Puts a question; returns the answer, None where the input ends."""

Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Starts:
    """Hold what an interview may begin from.

    :param titles: of the templates, by name; :param section: returns the plan section of one.
    """

    titles: Mapping[str, str]
    section: Callable[[str], Mapping[str, Any]]


def interview(ask: Ask, tell: Tell, starts: Starts) -> dict[str, Any]:
    """Return the plan section that the answers make; without an asset where nothing was answered.

    :param tell: is told what is wrong with an answer; the question is put again then.
    """
    answers: list[str] = []
    while True:
        section: dict[str, Any] = {}
        prompt = _replayed(section, answers, starts)
        if prompt is None:
            return section
        given = ask(prompt)
        if given is None:
            return section
        answer = " ".join(given.split())[:MAX_ANSWER] or prompt.default
        if answer.lower() == BACK:
            if answers:
                answers.pop()
            else:
                tell("This is the first question.")
        elif (wrong := prompt.expected(answer)) is not None:
            tell(f"Got {answer!r}, expected {wrong}.")
        else:
            answers.append(answer)


def _replayed(section: dict[str, Any], answers: list[str], starts: Starts) -> Prompt | None:
    """Give the answers again, and return the next question; None where there is none."""
    script = _script(section, starts)
    try:
        prompt = next(script)
        for answer in answers:
            prompt = script.send(answer)
    except StopIteration:
        return None
    return prompt


def _script(section: dict[str, Any], starts: Starts) -> Script:
    asked = questions()
    start = asked.step("start")
    names = [*starts.titles, "none"]
    said = (
        start.why,
        *(f"  {name:7} {title}" for name, title in starts.titles.items()),
        "  none    an empty list",
    )
    chosen = yield Prompt(said, "Begin from", "none", _one_of(names))
    if chosen != "none":
        section |= starts.section(chosen)
    assets: dict[str, Any] = section.setdefault("assets", {})
    yield from _asset_questions(assets)
    for name in list(assets):
        yield from _impact_question(name, assets[name])


def _asset_questions(assets: dict[str, Any]) -> Script:
    asked = questions()
    step = asked.step("assets")
    while True:
        have = f"So far: {', '.join(assets)}." if assets else "Nothing named yet."
        name = yield Prompt(
            (step.ask, step.why, have),
            "Name one more, or press Enter to go on",
            "",
            _a_name(assets),
        )
        if not name:
            return
        kind = yield Prompt(_listed(asked.kinds), f"What is {name}?", "data", _one_of(AssetKind))
        lives_in = yield Prompt(
            (asked.step("parts").why, *_listed(asked.parts)),
            "Where can it be taken? Several with commas",
            "backend",
            _some_of(Component),
        )
        asset: dict[str, Any] = {
            "kind": kind,
            "impact": DRAFT_IMPACT,
            "because": UNJUDGED,
            "lives_in": _chosen(Component, lives_in),
        }
        default = Trait.FRAUD_RULE.value if kind == AssetKind.USE_CASE else "usual"
        traits = yield Prompt(
            (
                *_listed(asked.traits),
                *(
                    ()
                    if kind == AssetKind.USE_CASE
                    else ("  usual: what this kind has most often",)
                ),
            ),
            "What is an attacker after? Several with commas",
            default,
            _some_of(Trait, *([] if kind == AssetKind.USE_CASE else ["usual"])),
        )
        if traits != "usual":
            asset["traits"] = _chosen(Trait, traits)
        assets[slug(name)] = asset


def _impact_question(name: str, asset: dict[str, Any]) -> Script:
    asked = questions()
    scale = tuple(f"  {each.level} {each.name}: {each.example}" for each in asked.impact)
    step = asked.step("impact")
    impact = yield Prompt(
        (step.why, *scale),
        f"What would the loss of {name} do? 1 to 5",
        str(asset["impact"]),
        _a_level,
    )
    default = "" if is_guess(str(asset["because"])) else str(asset["because"])
    because = yield Prompt((), "Because", default)
    asset["impact"] = int(impact)
    asset["because"] = because or UNJUDGED


def _listed(said: Mapping[Any, Wording]) -> tuple[str, ...]:
    return tuple(f"  {each.value}: {one.name}, {one.about}" for each, one in said.items())


def _one_of(names: Any) -> Callable[[str], str | None]:
    known = [str(getattr(each, "value", each)) for each in names]
    return lambda answer: None if answer in known else f"one of {', '.join(known)}"


def _some_of(kind: Any, *more: str) -> Callable[[str], str | None]:
    known = {each.value for each in kind}

    def wrong(answer: str) -> str | None:
        if answer in more or (parts := {part.strip() for part in answer.split(",")}) <= known:
            return None
        return f"some of {', '.join(sorted(known))}; got {', '.join(sorted(parts - known))}"

    return wrong


def _chosen(kind: Any, answer: str) -> list[str]:
    parts = {part.strip() for part in answer.split(",")}
    return [each.value for each in kind if each.value in parts]


def _a_name(assets: Mapping[str, Any]) -> Callable[[str], str | None]:
    def wrong(answer: str) -> str | None:
        if answer and slug(answer) in assets:
            return "a name that isn't in the list yet"
        return None

    return wrong


def _a_level(answer: str) -> str | None:
    if answer in _LEVELS:
        return None
    return f"a number from 1 to 5. {NO_LIKELIHOOD}"
