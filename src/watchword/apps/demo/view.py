"""Show the demo to people: each act as it ends, under its chapter."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from watchword.apps.demo.acts import Act

ACTOR_WIDTH = 20
ACT_WIDTH = 34
OUTCOME_WIDTH = 12
"""Columns of a line; with the reason it may be too wide for a terminal, and then takes two."""

REASON_AT = 5 + ACTOR_WIDTH + ACT_WIDTH + 2 + OUTCOME_WIDTH
REASON_BELOW = 5 + ACTOR_WIDTH


class LiveView:
    """Print acts one by one."""

    def __init__(self, console: Console) -> None:
        """Start with an empty page."""
        self._console = console
        self._chapter = ""

    def open(self) -> None:
        """Print the title."""
        self._console.print()
        self._console.print(Text("Watchword: only your genuine app gets through", style="bold"))
        self._console.print(
            Text("Everything here is real but the phones: sockets, keys, store, gate.", style="dim")
        )

    def show(self, act: Act) -> None:
        """Print one act, and its chapter's heading before the first."""
        if act.chapter != self._chapter:
            self._chapter = act.chapter
            self._console.print()
            self._console.print(Text(act.chapter, style="bold cyan"))
        line = Text()
        line.append(" ok  " if act.ok else "FAIL ", style="green" if act.ok else "bold red")
        line.append(f"{act.actor:<{ACTOR_WIDTH}}", style="bold")
        line.append(f"{act.act:<{ACT_WIDTH}}  ")
        bad = act.got.what.startswith(("refused", "served 0"))
        line.append(act.got.what, style="yellow" if bad else "green")
        if act.got.reason is not None:
            fits = REASON_AT + len(act.got.reason) <= self._console.width
            gap = OUTCOME_WIDTH - len(act.got.what)
            line.append(" " * gap if fits else "\n" + " " * REASON_BELOW)
            line.append(act.got.reason, style="magenta")
        self._console.print(line, soft_wrap=True)
        if not act.ok:
            self._console.print(Text(f"       expected {act.expected}", style="red"))

    def close(self, acts: Sequence[Act], seconds: float) -> None:
        """Print the summary."""
        good = sum(act.ok for act in acts)
        style = "bold green" if good == len(acts) else "bold red"
        self._console.print()
        self._console.print(
            Text(f"{good} of {len(acts)} acts as expected, in {seconds:.1f} s.", style=style)
        )
        self._console.print("Protect your own API:  watchword init, check, up")
        self._console.print("Why was it refused?    watchword explain REF")
