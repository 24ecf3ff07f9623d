"""Put together what the site is built from: every page, with its links and its place in the navigation.

The pages stay as they are in the repository. Here they are copied: ``docs/gate.md`` becomes ``gate``, a page from elsewhere such as
``CONTRIBUTING.md`` becomes ``repository/CONTRIBUTING``. A link to a file that is no page leads to a copy of it, as text, and one to a
folder to the page in it. A picture is shown.
"""

import hashlib
import re
import shutil
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from os.path import normpath, relpath
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).parents[1]
SITE: Final = ROOT / "docs" / "site"
"""The site's configuration; none of its files is a page."""

MAX_LISTED: Final = 40
"""Most headings that are listed beside a page. All of them stand in the search."""

PICTURES: Final = frozenset({".png", ".svg"})
"""Files that a page shows."""

KINDS: Final = ("tutorial", "how-to", "reference", "explanation")
"""What a page can be; each has one job."""

_LINK: Final = re.compile(r"(?<=\])\((?P<target>[^)\s]+)\)")
_LABEL: Final = re.compile(r"^(?P<label>[^<>]+) <(?P<name>[^<>]+)>$")
_DIAGRAM: Final = re.compile(r"^```mermaid\n(?P<source>.*?)^```$", re.DOTALL | re.MULTILINE)
_ANCHOR: Final = re.compile(r'^<a id="(?P<name>[\w-]+)"></a>$')
_FENCE: Final = re.compile(r"^ *(`{3,}|~{3,})(?P<language>[\w+-]*) *$")


class SiteError(Exception):
    """Say what about the pages keeps the site from being built."""


