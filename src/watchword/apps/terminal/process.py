"""Set up a process of ours: its logs on stderr, its core dumps, its open files."""

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

import structlog

from watchword.apps.terminal.console import fail, leave
from watchword.apps.terminal.environment import log_level

WANTED: Final = 65_536
"""Most descriptors that are asked for: four listeners with as many connections as each takes."""


def opened_log(path: Path) -> TextIO:
    """Open a file for logs, made with mode 0600 where there is none; lines are added to it.

    :raises OSError: when it can't be opened.
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return os.fdopen(handle, "a", buffering=1, encoding="utf-8")


def configure_logs(level: str, file: TextIO | None = None) -> None:
    """Write logs from this level on: JSON lines, or plain ones where a person watches.

    :param file: where to; stderr if None.
    """
    file = sys.stderr if file is None else file
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(sort_keys=False)
    if file.isatty():
        renderer = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(file=file),
        cache_logger_on_first_use=True,
    )


def mute_logs() -> None:
    """Write nothing but what ends the process; the demo has its own view, in which attacks are no news."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )


def forbid_core_dumps() -> None:
    """Have the system write no core dump of this process and its children (setrlimit(2), ``RLIMIT_CORE``).

    One would hold every key that is injected, delivered or signed with, readable for whoever gets the file.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files as far as the hard one allows, and return it (setrlimit(2), ``RLIMIT_NOFILE``).

    Shells and service managers start programs with 1024, for the sake of those that use select(2), which
    this one doesn't.  A thousand phones that keep their connection open would take all of them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft


def until_signal() -> asyncio.Event:
    """Return what is set once the process is told to stop (SIGINT or SIGTERM)."""
    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, wanted.set)
    return wanted


def serve(task: Coroutine[Any, Any, None], log: TextIO | None = None) -> NoReturn:
    """Run a server until it ends, with a process set up for it; an error is reported like any other, then we leave.

    :param log: where logs go, stderr if None.
    """
    forbid_core_dumps()
    raise_descriptor_limit()
    configure_logs(log_level(), log)
    try:
        asyncio.run(task)
    except Exception as error:  # noqa: BLE001 - reported like any other error.
        leave(fail(error))
    leave(0)
