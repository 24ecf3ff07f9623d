"""Hold the page's table of connections to the numbers in the code."""

import re
from pathlib import Path

import pytest

from watchword.adapters import fetcher, play_decoder, store
from watchword.adapters.http_server import granian, mutual_tls
from watchword.adapters.openbao import connection as openbao
from watchword.adapters.openbao import key_keeper
from watchword.adapters.postgres import database
from watchword.adapters.valkey_link import DEADLINE_SECONDS
from watchword.adapters.valkey_link import MAX_CONNECTIONS as TO_VALKEY
from watchword.apps.gateway.proxy.exchange import MAX_CONNECTIONS, MAX_IDLE_CONNECTIONS, Timeouts
from watchword.apps.gateway.proxy.injection import MOST_AT_ONCE
from watchword.apps.service import public as delivery

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
NUMBERS = {
    "the store": [1, database.CONNECTIONS, store.MAX_WAITING],
    "Valkey": [TO_VALKEY, DEADLINE_SECONDS],
    "OpenBao": [openbao.WORKERS, key_keeper.SIGNING_THREADS, openbao.MAX_WAITING],
    "Google and Apple": [
        fetcher._CONNECTIONS,
        play_decoder.AT_ONCE,
        play_decoder.WAITING,
        fetcher.TOTAL_SECONDS,
    ],
    "the API behind the proxy": [MAX_CONNECTIONS, MAX_IDLE_CONNECTIONS, Timeouts().pool],
    "a third party that a key is injected for": [MAX_CONNECTIONS, MOST_AT_ONCE],
    "clients of service, proxy and `/authz`": [granian.MAX_CONNECTIONS, granian.BACKLOG],
    "gates on other machines": [
        mutual_tls.MAX_CONNECTIONS,
        mutual_tls.MAX_HANDSHAKES,
        delivery.MAX_WAITING,
        503,
    ],
}


def rows() -> dict[str, str]:
    """Return the table's rows by whom they are about."""
    table = PAGE.read_text("utf-8").partition("## Most connections\n")[2].partition("\n## ")[0]
    cells = [line.strip("| ").split(" | ", 1) for line in table.splitlines() if "|" in line]
    return dict(tuple(each) for each in cells[2:])  # type: ignore[misc]


def test_the_page_has_these_rows() -> None:
    """None is left over when one is taken out."""
    assert rows().keys() == NUMBERS.keys()


@pytest.mark.parametrize("name", NUMBERS)
def test_the_page_says_what_the_code_does(name: str) -> None:
    """Every number of a row, in its order."""
    said = re.findall(r"\d[\d,]*(?:\.\d+)?", rows()[name])
    assert [float(each.replace(",", "")) for each in said] == NUMBERS[name]
