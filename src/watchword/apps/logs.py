"""Set up structured logs on stderr, their fields named by the caller."""

import logging
import sys

import structlog

from watchword.apps.settings.environment import log_level


def configure_logs() -> None:
    """Write logs to stderr: JSON lines, or plain ones where a person watches.

    ``WATCHWORD_LOG`` says from which level on.
    """
    level = logging.getLevelNamesMapping()[log_level().upper()]
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(sort_keys=False)
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def silence_logs() -> None:
    """Write nothing but what ends the process; the demo has its own view, in which attacks are no news."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
