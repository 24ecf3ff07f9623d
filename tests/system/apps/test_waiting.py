"""Show that what is asynchronous can be waited for on a thread of a server that isn't."""

import asyncio
import os
import threading

import pytest

from watchword.apps.gateway.wsgi import at_once, wait_for


async def _name() -> str:
    return threading.current_thread().name


async def _slow() -> str:
    await asyncio.sleep(3600)
    return "never"


async def _broken() -> str:
    raise LookupError


def test_what_never_waits_runs_where_it_is_called() -> None:
    """Without any loop."""
    assert at_once(_name) == threading.current_thread().name
    with pytest.raises(LookupError):
        at_once(_broken)


def test_what_waits_is_no_such_thing() -> None:
    """It is an error, and not an answer."""

    async def waits() -> str:
        await asyncio.sleep(0)
        return "late"

    with pytest.raises(RuntimeError):
        at_once(waits)


def test_all_threads_wait_on_one_loop() -> None:
    """A store's connections belong to it."""
    names: set[str] = set()
    threads = [threading.Thread(target=lambda: names.add(wait_for(_name))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == {"watchword-waiting"}


def test_waiting_has_an_end() -> None:
    """Nobody passes then; and an error is the caller's."""
    with pytest.raises(TimeoutError):
        wait_for(_slow, 0.01)
    with pytest.raises(LookupError):
        wait_for(_broken)


def test_a_child_has_a_loop_of_its_own() -> None:
    """A server that forks after it has imported the application leaves the loop's thread behind."""
    assert wait_for(_name) == "watchword-waiting"
    process = os.fork()
    if process == 0:
        # No test goes on in here.
        try:
            os._exit(0 if wait_for(_name) == "watchword-waiting" else 1)
        finally:
            os._exit(2)
    assert os.waitpid(process, 0)[1] == 0
