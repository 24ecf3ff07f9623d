"""Hold the writing of the section to its promise: all other bytes stay, and comments with them."""

import random  # noqa: TID251 - seeded: the same files and edits each time.
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from watchword.apps.plan.workshop.section import PlanFile, SectionError

FILE = Path("watchword.yaml")
EXAMPLES = sorted(Path("examples").rglob("*.yaml"))
WORDS = (
    "off",
    "yes: no",
    "a # b",
    "1e3",
    "null",
    "Ärzte",
    "it's",
    '"quoted"',
    "- dash",
    "2026-11-30",
    "  x",
    "{a}",
    "&b",
)


def parsed(text: str) -> PlanFile:
    """Return a file with this text."""
    return PlanFile.parse(FILE, text.encode())


def outside(text: str, file: PlanFile) -> tuple[str, str]:
    """Return the text before and after the section: from its key to the next key of the file's own."""
    keys = [*re.finditer(r"^[A-Za-z_]+:", text, re.MULTILINE), None]
    place = next(i for i, each in enumerate(keys) if each is not None and each.group() == "plan:")
    start, following = keys[place], keys[place + 1]
    assert start is not None
    rest = "" if following is None else text[following.start() :]
    return text[: start.start()], rest


def comments_of(text: str) -> list[str]:
    """Return the comments that stand on lines of their own."""
    return [line.strip() for line in text.splitlines() if line.strip().startswith("#")]


def made(seed: int) -> str:
    """Return a file with comments everywhere, in one of many styles."""
    draw = random.Random(seed)
    wide, indent = draw.random() < 0.5, draw.choice(["  ", "    "])
    lines = (
        ["# head", "version: 1  # one", "", "environment: prod"]
        if draw.random() < 0.5
        else ["version: 1"]
    )
    lines += ["# before the plan", "plan:  # what we protect"]
    lines += [f"{indent}budget: {draw.randint(5, 50)}  # weeks"] if draw.random() < 0.5 else []
    lines += [f"{indent}# the assets", f"{indent}assets:"]
    for number in range(draw.randint(2, 6)):
        two = indent * 2
        lines += [f"{two}# about asset-{number}", f"{two}asset-{number}:   # named"]
        if draw.random() < 0.3:
            lines[-1] = f"{two}asset-{number}: &anchor{number}"
        lines += [f"{indent * 3}kind: data", f"{indent * 3}impact: {draw.randint(1, 5)}  # argued"]
        style = draw.choice(["plain", "quoted", "folded"])
        if style == "folded":
            lines += [
                f"{indent * 3}because: >-",
                f"{indent * 4}it would hurt,",
                f"{indent * 4}and more",
            ]
        else:
            lines += [
                f"{indent * 3}because: {'it would hurt' if style == 'plain' else chr(39) + 'it: hurts' + chr(39)}"
            ]
        lines += [
            f"{indent * 3}lives_in: [app, backend]"
            if wide
            else f"{indent * 3}lives_in:\n{indent * 4}- app  # there\n{indent * 4}- backend"
        ]
    if draw.random() < 0.7:
        dash = indent * 3 if draw.random() < 0.5 else indent * 2
        lines += ["", f"{indent}# ways", f"{indent}scenarios:", f"{indent * 2}add:"]
        for number in range(draw.randint(1, 3)):
            lines += [
                f"{dash}# way {number}",
                f"{dash}- asset: asset-{number % 2}",
                f"{dash}  steps: [MT-B03]   # a script",
                f"{dash}  because: seen {number}",
            ]
    lines += ["", "# after the plan", "gates: {}  # untouched"] if draw.random() < 0.5 else []
    text = "\n".join(lines) + ("\n" if draw.random() < 0.8 else "")
    return text.replace("\n", "\r\n") if draw.random() < 0.2 else text


def edited(section: Any, draw: random.Random) -> dict[str, Any]:
    """Return a section with one random change."""
    new: dict[str, Any] = deepcopy(dict(section))
    assets = new["assets"]
    name = draw.choice(list(assets))
    kind = draw.randrange(8)
    if kind == 0:
        assets[name]["impact"] = draw.randint(1, 5)
    elif kind == 1:
        assets[name]["because"] = draw.choice(WORDS)
    elif kind == 2 and len(assets) > 1:
        del assets[name]
    elif kind == 3:
        assets[f"new-{draw.randrange(99)}"] = {
            "kind": "service",
            "impact": 2,
            "because": draw.choice(WORDS),
            "lives_in": ["backend"],
        }
    elif kind == 4:
        assets[name]["lives_in"] = draw.sample(["app", "channel", "backend"], draw.randint(1, 3))
    elif kind == 5:
        new["budget"] = draw.randint(1, 99)
    elif kind == 6:
        entries = new.setdefault("scenarios", {}).setdefault("add", [])
        entries.insert(
            draw.randint(0, len(entries)),
            {"asset": name, "steps": ["MT-B04", "MT-B03"], "because": draw.choice(WORDS)},
        )
    else:
        assets[name].setdefault("quantities", {})["users"] = draw.randint(1, 10**6)
    return new


