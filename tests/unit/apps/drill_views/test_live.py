"""The drill in a terminal: what is printed before, while it runs and after, and that it fits."""

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from rich.cells import cell_len
from rich.console import Console
from tests.unit.apps.drill_views import seed
from tests.unit.apps.drill_views.strange import is_harmless, texts

from watchword.apps.drill.reports import VERDICTS
from watchword.apps.drill.terminal import Announcement, LiveView
from watchword.drill.interface import NEEDED, Need, Sample
from watchword.drill.judgements import Report, Verdict
from watchword.drill.registry import ATTACKS
from watchword.vocabulary import Level, Mode, Proof

SAMPLES = [
    Sample("GET", f"/v1/patients/{number}?x=1", "patients", Proof.DEVICE, Level.HARDWARE, Mode.OFF)
    for number in range(12)
]
WHY = "needs the channel part, which this build hasn't got"
COLOURS = {
    Verdict.STOPPED: "32",
    Verdict.OPEN: "31",
    Verdict.ABSENT: "31",
    Verdict.UNSURE: "33",
    Verdict.NOT_RUN: "2",
}


def console(width: int, *, tty: bool = False, encoding: str = "utf-8") -> Console:
    """Return a console that writes into memory."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    return Console(
        file=file,
        width=width,
        force_terminal=tty,
        color_system="standard" if tty else None,
        _environ={"TERM": "xterm"},
        legacy_windows=False,
    )


def written(terminal: Console) -> str:
    """Return what was printed."""
    terminal.file.flush()
    buffer = getattr(terminal.file, "buffer")  # noqa: B009 - the type of a console's file hides it.
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(terminal.encoding)


def announcement(report: Report) -> Announcement:
    """Return what is announced before such a run."""
    return Announcement(
        target=report.target,
        loopback=report.loopback,
        facts=report.facts,
        attacks=[each.attack for each in report.results],
        samples=SAMPLES,
        genuine=60,
        rate=2.5,
        most=4000,
        left_out={"man-in-the-middle": WHY, "pin-bypass": WHY},
    )


def played(report: Report, terminal: Console) -> str:
    """Return what a whole run prints."""
    view = LiveView(terminal, len(report.results))
    view.open(announcement(report))
    with view.running():
        for each in report.results:
            view.show(each)
    view.close(report)
    return written(terminal)


def plain(text: str) -> str:
    """Return text without colours, on one line, as far as words can have been wrapped."""
    return " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split())


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("made", [seed.clean, seed.mixed, seed.interrupted])
def test_no_line_is_wider_than_the_window(made: Callable[[], Report], width: int) -> None:
    """Nor is one needlessly broken where the window is wide."""
    lines = played(made(), console(width)).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)


@given(text=texts)
def test_strange_answers_are_harmless_and_fit(text: str) -> None:
    """Neither escapes nor wide letters get out of their place."""
    said = played(seed.hostile(text), console(80))
    assert is_harmless(said)
    assert max(map(cell_len, said.splitlines())) <= 80


@given(text=texts)
def test_a_terminal_without_unicode_gets_no_error(text: str) -> None:
    """What it can't show is escaped."""
    assert played(seed.hostile(text), console(80, encoding="ascii")).isascii()


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verdict_is_a_word_and_a_colour(verdict: Verdict) -> None:
    """A window without colours tells the same."""
    report = seed.report(seed.result(seed.FIRST, verdict))
    row = f"{VERDICTS[verdict]:<9}{seed.FIRST.id}"
    assert row in played(report, console(120))
    coloured = played(report, console(120, tty=True))
    assert re.search(
        rf"\x1b\[(1;)?{COLOURS[verdict]}m{VERDICTS[verdict]} *\x1b\[0m\x1b\[1m{seed.FIRST.id}",
        coloured,
    )
    assert row in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", coloured)


@pytest.mark.parametrize("width", [80, 120])
def test_a_row_tells_the_worst_and_what_is_missing(width: int) -> None:
    """The variant that was served, what it got and what it had to get, and the variant that wasn't run."""
    said = plain(played(seed.mixed(), console(width)))
    names = [each.name for each in seed.FIRST.variants]
    stopped = len(names) - 3
    assert f"{stopped}/{len(names) - 1} stopped" in said
    assert f"{names[0]}: served 200, expected token.missing" in said
    assert f"not run: {names[-1]} (needs {NEEDED[Need.OPERATOR]})" in said


@pytest.mark.parametrize("width", range(60, 121, 5))
def test_what_came_back_is_never_cut(width: int) -> None:
    """Where the row has no room for it, it stands below."""
    got = "409 challenge.used, then 401 token.missing"
    report = seed.report(seed.result(seed.FIRST, Verdict.STOPPED, got=got))
    assert got in plain(played(report, console(width)))


def test_a_wide_window_has_a_row_on_one_line() -> None:
    """With what came back at its end."""
    report = seed.report(seed.result(seed.FIRST, Verdict.STOPPED))
    rows = [each for each in played(report, console(120)).splitlines() if "STOPPED  " in each]
    assert rows[0].endswith("401 token.missing")


