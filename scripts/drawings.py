"""Draw the pages' Mermaid diagrams for the site: ``python -m scripts.drawings``, or with ``--all`` every one anew.

A repository's view draws a diagram by itself; the site has to show it without a network and without a script, so that its drawing is kept:
``docs/site/drawings/NAME.svg``, named by the SHA-256 of its source. This needs ``npm`` and ``chromium``; building the site doesn't.
"""

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from scripts.site_pages import ROOT, SiteError, diagrams, drawing_of

MERMAID: Final = "12.3.0"
INTEGRITY: Final = "sha512-4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw=="
"""What npm's registry states for this version (Subresource Integrity); read on 2026-11-29."""

MAX_WIDTH: Final = 900
"""Widest drawing, in CSS pixels at a font of 14. The site's column has 736: beyond this, its text gets too small to read."""

CACHE: Final = ROOT / "build" / "drawings"

_CONFIG: Final = {
    "startOnLoad": False,
    "securityLevel": "strict",
    "deterministicIds": True,
    "theme": "base",
    "look": "classic",
    "htmlLabels": False,
    # Wider than what most readers' fonts are: text that fits here fits there.
    "fontFamily": "DejaVu Sans",
    "fontSize": 14,
    "themeVariables": {"fontSize": "14px"},
    "flowchart": {
        "htmlLabels": False,
        "nodeSpacing": 32,
        "rankSpacing": 28,
        "padding": 10,
        "wrappingWidth": 420,
    },
    "sequence": {"mirrorActors": False, "actorFontSize": 14, "noteFontSize": 13, "width": 130},
}
_PAGE: Final = """<!doctype html><meta charset="utf-8"><body style="font: 14px 'DejaVu Sans'">
<script src="mermaid.min.js"></script><pre id="drawn"></pre>
<script>
const sources = {sources};
mermaid.initialize({config});
(async () => {{
  const drawn = {{}};
  for (const [name, source] of Object.entries(sources)) {{
    try {{ drawn[name] = (await mermaid.render("d" + name, source)).svg; }}
    catch (error) {{ drawn[name] = "error: " + error.message; }}
  }}
  document.getElementById("drawn").textContent = JSON.stringify(drawn);
}})();
</script>"""


def draw(sources: Mapping[str, PurePosixPath]) -> dict[str, str]:
    """Return the SVG of each diagram by its source; the page that it stands on is for errors.

    :raises SiteError: for a source that Mermaid doesn't take, one without a title, and a drawing that is too wide.
    """
    for source, page in sources.items():
        if not re.search(r"^\s*accTitle: *\S", source, re.MULTILINE):
            raise SiteError(
                f"{page}: expected a line 'accTitle: ...' in each diagram, for readers who hear it; got\n{source}"
            )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "mermaid.min.js").write_bytes(_mermaid())
        named = {drawing_of(source).stem: source for source in sources}
        text = _PAGE.format(sources=_embedded(named), config=_embedded(_CONFIG))
        (place / "page.html").write_text(text, encoding="utf-8")
        dumped = browsed(place / "page.html", "--virtual-time-budget=60000", "--dump-dom")
    found = re.search(r'<pre id="drawn">(.*?)</pre>', dumped, re.DOTALL)
    drawn = json.loads(html.unescape(found[1]) or "{}") if found else {}
    return {
        source: _plain(sources[source], drawn.get(name, "error: nothing was drawn"))
        for name, source in named.items()
    }


def _embedded(value: object) -> str:
    """Return a value as a literal that no text in it can end a script by."""
    return json.dumps(value).replace("<", "\\u003c")


def browsed(page: Path, *ways: str) -> str:
    """Open a page in a headless Chromium that reaches no network, with a profile beside the page, and return what it printed.

    :param ways: further options: what to do with the page.
    """
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-dev-shm-usage",
    )
    offline = ("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    done = subprocess.run(
        ["chromium", *flags, *offline, profile, *ways, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout


def _mermaid() -> bytes:
    """Return Mermaid's own script, fetched once and checked each time.

    :raises SiteError: where the package isn't the pinned one.
    """
    package = CACHE / f"mermaid-{MERMAID}.tgz"
    if not package.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        fetch = ["npm", "pack", "--silent", "--pack-destination", str(CACHE), f"mermaid@{MERMAID}"]
        subprocess.run(fetch, check=True, stdout=subprocess.DEVNULL)
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise SiteError(
            f"{package}: got sha512-{digest}, expected {INTEGRITY}; remove the file and try again"
        )
    with tarfile.open(package) as archive:
        script = archive.extractfile("package/dist/mermaid.min.js")
        assert script is not None
        return script.read()


def _plain(page: PurePosixPath, svg: str) -> str:
    """Return a drawing without its own colours, which the site's style gives by class, and without the arrowheads that it doesn't use.

    :raises SiteError: where there is none, or it is too wide.
    """
    if svg.startswith("error: "):
        raise SiteError(f"{page}: Mermaid says: {svg.removeprefix('error: ')}")
    width = float(svg.partition('viewBox="')[2].partition('"')[0].split()[2])
    if width > MAX_WIDTH:
        raise SiteError(
            f"{page}: got a drawing {width:.0f} wide, expected at most {MAX_WIDTH}: shorten its labels, or draw it from top to bottom (TB)"
        )
    svg = re.sub(r"<style>.*?</style>", "", svg, count=1, flags=re.DOTALL)
    for marker in re.findall(r'<(?:marker|symbol|filter|linearGradient)\b[^>]*\bid="([^"]+)"', svg):
        if f"#{marker})" not in svg and f'"#{marker}"' not in svg:
            svg = re.sub(
                rf'<(marker|symbol|filter|linearGradient)\b[^>]*\bid="{re.escape(marker)}".*?</\1>',
                "",
                svg,
                flags=re.DOTALL,
            )
    svg = svg.replace('width="100%"', f'width="{width:.0f}"', 1)
    svg = re.sub(r' data-[\w-]+="[^"]*"', "", svg)
    svg = re.sub(r' style="max-width: [\d.]+px;"', "", svg, count=1)
    return f"{svg.strip()}\n"


def main() -> int:
    """Draw what has no drawing yet, or all; remove the drawings of diagrams that are gone."""
    try:
        wanted = diagrams()
        new = {
            source: page
            for source, page in wanted.items()
            if "--all" in sys.argv or not drawing_of(source).is_file()
        }
        drawn = draw(new) if new else {}
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    for source, svg in drawn.items():
        path = drawing_of(source)
        path.write_text(svg, encoding="utf-8")
        print(f"drew {path.relative_to(ROOT)} for {new[source]}")
    for path in set(drawing_of("").parent.glob("*.svg")) - set(map(drawing_of, wanted)):
        path.unlink()
        print(f"removed {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    if missing := [each for each in ("npm", "chromium") if shutil.which(each) is None]:
        sys.exit(
            f"expected {' and '.join(missing)} on PATH (Debian: apt install {' '.join(missing)})"
        )
    sys.exit(main())
