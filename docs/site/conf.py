"""Configure Sphinx for the site; ``python -m scripts.site`` runs it over the pages that it has put together."""
# ruff: noqa: INP001 - a file of Sphinx, in no package.

from functools import cache
from pathlib import PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish
from sphinx.util.typing import ExtensionMetadata

from watchword import __version__

project = "Watchword"
version = release = __version__
html_title = "Watchword"
language = "en"

extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = ["_copies"]
smartquotes = False  # It would make dashes of the options in the text.
nitpicky = True

myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto", "repository"]

# Shortened JSON and output of a terminal are shown as what they are.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_theme_options = {
    "top_of_page_buttons": [],
    "navigation_with_keys": True,
    "light_css_variables": {
        "color-brand-primary": "#0b5d4b",
        "color-brand-content": "#0b5d4b",
        "color-brand-visited": "#0b5d4b",
        "font-stack": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
        "font-stack--monospace": "ui-monospace, 'SF Mono', Menlo, 'DejaVu Sans Mono', monospace",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6fd3b5",
        "color-brand-content": "#6fd3b5",
        "color-brand-visited": "#6fd3b5",
    },
}


class RememberingEnglish(SearchEnglish):
    """Find the stem of each word once and not on each page anew: it is a good part of a build."""

    @cache  # noqa: B019 - one object lives as long as the build.
    def stem(self, word: str) -> str:
        """Return the word's stem."""
        return super().stem(word)


def _lead_to_copies(app: Sphinx, doctree: nodes.document) -> None:
    """Let links to files of the repository lead to their copies in the site."""
    depth = len(PurePosixPath(app.env.current_document.docname).parents) - 1
    for link in doctree.findall(nodes.reference):
        scheme, _, path = link.get("refuri", "").partition(":")
        if scheme == "repository":
            file = path.partition("#")[0]
            link["refuri"] = f"{'../' * depth}repository/{file}.txt"
            link["classes"].append("repository")
            link["reftitle"] = f"In the repository: {file}"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Add what this site does to its links."""
    app.add_search_language(RememberingEnglish)
    app.connect("doctree-read", _lead_to_copies)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
