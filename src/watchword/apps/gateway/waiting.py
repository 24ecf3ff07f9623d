"""Wait for what is asynchronous in an application that isn't: a store of used proofs elsewhere."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

WAIT_SECONDS: Final = 5.0
"""How long anything is waited for; the stores give up much sooner by themselves."""

_loops: Final[dict[int, asyncio.AbstractEventLoop]] = {}
"""By process, the loop that all its gates share: a store's connections belong to one loop.

By process, since a server may fork after the application was imported, and a child has none of its parent's
threads.
"""


def at_once(begin: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run what never has to wait, on the caller's thread and without a loop.

    :param begin: returns the coroutine.
    :raises RuntimeError: when it waits after all.
    """
    coroutine = begin()
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    finally:
        coroutine.close()
    raise RuntimeError("got a coroutine that waits, expected one that doesn't")


def wait_for(
    begin: Callable[[], Coroutine[Any, Any, Result]], seconds: float = WAIT_SECONDS
) -> Result:
    """Run a coroutine on the loop of this process, and hold the caller's thread until it is done.

    :param begin: returns the coroutine.
    :raises TimeoutError: when that takes too long; it is cancelled then.
    """
    loop = _loop()
    future = asyncio.run_coroutine_threadsafe(begin(), loop)
    try:
        return future.result(seconds)
    finally:
        future.cancel()


def _loop() -> asyncio.AbstractEventLoop:
    process = os.getpid()
    loop = _loops.get(process)
    if loop is not None:
        return loop
    fresh = asyncio.new_event_loop()
    # Of several threads that come first, one starts its loop; a lock could be held by nobody after a fork.
    loop = _loops.setdefault(process, fresh)
    if loop is fresh:
        threading.Thread(target=loop.run_forever, name="watchword-waiting", daemon=True).start()
    else:
        fresh.close()
    return loop
