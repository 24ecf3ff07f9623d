"""Write the pages that are made from code and tables, all or those that are named: ``python -m scripts.pages [NAME ...] [--check]``."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from scripts.pages import (
    asvs,
    attacks,
    capacity,
    catalogue,
    engines,
    figures,
    hostile_suites,
    inventory,
    pins_rotation,
    promises,
    reasons,
    scan_rules,
    sdk_rules,
    sizing,
)
from tests.system.conformance.results import FILE, recorded


class Page(NamedTuple):
    """Hold a page.

    :param target: the file.
    :param text: makes its text.
    :param source: what it is made from that is no part of the project; None for nothing.
    """

    target: Path
    text: Callable[[], str]
    source: Path | None = None


PAGES: Final[Mapping[str, Page]] = {
    "asvs": Page(asvs.TARGET, lambda: asvs.page(asvs.load())),
    "attacks": Page(attacks.TARGET, attacks.page),
    "capacity": Page(capacity.TARGET, capacity.page),
    "capacity-picture": Page(capacity.PICTURE, capacity.picture),
    "catalogue": Page(catalogue.TARGET, catalogue.page),
    "engines": Page(engines.TARGET, lambda: engines.page(recorded())),
    "figures": Page(figures.TARGET, figures.page),
    "hostile-suites": Page(
        hostile_suites.TARGET,
        lambda: hostile_suites.page(hostile_suites.run_suites()),
        hostile_suites.SOURCE,
    ),
    "inventory": Page(inventory.TARGET, inventory.text),
    "pins-rotation": Page(pins_rotation.TARGET, pins_rotation.page),
    "promises": Page(promises.TARGET, lambda: promises.page(promises.load())),
    "reasons": Page(reasons.TARGET, reasons.page),
    "scan-rules": Page(scan_rules.TARGET, scan_rules.page),
    "sdk-rules": Page(sdk_rules.TARGET, sdk_rules.page),
    "sizing": Page(sizing.TARGET, sizing.page),
}
"""Each page by its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write pages, or compare them; return 1 where one isn't as it should be or can't be made."""
    parser = argparse.ArgumentParser(prog="python -m scripts.pages", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PAGES)}")
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is stale")
    parser.add_argument("--run", action="store_true", help="run the corpus at each engine first")
    chosen = parser.parse_args(arguments)
    if unknown := sorted(set(chosen.names) - PAGES.keys()):
        parser.error(f"got {', '.join(unknown)}, expected some of: {', '.join(PAGES)}")
    if chosen.run:
        FILE.write_text(json.dumps(engines.run(), indent=1) + "\n", encoding="utf-8")
    code = 0
    for name in chosen.names or PAGES:
        page = PAGES[name]
        if page.source is not None and not page.source.is_dir():
            print(f"{name}: {page.source} isn't there: nothing was run", file=sys.stderr)
            code |= name in chosen.names
            continue
        text = page.text()
        if not chosen.check:
            page.target.write_text(text, encoding="utf-8")
            print(f"wrote {page.target}")
        elif page.target.read_text(encoding="utf-8") != text:
            print(f"{page.target} is stale: python -m scripts.pages {name}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