def stage(target: Path) -> list[str]:
    """Write everything that Sphinx reads into an empty directory, and return the names of the pages.

    :raises SiteError: for a page without a place or a kind in the navigation, a place without a page, and a link that leads nowhere.
    """
    shutil.rmtree(target, ignore_errors=True)
    pages, copies = _found()
    names = {page: name_of(page) for page in pages}
    navigation = _navigation()
    places = _placed(navigation, names)
    _sorted_by_kind(navigation, names.values())
    for page, text in pages.items():
        file = target / f"{names[page]}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        body = _DIAGRAM.sub(partial(_drawn, page), _rewritten(text, page))
        body = "\n".join((*_front(text), body, *places.get(names[page], ())))
        file.write_text(body + "\n", encoding="utf-8")
    for copied in copies:
        # Sphinx takes the pictures that a page shows from beside the pages.
        shown = copied.suffix in PICTURES
        named = name_of(copied) + copied.suffix
        file = target / (named if shown else f"_copies/repository/{copied}.txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((ROOT / copied).read_bytes())
    return sorted(names.values())


def kinds() -> dict[PurePosixPath, str]:
    """Return the kind of each page, by its path in the repository; see :data:`KINDS`.

    :raises SiteError: for a page without a kind, and a kind that isn't one.
    """
    names = {page: name_of(page) for page in _found()[0]}
    by_name = _sorted_by_kind(_navigation(), names.values())
    return {page: by_name[name] for page, name in names.items()}


def name_of(page: PurePosixPath) -> str:
    """Return what a page is called in the site, from its path in the repository."""
    named = page.with_suffix("")
    return str(named.relative_to("docs") if named.parts[0] == "docs" else "repository" / named)


def _found() -> tuple[dict[PurePosixPath, str], set[PurePosixPath]]:
    """Return the pages with their text, and the other files that they link to: all that can be reached."""
    waiting = [
        PurePosixPath(path.relative_to(ROOT))
        for path in (*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CHANGELOG.md")
    ]
    pages: dict[PurePosixPath, str] = {}
    copies: set[PurePosixPath] = set()
    while waiting:
        page = waiting.pop()
        if page in pages:
            continue
        pages[page] = (ROOT / page).read_text(encoding="utf-8")
        for line in _prose(pages[page]):
            for match in _LINK.finditer(line):
                linked = _resolved(match["target"], page)
                if linked is None or linked[0] in pages:
                    continue
                if linked[0].suffix == ".md":
                    waiting.append(linked[0])
                else:
                    copies.add(linked[0])
    return pages, copies


def _resolved(target: str, page: PurePosixPath) -> tuple[PurePosixPath, str] | None:
    """Return the file of the repository that a link names, with its anchor; nothing for other addresses.

    :raises SiteError: where there is no such file.
    """
    path, mark, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return None
    file = PurePosixPath(normpath(page.parent / path))
    if file.parts[0] == "..":
        raise SiteError(f"{page}: {target} leads out of the repository")
    if (ROOT / file).is_dir():
        file /= "README.md"
    if not (ROOT / file).is_file():
        raise SiteError(f"{page}: {target} leads to no file")
    return file, mark + anchor


def _rewritten(text: str, page: PurePosixPath) -> str:
    """Return a page's text with its links as they are in the site."""
    here = PurePosixPath(name_of(page)).parent

    def replace(match: re.Match[str]) -> str:
        linked = _resolved(match["target"], page)
        if linked is None:
            return match[0]
        file, anchor = linked
        if file.suffix not in {".md", *PICTURES}:
            return f"(repository:{file}{anchor})"
        target = relpath(f"{name_of(file)}{file.suffix}", here)
        return f"({target}{anchor})"

    lines = []
    for line, prose in _lines(text):
        fence = _FENCE.match(line)
        if prose:
            # An anchor for a repository's view is one for Sphinx.
            lines.append(_ANCHOR.sub(r"(\g<name>)=", _LINK.sub(replace, line)))
        elif fence and fence["language"] and not _is_highlighted(fence["language"]):
            lines.append(line.replace(fence["language"], "text"))
        else:
            lines.append(line)
    return "\n".join(lines)


def diagrams() -> dict[str, PurePosixPath]:
    """Return the source of each diagram on the site's pages, with its page."""
    pages, _ = _found()
    return {
        match["source"]: page for page, text in pages.items() for match in _DIAGRAM.finditer(text)
    }


def drawing_of(source: str) -> Path:
    """Return where the drawing of a diagram stands, named by the SHA-256 of its source."""
    return SITE / "drawings" / f"{hashlib.sha256(source.encode()).hexdigest()[:12]}.svg"


def _drawn(page: PurePosixPath, match: re.Match[str]) -> str:
    """Return the drawing of a diagram that a repository's view makes by itself.

    :raises SiteError: where there is none, or the source was changed since it was drawn.
    """
    file = drawing_of(match["source"])
    if not file.is_file():
        raise SiteError(
            f"{page}: expected docs/site/drawings/{file.name}, drawn from its diagram: run python -m scripts.drawings"
        )
    svg = file.read_text(encoding="utf-8")
    return f'```{{raw}} html\n<div class="drawing">\n{svg}</div>\n```'


def _is_highlighted(language: str) -> bool:
    if language == "mermaid":
        return True
    try:
        get_lexer_by_name(language)
    except ClassNotFound:
        return False
    return True


def _front(text: str) -> Iterator[str]:
    """Yield what tells Sphinx how many levels of headings to list beside a page: as many as a person can look over."""
    levels = [len(match[1]) for line in _prose(text) if (match := re.match(r"(#{2,4}) ", line))]
    depth = max(
        (each for each in (1, 2, 3) if sum(level <= each for level in levels) <= MAX_LISTED),
        default=1,
    )
    if len(levels) > MAX_LISTED:
        yield f"---\ntocdepth: {depth}\n---\n"


def _prose(text: str) -> Iterator[str]:
    return (line for line, prose in _lines(text) if prose)


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it is outside of fenced blocks; the fences themselves aren't."""
    fence = ""
    for line in text.splitlines():
        match = _FENCE.match(line)
        if fence:
            yield line, False
            if match and match[1].startswith(fence) and not match["language"]:
                fence = ""
        else:
            yield line, match is None
            fence = match[1] if match else ""


def _placed(
    navigation: Mapping[str, Any], pages: Mapping[PurePosixPath, str]
) -> dict[str, list[str]]:
    """Return, by page, the lists of the pages below it, as Sphinx reads them.

    :raises SiteError: for what stands nowhere, and for what isn't there.
    """
    under: Mapping[str, Sequence[str]] = navigation["under"]
    groups: Sequence[Mapping[str, Any]] = navigation["groups"]
    told = [
        name for names in (*(group["pages"] for group in groups), *under.values()) for name in names
    ]
    named = [_LABEL.sub(r"\g<name>", name) for name in told if "*" not in name]
    loose = sorted(set(pages.values()) - set(named) - {"index"})
    missing = sorted({*named, *under} - set(pages.values()))
    if missing:
        raise SiteError(f"docs/site/navigation.toml names pages that aren't there: {missing}")
    places = {"index": [_list(group["pages"], group["caption"]) for group in groups]}
    for parent, names in under.items():
        below = list(names)
        for pattern in (name for name in names if "*" in name):
            taken = [name for name in loose if fnmatchcase(name, pattern)]
            loose = [name for name in loose if name not in taken]
            at = below.index(pattern)
            below[at : at + 1] = taken
        places[parent] = [_list(below)]
    if loose:
        raise SiteError(f"expected a place in docs/site/navigation.toml for each of {loose}")
    return places


def _sorted_by_kind(navigation: Mapping[str, Any], names: Collection[str]) -> dict[str, str]:
    """Return the kind of each page by its name. A pattern takes what no name has taken.

    :raises SiteError: for a page without a kind, a kind that isn't one, and a name without a page.
    """
    by_kind: Mapping[str, Sequence[str]] = navigation["kinds"]
    if unknown := sorted(by_kind.keys() - set(KINDS)):
        raise SiteError(f"docs/site/navigation.toml has kinds {unknown}: expected some of {KINDS}")
    given = [(each, kind) for kind, listed in by_kind.items() for each in listed]
    found = {each: kind for each, kind in given if "*" not in each}
    if missing := sorted(found.keys() - set(names)):
        raise SiteError(f"docs/site/navigation.toml gives a kind to what isn't there: {missing}")
    for pattern, kind in given:
        if "*" in pattern:
            taken = (name for name in names if fnmatchcase(name, pattern))
            found |= {name: kind for name in taken if name not in found}
    if loose := sorted(set(names) - found.keys()):
        raise SiteError(f"expected a kind in docs/site/navigation.toml for each of {loose}")
    return found


def _navigation() -> Mapping[str, Any]:
    return tomllib.loads((SITE / "navigation.toml").read_text(encoding="utf-8"))


def _list(names: Sequence[str], caption: str = "") -> str:
    options = [":hidden:", ":titlesonly:", *([f":caption: {caption}"] if caption else [])]
    lines = [
        _LABEL.sub(r"\g<label> </\g<name>>", name) if "<" in name else f"/{name}" for name in names
    ]
    return "\n".join(("", "```{toctree}", *options, "", *lines, "```"))
