"""Hold the pages that are made from code and tables to what makes them."""

import pytest
from scripts.pages.__main__ import PAGES, main


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if page.source is None])
def test_page_is_what_its_sources_give(name: str) -> None:
    """Run ``python -m scripts.pages`` after a change of what a page is made from."""
    page = PAGES[name]
    assert page.target.read_text(encoding="utf-8") == page.text()


def test_a_check_tells_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A page that is as it should be is no news; a name that is none is told."""
    assert main(["reasons", "--check"]) == 0
    assert capsys.readouterr() == ("", "")
    with pytest.raises(SystemExit):
        main(["reason"])
    assert "expected some of: asvs, attacks" in capsys.readouterr().err