@pytest.mark.parametrize("seed", range(50))
def test_ten_random_edits_of_a_file_leave_all_else_as_it_was(seed: int) -> None:
    """Outside the section every byte stays; inside, each comment on a line of its own does."""
    draw = random.Random(seed + 1000)
    text = made(seed)
    file = parsed(text)
    for _ in range(10):
        before = file.raw.decode()
        wanted = edited(file.section, draw)
        changed = file.with_section(wanted)
        removed = set(file.section["assets"]) - set(wanted["assets"])
        now = changed.decode()
        again = PlanFile.parse(FILE, changed)
        assert again.section == wanted
        ends = "" if before.endswith("\n") else ("\r\n" if "\r\n" in before else "\n")
        old, new = outside(before, file), outside(now, again)
        assert old[0] == new[0]
        assert new[1] in {old[1], old[1] + ends}
        if not removed:
            assert set(comments_of(before)) <= set(comments_of(now))
        else:
            kept = {each for each in comments_of(before) if each.startswith("# about")}
            assert kept <= set(comments_of(now))
        file = again


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_the_examples_can_be_edited(example: Path) -> None:
    """One changed number changes one line of each example."""
    file = PlanFile.parse(example, example.read_bytes())
    if not file.section.get("assets"):
        pytest.skip("it has no plan")
    wanted = deepcopy(dict(file.section))
    asset = wanted["assets"][next(iter(wanted["assets"]))]
    asset["impact"] = 1 if asset["impact"] != 1 else 2
    before, after = file.raw.decode().splitlines(), file.with_section(wanted).decode().splitlines()
    assert len(before) == len(after)
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_a_section_that_is_not_there_comes_at_the_end() -> None:
    """The rest stays byte for byte; a file that isn't there gets its version."""
    section = {"assets": {"a": {"kind": "data", "impact": 1, "because": "x", "lives_in": ["app"]}}}
    text = "version: 1\n# note\ngates: {}"
    assert parsed(text).with_section(section).decode().startswith(text + "\n\nplan:\n")
    assert parsed("").with_section(section).startswith(b"version: 1\n\nplan:\n  assets:\n    a:\n")


def test_an_empty_section_is_filled() -> None:
    """`plan:` without a value becomes one with a value."""
    wanted = {"assets": {"a": {"kind": "data", "impact": 1}}}
    for written in ("plan:", "plan: {}", "plan:  # to do"):
        text = f"version: 1\n{written}\ngates: {{}}\n"
        changed = parsed(text).with_section(wanted).decode()
        assert yaml.safe_load(changed)["plan"] == wanted
        assert changed.endswith("gates: {}\n")


def test_a_byte_order_mark_and_carriage_returns_stay() -> None:
    """Whoever edits on Windows gets the same line ends back."""
    text = "\ufeffversion: 1\r\nplan:\r\n  assets:\r\n    a: {kind: data, impact: 1}\r\n"
    changed = parsed(text).with_section({"assets": {"a": {"kind": "data", "impact": 2}}}).decode()
    assert changed == text.replace("impact: 1", "impact: 2")


def test_a_new_name_keeps_its_place_and_its_comments() -> None:
    """An asset with another name is the same lines with another name."""
    text = "plan:\n  assets:\n    a:  # first\n      impact: 1\n    b:\n      impact: 2\n"
    changed = parsed(text).with_section({"assets": {"b": {"impact": 2}, "c": {"impact": 1}}})
    assert changed.decode() == text.replace("    a:", "    c:")


def test_what_the_file_may_hold_the_section_may() -> None:
    """A tab between two entries of one line is fine for what reads the file, and so for what changes it."""
    text = "plan:\n  assets: {a: {kind: data,\timpact: 1}}  # 😀\n  budget: 5\n"
    wanted = {"assets": {"a": {"kind": "data", "impact": 1}}, "budget": 7}
    assert parsed(text).with_section(wanted).decode() == text.replace("5", "7")


def test_an_anchor_stays() -> None:
    """A value gets another one behind its anchor."""
    text = "plan:\n  budget: &weeks 5  # enough\n"
    assert parsed(text).with_section({"budget": 7}).decode() == text.replace("5", "7")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{version: 1, plan: {budget: 5}}", "without braces"),
        ("version: 1\n...\n", "no end marker"),
        ("plan:\n  a: &x 1\n  b: *x\n", "alias"),
        ("- 1\n", "expected a mapping"),
        ("\x0b", "nothing was written"),
        ("version: 1\nplan:\n  a: 1\rgates:\n", ":3: got a carriage return"),
        ("plan:\n  budget: 1\n  budget: 2\n", "once"),
    ],
)
def test_what_cannot_be_edited_in_place_is_refused_with_a_reason(text: str, said: str) -> None:
    """Nothing is written, and the text says what to do."""
    with pytest.raises(SectionError, match=re.escape(said)):
        parsed(text).with_section({"budget": 9})


def test_a_comment_inside_a_list_that_is_written_anew_stands_above_it() -> None:
    """What was said about an entry isn't lost with its style."""
    text = "plan:\n  lives_in: [app,  # the phone\n    backend]\n"
    changed = parsed(text).with_section({"lives_in": ["channel"]}).decode()
    assert changed == "plan:\n  # the phone\n  lives_in: [channel]\n"


def test_too_large_a_file_is_not_written() -> None:
    """What our reader would refuse is refused before it is written."""
    with pytest.raises(SectionError, match="at most 4194304"):
        parsed("version: 1\n").with_section({"assets": {"a": {"because": "x" * 5_000_000}}})
