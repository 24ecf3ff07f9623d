"""Write the reference pages under docs/reference from the code: ``python -m scripts.site_reference``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from scripts import site_changes, site_commands, site_http, site_metrics, site_settings

FOLDER: Final = Path(__file__).parents[1] / "docs" / "reference"
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands": site_commands.page,
    "settings": site_settings.page,
    "changes": site_changes.page,
    "metrics": site_metrics.page,
    "http": site_http.page,
}
"""By its file's name: what makes a page."""


def write() -> None:
    """Write every page anew."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / f"{name}.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
    print(f"wrote {', '.join(PAGES)} in {FOLDER}")
