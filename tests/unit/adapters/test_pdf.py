"""Without a program that prints, the reason is told and what to do instead."""

import pytest

from watchword.adapters.pdf import PdfError, print_pdf


def test_without_chromium_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without chromium it says what to install."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PdfError, match="install Chromium, or print the page from your browser"):
        print_pdf("<p>x</p>")
