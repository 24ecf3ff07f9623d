"""Show a drill in a terminal while it runs: what it will do, each attack as it ends, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from watchword.apps.drill import words
from watchword.apps.drill.announcement import Announcement, announce
from watchword.apps.drill.page import Page, cut, filled
from watchword.apps.drill.summary import STYLES, summarise
from watchword.drill.interface import Attack
from watchword.drill.outcome import AttackResult, Report, Verdict

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

    def close(self, report: Report, names: Mapping[str, str] = words.NO_NAMES) -> None:
        """Print the summary.

        :param names: of protections, by id, where they are known.
        """
        summarise(self._page, report, names)

    def _takes_turns(self, attacks: Sequence[Attack]) -> None:
        """Note the order in which attacks begin: those that need quiet last."""
        self._order = words.ids(sorted(attacks, key=lambda each: each.alone))
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
        line.append(filled(words.VERDICTS[result.verdict], _VERDICT), style=STYLES[result.verdict])
        line.append(filled(result.attack.id, self._id), style="bold")
        room = page.width - line.cell_len - 2 * _GAP - _TALLY
        title = page.said(result.attack.title)
        # A title that doesn't fit whole stands below: half of one says little.
        fits = self._title <= room and Text(title).cell_len <= self._title
        if self._title <= room:
            line.append(" " * _GAP + filled(title if fits else "", self._title))
        tally = words.tally(result)
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
    found = words.worst_variant(result)
    if found is None:
        return
    said = words.outcome(found)
    if result.verdict in {Verdict.STOPPED, *words.UNTRIED}:
        yield said
    else:
        yield f"{cut(found.name, _MAX_ID)}: {said}"
    if result.verdict in words.UNTRIED:
        return
    for need, names in words.missing([result], most=len(result.variants)).items():
        _, _, some = names[0].partition(" ")
        yield f"not run: {some[1:-1]} ({need})"