def test_the_run_is_announced() -> None:
    """Target, attacks, requests and their rate, and what isn't tried and why, before anything is sent."""
    terminal = console(80)
    view = LiveView(terminal, 3)
    view.open(announcement(seed.mixed()))
    said = plain(written(terminal))
    for part in (
        "http://127.0.0.1:8443 (on this machine)",
        "API clinic, environment lab",
        "at most 2.5 a second, at most 4,000 in all; 60 of them are the genuine app's",
        "GET /v1/patients/11",
        f"{len(ATTACKS)} attacks",
        *ATTACKS,
        f"{WHY} man-in-the-middle, pin-bypass",
    ):
        assert part in said
    assert "?x=1" not in said


def test_the_summary_has_all_that_the_run_says() -> None:
    """Counts, the genuine app, protections, what the counters saw, and what is missing, by what it needs."""
    said = plain(played(seed.mixed(), console(100)))
    rest = len(ATTACKS) - 3
    for part in (
        f"1 OPEN 0 ABSENT 1 UNSURE {rest} STOPPED 1 not run",
        "Genuine app: served 58 of 60. 1,114 requests in 12.3 s.",
        "not served: POST /v1/records/7: 502",
        "POST /v1/records/7 isn't served to the genuine app (502)",
        "PR-B01 broken served: one",
        "MT-B03 2/3",
        "PR-B03 says nothing not sure of: two",
        f"counted {seed.FIRST.id} (1,234)",
        f"needs {NEEDED[Need.KEYS]} {seed.THIRD.id}",
        f"needs {NEEDED[Need.OPERATOR]} {seed.FIRST.id} ({seed.FIRST.variants[-1].name})",
    ):
        assert part in said


def test_the_summary_names_protections_where_their_names_are_known() -> None:
    """Each beside its id and state; one whose name nobody knows stands there by its id."""
    terminal = console(100)
    LiveView(terminal, 1).close(seed.mixed(), {"PR-B01": "Attestation checked"})
    said = plain(written(terminal))
    assert "PR-B01 broken Attestation checked served: one" in said
    assert "PR-B03 says nothing not sure of: two" in said


def test_the_summary_counts_variants_where_the_row_names_them() -> None:
    """Many variants of an attack that weren't run are named once, at the attack, and not again at the end."""
    names = [each.name for each in seed.FIRST.variants]
    left = [seed.variant(name, Verdict.NOT_RUN) for name in ("one", "two", "three")]
    ends = seed.result(seed.FIRST, Verdict.STOPPED, seed.variant(names[0], Verdict.STOPPED), *left)
    row, _, summary = plain(played(seed.report(ends), console(100))).partition(" Result ")
    assert f"not run: one, two, three (needs {NEEDED[Need.KEYS]})" in row
    assert f"{seed.FIRST.id} (3 variants)" in summary


def test_counters_are_told_of_open_attacks_alone() -> None:
    """One that nobody saw is named; where nobody can see, and where all were stopped, nothing is said."""
    unseen = seed.report(seed.result(seed.FIRST, Verdict.OPEN, counted=0))
    said = plain(played(unseen, console(100)))
    assert f"unseen {seed.FIRST.id}" in said
    assert "counted" not in said
    for verdict, count in ((Verdict.OPEN, None), (Verdict.STOPPED, 12)):
        report = seed.report(seed.result(seed.FIRST, verdict, counted=count))
        said = plain(played(report, console(100)))
        assert "counted" not in said
        assert "unseen" not in said


def test_an_interruption_is_told() -> None:
    """The summary begins with it."""
    said = plain(played(seed.interrupted(), console(80)))
    assert "Result interrupted" in said


def test_lines_have_numbers_where_nobody_sees_a_bar() -> None:
    """A log tells how far the run was; a terminal has the line at its bottom."""
    report = seed.clean()
    total = len(report.results)
    assert f"\n{total}/{total} STOPPED" in played(report, console(80))


def test_a_terminal_shows_how_far_it_is_and_what_runs() -> None:
    """The line names the first attack that hasn't ended; those that need quiet come last."""
    quiet = replace(seed.FIRST, alone=True)
    terminal = console(80, tty=True)
    view = LiveView(terminal, 2)
    with view.running([quiet, seed.SECOND]):
        terminal.file.flush()
        view.show(seed.result(seed.SECOND, Verdict.STOPPED))
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written(terminal))
    assert re.search(rf"0/2 [^\r\n]*{seed.SECOND.id}", drawn)
    assert re.search(rf"1/2 [^\r\n]*{seed.FIRST.id}", drawn)
    assert all(cell_len(line) <= 80 for line in re.split(r"[\r\n]+", drawn))


def test_the_line_goes_away_when_a_run_breaks_off() -> None:
    """The cursor is back, and what is printed then stays."""
    terminal = console(80, tty=True)
    view = LiveView(terminal, 1)
    with pytest.raises(KeyboardInterrupt), view.running([seed.FIRST]):
        raise KeyboardInterrupt
    view.show(seed.result(seed.FIRST, Verdict.STOPPED))
    said = written(terminal)
    assert said.rindex("\x1b[?25h") < said.rindex("STOPPED")
