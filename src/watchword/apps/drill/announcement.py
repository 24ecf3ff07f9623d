"""Say what a drill will do, before it does anything."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from watchword.apps.drill.page import Page
from watchword.apps.drill.words import ids
from watchword.drill.interface import Attack, Facts, Sample
from watchword.encoding.wording import counted
from watchword.vocabulary import Mode

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
