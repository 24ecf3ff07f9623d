"""Find where keys are lent to: ask for the addresses of each origin, and check them before Envoy gets them."""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from watchword.adapters.edge_wire import check_addresses
from watchword.broker.interface import EdgeRule
from watchword.reasons import RefusedError

FRESH_SECONDS: Final = 30.0
"""After which an origin is asked for again."""

MOST_ADDRESSES: Final = 4
"""How many addresses of an origin are tried in turn, as by the built-in proxy."""

MOST_QUESTIONS: Final = 8
"""How many names are asked for at once: the system's resolver can't be stopped while it hangs."""

NEW_PATIENCE: Final = 0.3
"""Seconds for which a new origin is waited for; a revocation may be waiting behind it."""

Resolver = Callable[[str, int], Sequence[str]]
"""Return the addresses of a name or an address, best first; raises OSError where there are none."""


class _Question(threading.Thread):
    """Ask for the addresses of one origin; ends with the process, whatever the resolver does."""

    def __init__(self, rule: EdgeRule, resolver: Resolver) -> None:
        super().__init__(name="watchword-resolving", daemon=True)
        self._rule = rule
        self._resolver = resolver
        self.found: Sequence[str] | None = None
        self.fault = ""

    def run(self) -> None:
        """Ask, and check every address; one that mustn't be reached takes the others along."""
        rule = self._rule
        try:
            found = self._resolver(rule.host, rule.port)
            self.found = check_addresses(rule.host, found, private=rule.private)[:MOST_ADDRESSES]
        except RefusedError as error:
            self.found = ()
            self.fault = f"{rule.secret} is lent to nobody: {error.refusals[0].detail}"
        except (OSError, UnicodeError) as error:
            # What was checked stays: the certificate is asked for its name anyway.
            self.fault = f"{rule.secret}: {rule.host} has no address: {type(error).__name__}"


@dataclass
class _Origin:
    """Hold what is known of one origin."""

    rule: EdgeRule
    addresses: Sequence[str] = ()
    asked_at: float = float("-inf")
    question: _Question | None = None
    answered: bool = False
    faults: list[str] = field(default_factory=list)

    def harvest(self) -> None:
        """Take an answer that is there."""
        question = self.question
        if question is None or question.is_alive():
            return
        self.question = None
        self.answered = True
        if question.fault:
            self.faults.append(question.fault)
        # Servers of names turn the order of the same addresses round; that is no news.
        if question.found is not None and set(question.found) != set(self.addresses):
            self.addresses = question.found


class Origins:
    """Know the checked addresses of the origins that keys are lent to.

    Between the check and Envoy's connection nobody is asked again: a name whose answer changes (DNS rebinding) gains
    nothing.
    """

    def __init__(self, resolver: Resolver, monotonic: Callable[[], float]) -> None:
        """Know nothing yet.

        :param resolver: is called on threads of its own.
        :param monotonic: seconds of a clock that never jumps.
        """
        self._resolver = resolver
        self._monotonic = monotonic
        self._origins: dict[str, _Origin] = {}

    def look(
        self, rules: Sequence[EdgeRule], patience: float = NEW_PATIENCE
    ) -> Mapping[str, Sequence[str]]:
        """Return by secret the addresses that are known; asks for old ones anew.

        :param patience: most seconds in all that are waited for origins never asked for before.
        """
        self._origins = {rule.secret: self._known(rule) for rule in rules}
        now = self._monotonic()
        until = now + patience
        for origin in self._origins.values():
            origin.harvest()
            running = sum(each.question is not None for each in self._origins.values())
            due = now - origin.asked_at >= FRESH_SECONDS
            if due and origin.question is None and running < MOST_QUESTIONS:
                origin.asked_at = now
                origin.question = _Question(origin.rule, self._resolver)
                origin.question.start()
        for origin in self._origins.values():
            if origin.question is not None and not origin.answered:
                origin.question.join(max(0.0, until - self._monotonic()))
                origin.harvest()
                origin.answered = True  # Waited for once is enough.
        return {name: origin.addresses for name, origin in self._origins.items()}

    def faults(self) -> Sequence[str]:
        """Return what went wrong since the last call, a line each."""
        found = [text for origin in self._origins.values() for text in origin.faults]
        for origin in self._origins.values():
            origin.faults.clear()
        return found

    def _known(self, rule: EdgeRule) -> _Origin:
        held = self._origins.get(rule.secret)
        same = held is not None and (held.rule.host, held.rule.port, held.rule.private) == (
            rule.host,
            rule.port,
            rule.private,
        )
        return held if held is not None and same else _Origin(rule)


def system_resolver(name: str, port: int) -> Sequence[str]:
    """Ask the system, by the order of RFC 6724; see :data:`Resolver`."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]
