"""Show a drill in a terminal while it runs: what it will do, each attack as it ends, and what came of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from watchword.apps.drill.reports import (
    NO_NAMES,
    UNTRIED,
    VERDICTS,
    genuine_fared,
    ids,
    missing_by_need,
    outcome_of,
    routes_of,
    seen_by_counters,
    state_of,
    tally_of,
    verdict_counts,
    worst_variant,
)
from watchword.apps.reports.text import listed, shown
from watchword.drill.interface import Attack, Facts, Sample
from watchword.drill.judgements import AttackResult, Report, Verdict
from watchword.encoding.phrases import counted
from watchword.observations import State
from watchword.vocabulary import Mode

MAX_WIDTH: Final = 120
"""Longer lines than this are hard to read, however wide the window is."""

_CUT: Final = "..."


class Page:
    """Print lines that never overflow the console."""

    def __init__(self, console: Console) -> None:
        """Take the console."""
        self._console = console

    @property
    def width(self) -> int:
        """Return the columns to fill."""
        return max(20, min(self._console.width, MAX_WIDTH))

    def said(self, text: str) -> str:
        """Return text that is safe on this terminal: printable, and in its encoding."""
        encoding = self._console.encoding
        return shown(text).encode(encoding, "backslashreplace").decode(encoding)

    def line(self, text: Text | str = "") -> None:
        """Print one line, cut at the console's width."""
        line = Text(text) if isinstance(text, str) else text
        if line.cell_len > self._console.width:
            line.truncate(self._console.width, overflow="crop")
        line.rstrip()
        self._console.print(line, soft_wrap=True)

    def heading(self, text: str) -> None:
        """Print a heading, with an empty line before it."""
        self.line()
        self.line(Text(text, style="bold"))

    def entry(
        self, label: str, text: str, *, indent: int, at: int, style: str = "", text_style: str = ""
    ) -> None:
        """Print text wrapped from a column on, with its label before it.

        A label that leaves no room stands on a line of its own.

        :param indent: columns before the label.
        :param at: the text's first column.
        :param style: of the label.
        """
        at = min(at, self.width // 2)
        start = Text(" " * indent)
        start.append(cut(self.said(label), self.width - indent), style=style)
        if label and start.cell_len > at - 1:
            self.line(start)
            start = Text()
        for each in self.wrapped(text, self.width - at):
            start.append(" " * (at - start.cell_len))
            start.append(each, style=text_style)
            self.line(start)
            start = Text()

    def wrapped(self, text: str, width: int) -> Iterator[str]:
        """Yield the lines of a paragraph; a word that is too long is broken."""
        for line in Text(self.said(text)).wrap(self._console, width, overflow="fold"):
            yield line.plain.rstrip()

    def names(self, label: str, names: Sequence[str], *, indent: int, at: int) -> None:
        """Print all of these names beside their label; none is broken that fits into a line."""
        at = min(at, self.width // 2)
        lines = [""]
        # Each was made safe by itself, since one text is cut where it is very long.
        for number, name in enumerate(map(self.said, names), start=1):
            word = name if number == len(names) else f"{name},"
            if lines[-1] and at + cell_len(lines[-1]) + 1 + cell_len(word) > self.width:
                lines.append("")
            lines[-1] += f" {word}" if lines[-1] else word
        for number, line in enumerate(lines):
            self.entry(label if not number else "", line, indent=indent, at=at, style="dim")


def cut(text: str, width: int) -> str:
    """Return text of at most so many columns; what is cut ends in dots."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - len(_CUT))).rstrip() + _CUT[: max(0, width)]


def filled(text: str, width: int) -> str:
    """Return text of exactly so many columns."""
    return set_cell_size(cut(text, width), width)


_INDENT: Final = 2
_AT: Final = 12


@dataclass(frozen=True, slots=True)
class Announcement:
    """Hold what a run will do.

    :param target: what is attacked, by its URL.
    :param attacks: those that will be tried, in order.
    :param samples: the requests that are asked for.
    :param genuine: how many requests of the genuine app are sent beside the attacks.
    :param rate: most requests a second, None for as fast as answers come.
    :param most: most requests in all, None where nothing bounds them but the attacks.
    :param left_out: by the id of an attack that isn't tried, why.
    """

    target: str
    loopback: bool
    facts: Facts
    attacks: Sequence[Attack]
    samples: Sequence[Sample]
    genuine: int
    rate: float | None = None
    most: int | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)


def announce(page: Page, found: Announcement) -> None:
    """Print it."""

    def entry(label: str, text: str) -> None:
        page.entry(label, text, indent=_INDENT, at=_AT, style="dim")

    where = "on this machine" if found.loopback else "on another machine"
    name = "an API that no file names" if found.facts.api is None else f"API {found.facts.api}"
    page.heading("Watchword attacks your own deployment")
    entry("target", f"{found.target} ({where})")
    entry("", f"{name}, environment {found.facts.environment.value}")
    entry("requests", _requests(found))
    page.names("asks for", [_asked(each) for each in found.samples], indent=_INDENT, at=_AT)
    entry("attacks", f"{counted(len(found.attacks), 'attack')}:")
    page.names("", ids(found.attacks), indent=_INDENT, at=_AT)
    by_why: dict[str, list[str]] = defaultdict(list)
    for attack, why in found.left_out.items():
        by_why[why].append(attack)
    label = "not run"
    for why, attacks in by_why.items():
        entry(label, why)
        page.names("", attacks, indent=_INDENT, at=_AT + 2)
        label = ""
    entry("stop it", "with Ctrl-C; what ended by then is still reported")
    page.line()


def _asked(sample: Sample) -> str:
    """Return a sample's name, and its route's mode where that refuses nobody, or not everybody."""
    if sample.route is None or sample.mode is Mode.ENFORCE:
        return sample.name
    return f"{sample.name} (mode {sample.mode.value})"


def _requests(found: Announcement) -> str:
    rate = (
        "as fast as they are answered" if found.rate is None else f"at most {found.rate:g} a second"
    )
    most = "" if found.most is None else f", at most {found.most:,} in all"
    return f"{rate}{most}; {found.genuine:,} of them are the genuine app's"


STYLES: Final = {
    Verdict.STOPPED: "bold green",
    Verdict.OPEN: "bold red",
    Verdict.ABSENT: "bold red",
    Verdict.UNSURE: "bold yellow",
    Verdict.NOT_RUN: "dim",
}
"""How each verdict's word is coloured; the word says it where there are no colours."""

_STATES: Final = {State.PROVEN: "green", State.BROKEN: "red", State.ABSENT: "red"}
_FINDING_AT: Final = 24


def summarise(page: Page, report: Report, names: Mapping[str, str] = NO_NAMES) -> None:
    """Print it, a block each.

    :param names: of protections, by id, where they are known.
    """
    _ending(page, report)
    _findings(page, report, names)
    _counters(page, report)
    _routes(page, report)
    _missing(page, report)
    page.line()


def _ending(page: Page, report: Report) -> None:
    page.heading("Result")
    if report.interrupted:
        text = "what didn't run isn't in this report, and nothing is proven by it"
        page.entry("interrupted", text, indent=_INDENT, at=_AT + 3, style="bold yellow")
    if report.changed:
        text = f"{report.changed}; nothing is proven by this run"
        page.entry("unsure", text, indent=_INDENT, at=_AT + 3, style="bold yellow")
    line = Text("  ")
    for number, (verdict, count) in enumerate(verdict_counts(report)):
        line.append("   " if number else "")
        style = STYLES[verdict] if count else "dim"
        line.append(f"{count} {VERDICTS[verdict]}", style=style)
    page.line(line)
    spent = f"{counted(report.requests, 'request')} in {report.seconds:.1f} s"
    genuine = genuine_fared(report)
    page.entry("", f"Genuine app: {genuine}. {spent}.", indent=0, at=_INDENT)
    for fault in report.genuine.faults:
        page.entry("", f"not served: {fault}", indent=0, at=_INDENT + 2)
    for control in report.controls:
        if not control.served:
            said = f"{control.sample} isn't served to the genuine app ({control.got}): "
            page.entry("", said + "a refusal of it says nothing", indent=0, at=_INDENT + 2)


def _findings(page: Page, report: Report, names: Mapping[str, str]) -> None:
    if not report.findings:
        return
    page.heading("What this run says of each protection")
    for each in report.findings:
        label = f"{each.protection:<8}{state_of(each)}"
        style = "" if each.state is None else _STATES.get(each.state, "")
        for text in filter(None, (names.get(each.protection), routes_of(each), each.why)):
            page.entry(label, text, indent=_INDENT, at=_FINDING_AT, style=style)
            label = ""
        strengths = [
            f"{technique} {stopped}/{ran}" for technique, (stopped, ran) in each.strengths.items()
        ]
        if strengths:
            text = f"of each technique's variants it stopped: {listed(strengths)}"
            page.entry("", text, indent=0, at=_FINDING_AT, text_style="dim")


def _counters(page: Page, report: Report) -> None:
    """Print which open attacks the gate counted all the same, as it does in mode ``monitor``."""
    seen, unseen = seen_by_counters(report.results)
    if not seen and not unseen:
        return
    page.heading("Open, but did the gate's counters see it?")
    if seen:
        page.names("counted", seen, indent=_INDENT, at=_AT)
    if unseen:
        page.names("unseen", unseen, indent=_INDENT, at=_AT)


def _routes(page: Page, report: Report) -> None:
    """Print which routes leave an asset open by the file itself, and of which nothing could be shown."""
    if report.facts.weak:
        page.heading("Routes that ask for less than what lives there is worth")
        for each in report.facts.weak:
            page.entry("", each, indent=0, at=_INDENT, text_style="red")
    if report.facts.unasked:
        page.heading("Routes that no request falls on, so that nothing is proven there")
        page.names("", list(report.facts.unasked), indent=_INDENT, at=_INDENT)
        page.entry(
            "", "Name one under `drill: requests` that your API serves.", indent=0, at=_INDENT
        )


def _missing(page: Page, report: Report) -> None:
    missing = missing_by_need(report.results)
    if not missing:
        return
    page.heading("Not run here")
    for need, names in missing.items():
        page.entry("", need, indent=0, at=_INDENT)
        page.names("", names, indent=0, at=_INDENT + 2)


_VERDICT: Final = 9
_ID: Final = 24
_MAX_ID: Final = 32
_MAX_TITLE: Final = 44
_TALLY: Final = 13
_GAP: Final = 2
_BAR: Final = 24


class LiveView:
    """Print a drill: :meth:`open`, then :meth:`show` within :meth:`running`, then :meth:`close`.

    On a terminal a line at the bottom tells how far it is and what runs; elsewhere each attack's line has its number.
    """

    def __init__(self, console: Console, total: int) -> None:
        """Take the console, and how many attacks will end."""
        self._console = console
        self._page = Page(console)
        self._total = total
        self._ended: set[str] = set()
        self._order: list[str] = []
        self._id, self._title = _ID, _MAX_TITLE
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def open(self, found: Announcement) -> None:
        """Print what will be done; nothing was sent yet."""
        announce(self._page, found)
        self._takes_turns(found.attacks)

    @contextmanager
    def running(self, attacks: Sequence[Attack] = ()) -> Iterator[None]:
        """Show progress until the block ends, however it ends.

        :param attacks: those that run, where they weren't announced.
        """
        if attacks:
            self._takes_turns(attacks)
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            yield
            return
        progress = Progress(
            TextColumn("  {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=_BAR),
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="crop", ratio=1),
            ),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            expand=True,
        )
        self._task = progress.add_task(self._now(), total=self._total)
        with progress:
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None

    def show(self, result: AttackResult) -> None:
        """Print one attack as it ends."""
        self._ended.add(result.attack.id)
        self._row(result)
        if self._progress is not None:
            self._progress.update(self._task, completed=len(self._ended), description=self._now())

    def close(self, report: Report, names: Mapping[str, str] = NO_NAMES) -> None:
        """Print the summary.

        :param names: of protections, by id, where they are known.
        """
        summarise(self._page, report, names)

    def _takes_turns(self, attacks: Sequence[Attack]) -> None:
        """Note the order in which attacks begin: those that need quiet last."""
        self._order = ids(sorted(attacks, key=lambda each: each.alone))
        if self._order:
            self._id = min(_MAX_ID, max(map(len, self._order)))
            self._title = min(_MAX_TITLE, max(len(each.title) for each in attacks))

    def _now(self) -> str:
        """Return what runs: attacks begin in order, so that the first that hasn't ended has begun."""
        left = [each for each in self._order if each not in self._ended]
        return left[0] if left else ""

    def _row(self, result: AttackResult) -> None:
        """Print the row, and below it what doesn't fit into it."""
        page = self._page
        line = Text()
        if not self._console.is_terminal:
            width = len(str(self._total))
            line.append(f"{len(self._ended):>{width}}/{self._total} ", style="dim")
        start = line.cell_len
        line.append(filled(VERDICTS[result.verdict], _VERDICT), style=STYLES[result.verdict])
        line.append(filled(result.attack.id, self._id), style="bold")
        room = page.width - line.cell_len - 2 * _GAP - _TALLY
        title = page.said(result.attack.title)
        # A title that doesn't fit whole stands below: half of one says little.
        fits = self._title <= room and Text(title).cell_len <= self._title
        if self._title <= room:
            line.append(" " * _GAP + filled(title if fits else "", self._title))
        tally = tally_of(result)
        line.append(" " * _GAP + filled(tally, _TALLY))
        details = list(_details(result))
        said = page.said(details[0]) if len(details) == 1 else ""
        # What was cut is worth a line of its own.
        if said and line.cell_len + _GAP + Text(said).cell_len <= page.width:
            line.append(" " * _GAP + said)
            details = []
        page.line(line)
        for detail in [*([] if fits else [title]), *details]:
            style = "dim" if result.verdict in {Verdict.STOPPED, Verdict.NOT_RUN} else ""
            page.entry("", detail, indent=0, at=start + _VERDICT, text_style=style)


def _details(result: AttackResult) -> Iterator[str]:
    """Yield what the worst variant got, and what wasn't run of an attack that was."""
    found = worst_variant(result)
    if found is None:
        return
    said = outcome_of(found)
    if result.verdict in {Verdict.STOPPED, *UNTRIED}:
        yield said
    else:
        yield f"{cut(found.name, _MAX_ID)}: {said}"
    if result.verdict in UNTRIED:
        return
    for need, names in missing_by_need([result], most=len(result.variants)).items():
        _, _, some = names[0].partition(" ")
        yield f"not run: {some[1:-1]} ({need})"
