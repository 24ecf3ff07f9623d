"""Build the site into build/site: ``python -m scripts.site`` (or ``make site``). Any warning fails it."""

import shutil
import sys
from pathlib import Path
from typing import Final

from scripts.site_pages import ROOT, SITE, SiteError, stage
from sphinx.cmd.build import build_main

TARGET: Final = ROOT / "build" / "site"


def build(target: Path) -> int:
    """Build the site into a directory, which is emptied before; return 0 where not even a warning came up.

    What it is built from lies beside the directory, in one of its name with ``-pages``.

    :raises SiteError: where the pages don't fit together.
    """
    pages = target.with_name(f"{target.name}-pages")
    stage(pages)
    shutil.rmtree(target, ignore_errors=True)
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--fresh-env", "--write-all"]
    options += ["-D", f"html_extra_path={pages / '_copies'}"]
    places = ["-c", str(SITE), "-d", str(pages / "_doctrees"), str(pages), str(target)]
    found = build_main([*options, "-j", "2", "-b", "html", *places])
    (target / ".buildinfo").unlink(missing_ok=True)
    return found


def main() -> int:
    """Build where the command line says, else into build/site."""
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else TARGET
    try:
        found = build(target)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    if found == 0:
        print(f"open {target / 'index.html'}")
    return found


if __name__ == "__main__":
    sys.exit(main())
