"""Say in which term of its chore a node does something, so that a store refuses what is of an old one."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from watchword.reasons import Reason, UnavailableError


class FencedError(UnavailableError):
    """Report that another node does this chore by now: nothing was written."""

    def __init__(self, detail: str) -> None:
        """Say so as a store that can't answer does."""
        super().__init__(Reason.STORE_UNAVAILABLE, detail)


@dataclass(frozen=True, slots=True)
class Term:
    """Hold one node's time with a chore.

    :param number: grows with each node that takes the chore over.
    :param node: the name of the node whose term it is.
    """

    chore: str
    number: int
    node: str


_present: Final[ContextVar[Term | None]] = ContextVar("term", default=None)


def present_term() -> Term | None:
    """Return the term in which the caller works, None where it does nobody's chore."""
    return _present.get()


@contextmanager
def within(term: Term) -> Iterator[None]:
    """Have all that is written in the block belong to a term: a transaction of it is refused once it is over.

    Tasks that the block begins belong to it, too, and functions that it has run by :func:`asyncio.to_thread`.
    """
    before = _present.set(term)
    try:
        yield
    finally:
        _present.reset(before)
