"""Pace how fast instances enrol: so many a second are let in, and the rest is told when its turn comes.

A phone that comes before its turn gets a *place*: a number in a line, sealed, that it brings back.  Who came first is served
first, and the service remembers no phone.  It counts two numbers for each line: how many places it gave out, and up to which
of them it has called.  A place that was called counts until it ends, whatever happened meanwhile.

**How fast** is a ramp: from a floor it doubles while it is used, up to the most.  Only errors of transport between the service
and a vendor slow it, never below the floor: what a stranger can send, or a policy refuses, changes nothing.

**Two lines.**  Places for addresses that ask often stand in a line of their own.  While both lines wait each gets half, and
what one leaves the other takes.  So one address can't put itself before all others, and none is shut out.

**Who doesn't come back** would waste his turn.  The service counts how many of those called lately came, and calls ahead by
that, at most :data:`MOST_AHEAD` times as fast.  Where even that leaves room, whoever is there gets it, before his turn: most phones
come when their app is opened next, hours after they were called.  What is let in stays within the rate: a bucket of
:data:`BURST_SECONDS` seconds.

**One place, few enrolments.**  The challenges of a place have one of :data:`NONCES` nonces, made of the place.  The store takes
each nonce once, so that a place which was copied or stolen enrols no crowd, and a phone whose answer was lost gets another try.

**A restart** goes on with the numbers that were kept (:class:`LineState`).  A place of other numbers, of another node or of
before a loss, counts from the time on that it was given as its turn.  So nodes behind one address need not know of one another.
"""

import hmac
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from watchword.encoding import base64url, length_prefixed
from watchword.ports import Entropy
from watchword.reasons import MalformedError, Reason, UnavailableError

PLACE_BYTES: Final = 66
"""Bytes of a sealed place."""

MAX_PLACE_CHARACTERS: Final = 128
"""Most characters of a place that are read; ours have 88."""

LIFE_SECONDS: Final = 18 * 3600
"""How long a place counts after its turn: who was called in the evening comes by with the next morning's phone."""

FURTHEST_SECONDS: Final = 31 * 86400
"""A turn that is further off was written by a clock that was wrong: ours are told as a day less at most."""

BURST_SECONDS: Final = 10.0
"""Seconds of the rate that may be let in at one moment."""

IN_TURN: Final = 0.8
"""The share of the rate that those called use in a round, below which what they leave goes to whoever is there."""

STEP_SECONDS: Final = 60.0
"""Most time that counts at once: what slept for an hour doesn't call an hour's crowd."""

ROUND_SECONDS: Final = 60.0
"""How often the ramp is set, and how many came is counted."""

MOST_AHEAD: Final = 8.0
"""How many times faster than the rate is called at most, where those called don't come."""

REMEMBERED_ROUNDS: Final = 32
"""Rounds in which it is known of each called number whether it came: longer than :data:`LONGEST_SECONDS`.

A byte each, as for each number that waits, once somebody behind it came before his turn.
"""

MOST_REMEMBERED: Final = 16_000_000
"""Most numbers of which that is known, 16 MB for a line; those behind are told apart by their ids."""

MOST_GUESTS: Final = 100_000
"""Most places of other numbers, or of long ago, of which it is known that they came, twice so many in all: 20 MB."""

LEAST_ROUND: Final = 10
"""Fewer calls in a round say nothing of how many come."""

NONCES: Final = 4
"""How many enrolments one place is good for at most."""

TROUBLE: Final = 0.1
"""The share of a vendor's answers in a round that fail from which on the ramp is slowed."""

LEAST_FAILED: Final = 3
"""Fewer failures in a round slow nothing."""

HOLD_SECONDS: Final = 600.0
"""How long the ramp doesn't grow after it was slowed: longer than the pause after a vendor's *quota exhausted*."""

EXACT_SECONDS: Final = 120
"""Up to here a phone is told the whole wait; of a longer one half, since the line may move faster by then."""

LONGEST_SECONDS: Final = 1800
"""The longest wait that is told at once."""

_VERSION: Final = b"\x01"
_PLACE_LABEL: Final = b"watchword/place/v1\0"
_NONCE_LABEL: Final = b"watchword/place-nonce/v1\0"
_QUEUE_BYTES: Final = 8
_ID_BYTES: Final = 8
_MAC_BYTES: Final = 32
_NONCE_BYTES: Final = 16


class PaceRates(NamedTuple):
    """Hold how fast an app enrols, in instances a second.

    :param floor: where the ramp begins, and below which it never goes; above 0.
    :param most: where it ends, at least the floor.
    :param doubling: seconds of use in which it doubles; 0 begins at the most.
    """

    floor: float
    most: float
    doubling: float


class Place(NamedTuple):
    """Hold a place in a line.

    :param queue: which numbers it is of: 8 bytes, other ones for each node and after each loss.
    :param line: index of the line: 0, or 1 for addresses that ask often.
    :param number: from 1 on.
    :param turn: when its turn is, as far as the service knew when it told: seconds since 1970.
    :param id: 8 random bytes, which tell places apart that got one number before and after a crash.
    """

    queue: bytes
    line: int
    number: int
    turn: int
    id: bytes


class PlaceSeal:
    """Seal places of one issuer, and open them."""

    def __init__(self, issuer: str, key: bytes) -> None:
        """Keep the key.

        :param key: the service's challenge key, at least 32 bytes; all nodes of a service have the same.
        """
        self._issuer = issuer.encode()
        self._key = key

    def __repr__(self) -> str:
        """Show nothing: a key in a log is a key lost."""
        return "PlaceSeal(...)"

    def seal(self, place: Place, app: str) -> str:
        """Return a place as its phone keeps it, 88 characters of base64url."""
        body = b"".join(
            (
                _VERSION,
                place.queue,
                place.line.to_bytes(1, "big"),
                place.number.to_bytes(8, "big"),
                place.turn.to_bytes(8, "big"),
                place.id,
            )
        )
        return base64url.encode(body + self._mac(body, app))

    def open(self, text: str, app: str) -> Place | None:
        """Return the place; None for what wasn't sealed here for this app, which counts as none."""
        try:
            sealed = base64url.decode(text, MAX_PLACE_CHARACTERS)
        except MalformedError:
            return None
        if len(sealed) != PLACE_BYTES:
            return None
        body, code = sealed[:-_MAC_BYTES], sealed[-_MAC_BYTES:]
        if not hmac.compare_digest(code, self._mac(body, app)):
            return None
        return Place(
            queue=body[1:9],
            line=body[9],
            number=int.from_bytes(body[10:18], "big"),
            turn=int.from_bytes(body[18:26], "big"),
            id=body[26:],
        )

    def nonce(self, place: Place, choice: int) -> bytes:
        """Return one of the nonces of a place's challenges; its turn, which changes with each answer, isn't part of it.

        :param choice: below :data:`NONCES`.
        """
        parts = (place.queue, bytes((place.line,)), place.number.to_bytes(8, "big"), place.id)
        message = _NONCE_LABEL + bytes((choice,)) + length_prefixed.join(*parts)
        return hmac.digest(self._key, message, "sha256")[:_NONCE_BYTES]

    def _mac(self, body: bytes, app: str) -> bytes:
        message = _PLACE_LABEL + body + length_prefixed.join(self._issuer, app.encode())
        return hmac.digest(self._key, message, "sha256")


class LaterError(UnavailableError):
    """Tell a phone that its turn comes later.

    :ivar place: sealed; brings it back.
    """

    def __init__(self, place: str, retry_after: int) -> None:
        self.place = place
        super().__init__(
            Reason.ENROLMENT_LATER, "more instances enrol than are let in now", retry_after
        )


class LineState(NamedTuple):
    """Hold how far one line is: places given out, and up to which of them it has called."""

    issued: int
    called: float


class PaceState(NamedTuple):
    """Hold what of an app's pace outlasts the process.

    :param rate: instances a second.
    :param lines: the two of them.
    """

    queue: bytes
    rate: float
    lines: tuple[LineState, LineState]


class PaceView(NamedTuple):
    """Hold what people are shown of an app's pace.

    :param rate: instances a second that are let in now.
    :param waiting: places that weren't called yet, by line.
    :param wait: seconds that somebody waits who comes now.
    :param slowed: whether a vendor's errors hold the ramp.
    :param outcomes: since the start: ``at_once``, ``called``, ``later``; places that count as none are ``ended``, ``forged``
        or, where that is better for them, ``moved``.
    """

    rate: float
    floor: float
    most: float
    waiting: tuple[int, int]
    wait: int
    slowed: bool
    outcomes: Mapping[str, int]


class Ramp:
    """Know how many instances a second are let in now."""

    def __init__(self, rates: PaceRates, at: float, rate: float | None = None) -> None:
        """Begin at the floor, or at the rate that was kept.

        :param at: seconds that nobody sets, as everywhere here.
        """
        begin = rates.floor if rates.doubling else rates.most
        self._rates = rates
        self.rate = min(max(begin if rate is None else rate, rates.floor), rates.most)
        self._round_at = at
        self._held_until = -math.inf
        self._used = 0
        self._answers = Counter[bool]()

    def hear(self, *, answered: bool) -> None:
        """Hear of one exchange with a vendor: whether there was an answer, or an error of transport."""
        self._answers[answered] += 1

    def use(self) -> None:
        """Hear of one that was let in."""
        self._used += 1

    def is_held(self, at: float) -> bool:
        """Tell whether a vendor's errors keep it from growing."""
        return at < self._held_until

    def advance(self, at: float) -> bool:
        """Set the rate once a round has passed; tell whether one has."""
        passed = at - self._round_at
        if 0 <= passed < ROUND_SECONDS:
            return False
        failed, all_of_them = self._answers[False], self._answers.total()
        if failed >= LEAST_FAILED and failed >= TROUBLE * all_of_them:
            self.rate = max(self._rates.floor, self.rate / 2)
            self._held_until = at + HOLD_SECONDS
        elif not self.is_held(at) and 2 * self._used >= self.rate * passed:
            # A vendor that was never asked for so much says nothing of whether it would bear more.
            grown = (
                2 ** (ROUND_SECONDS / self._rates.doubling) if self._rates.doubling else math.inf
            )
            self.rate = min(self._rates.most, self.rate * grown)
        self._round_at, self._used = at, 0
        self._answers.clear()
        return True


class Line:
    """Count one line: its numbers, and how many of those called lately came."""

    def __init__(self, state: LineState) -> None:
        """Go on with what was kept."""
        self.issued = state.issued
        self.called = min(state.called, float(state.issued))
        self.ahead = 1.0
        """How many times faster than its part of the rate it is called."""
        self._marks = deque([int(self.called)] * 2, REMEMBERED_ROUNDS)
        self._came = bytearray()
        self._early = 0
        self._guests = [0, 0]

    @property
    def waiting(self) -> float:
        """Return how many places weren't called yet, without those that came before their turn."""
        return max(0.0, self.issued - self.called - self._early)

    @property
    def density(self) -> float:
        """Return the share of those that wait among the numbers that weren't called yet."""
        numbers = self.issued - self.called
        return self.waiting / numbers if numbers > 0 else 1.0

    def take(self) -> int:
        """Give out the next number."""
        self.issued += 1
        return self.issued

    def learn(self, number: int) -> None:
        """Hear of a number that was given out before a crash, and isn't known any more."""
        self.issued = max(self.issued, number)

    def call(self, room: float) -> float:
        """Call as many as there is room for; return what room is left.

        :param room: how many may be let in.
        """
        called = step = min(self.waiting, room * self.ahead)
        while step:
            first = int(self.called) - self._marks[0]
            self.called = min(self.called + step, float(self.issued))
            # Whoever is in already is passed over.
            step = self._came.count(1, first, int(self.called) - self._marks[0])
            self._early -= step
        return room - called / self.ahead

    def came(self, number: int) -> None:
        """Note that a number came, which :meth:`has_come` didn't know of."""
        index = number - self._marks[0] - 1
        if index >= len(self._came):
            reached = max(int(self.called) - self._marks[0], index + 1)
            self._came += bytes(reached - len(self._came))
        self._came[index] = 1
        self._early += number > self.called

    def welcome(self) -> None:
        """Note that one came who stood in another node's line: of ours as many come there."""
        self._guests[-1] += 1

    def remembers(self, number: int) -> bool:
        """Tell whether it is known of a number if it came: not where it was called long ago, or stands far behind."""
        return self._marks[0] < number <= self._marks[0] + MOST_REMEMBERED

    def has_come(self, number: int) -> bool:
        """Tell whether a number came before that :meth:`remembers` knows."""
        index = number - self._marks[0] - 1
        return index < len(self._came) and bool(self._came[index])

    def close_round(self) -> None:
        """See how many came of those that were called in the round before the last one."""
        first, begin, end = self._marks[0], self._marks[-2], self._marks[-1]
        if end - begin >= LEAST_ROUND:
            came = self._came.count(1, begin - first, end - first) + self._guests[0]
            self.ahead = max(1.0, min(MOST_AHEAD, (end - begin + 1) / (came + 1)))
        elif not self.waiting:
            self.ahead = 1.0
        self._guests = [self._guests[-1], 0]
        self._marks.append(int(self.called))
        del self._came[: self._marks[0] - first]


@dataclass(slots=True)
class AppPace:
    """Pace the enrolments of one app; belongs to one event loop.

    :param at: seconds that nobody sets, when it begins.
    """

    rates: PaceRates
    state: PaceState
    at: float
    outcomes: Counter[str] = field(default_factory=Counter)
    ramp: Ramp = field(init=False)
    lines: tuple[Line, Line] = field(init=False)
    _level: float = field(init=False)
    _turned_away: list[int] = field(default_factory=lambda: [0, 0])
    _in_turn: int = 0
    _leaves_room: bool = False
    _guests: list[set[bytes]] = field(default_factory=lambda: [set(), set()])
    _rounds: int = 0

    def __post_init__(self) -> None:
        """Begin with a full bucket."""
        self.ramp = Ramp(self.rates, self.at, self.state.rate or None)
        self.lines = (Line(self.state.lines[0]), Line(self.state.lines[1]))
        self._level = self._depth

    @property
    def _depth(self) -> float:
        return max(1.0, self.ramp.rate * BURST_SECONDS)

    def advance(self, at: float) -> None:
        """Let time pass: fill the bucket, and call who has his turn."""
        passed = min(max(at - self.at, 0.0), STEP_SECONDS)
        self.at = at
        room = self.ramp.rate * passed
        self._level = min(self._level + room, self._depth)
        if self._has_spare:
            self._call(room)
        if self.ramp.advance(at):
            self._leaves_room = self._in_turn < IN_TURN * self.ramp.rate * ROUND_SECONDS
            self._in_turn = 0
            self._rounds += 1
            self._turned_away = [self._turned_away[-1], 0]
            if self._rounds % REMEMBERED_ROUNDS == 0:
                self._guests = [self._guests[-1], set()]
            for line in self.lines:
                line.close_round()

    @property
    def _has_spare(self) -> bool:
        """Tell whether more may be called: not while those that were use up the bucket."""
        return self._level >= max(1.0, self._depth / 2)

    def _call(self, room: float) -> None:
        first, second = self.lines
        left = first.call(room / 2)
        first.call(second.call(room / 2 + left))

    def admits(self, *, busy: bool) -> bool:
        """Tell whether somebody without a place is let in at once, and count it."""
        waits = self.lines[0].waiting or (busy and self.lines[1].waiting)
        if waits or not self._has_spare:
            return False
        self._take()
        return True

    def admits_number(self, line: int, number: int) -> bool:
        """Tell whether a place of ours is let in that its line remembers, and count it the first time."""
        of = self.lines[line]
        if of.has_come(number):
            # Free: were it not, one place that comes again and again would use up everybody's turn.
            return True
        is_called = number <= of.called
        if not self._has_room(line, is_called=is_called):
            return False
        of.came(number)
        self._take(in_turn=is_called)
        return True

    def _has_room(self, line: int, *, is_called: bool) -> bool:
        """Tell whether there is room for a place: for one that wasn't called, where the bucket would run over.

        Not for one of an address that asks often, while others wait: it is there all the time.
        """
        if is_called:
            return self._level >= 1.0
        if line and self.lines[0].waiting:
            return False
        return self._leaves_room and self._level >= self._depth

    def pause(self, drawn: float) -> int:
        """Return the seconds after which a place comes again that was called and found no room: the more such, the longer.

        :param drawn: evenly between 0 and 1, so that they don't come all at once.
        """
        self._turned_away[-1] += 1
        crowd = sum(self._turned_away) / self.ramp.rate
        return 1 + int(drawn * min(crowd, EXACT_SECONDS - 1))

    def admits_guest(self, place: Place, *, is_called: bool) -> bool:
        """Tell whether a place is let in that no line of ours remembers, and count it the first time.

        It is of other numbers, stands far behind, or was called long ago: most phones come when their app is opened next.

        :param is_called: whether its turn has come.
        """
        if any(place.id in known for known in self._guests):
            return True
        if not self._has_room(place.line, is_called=is_called):
            return False
        if len(self._guests[-1]) >= MOST_GUESTS:
            self._guests = [self._guests[-1], set()]
        self._guests[-1].add(place.id)
        self.lines[place.line].welcome()
        self._take(in_turn=is_called)
        return True

    def has_ended(self, place: Place, now: int) -> bool:
        """Tell whether a place counts no more; one of ours that wasn't called does, whatever the clock says.

        :param now: seconds since 1970.
        """
        if place.queue == self.state.queue and place.number > self.lines[place.line].called:
            return False
        return not -LIFE_SECONDS <= place.turn - now <= FURTHEST_SECONDS

    def _take(self, *, in_turn: bool = True) -> None:
        self._in_turn += in_turn
        self._level -= 1.0
        self.ramp.use()

    @property
    def wait_at_end(self) -> int:
        """Return the seconds until somebody has his turn who comes now."""
        first = self.lines[0]
        return self.wait(0, first.issued + 1) if first.waiting else 0

    def wait(self, line: int, number: int) -> int:
        """Return the seconds until a number is called, as far as that can be told."""
        of, other = self.lines[line], self.lines[1 - line]
        speed = self.ramp.rate * of.ahead / (2 if other.waiting else 1)
        return max(1, math.ceil(max(0.0, number - of.called) * of.density / speed))


NO_STATE: Final[Mapping[str, PaceState]] = {}
"""Nothing was kept."""


class Pace:
    """Pace the enrolments of all apps; belongs to one event loop."""

    def __init__(
        self,
        rates: PaceRates,
        apps: Iterable[str],
        seal: PlaceSeal,
        *,
        entropy: Entropy,
        steady: Callable[[], float],
        tally: Callable[[str, float], float] | None = None,
        kept: Mapping[str, PaceState] = NO_STATE,
    ) -> None:
        """Begin, or go on with what was kept.

        :param steady: seconds that nobody sets.
        :param tally: counts that an address prefix asks at an instant, and returns above 0 where it asks too often; None
            knows no addresses.
        """
        self._seal = seal
        self._entropy = entropy
        self._steady = steady
        self._tally = tally
        at = steady()
        empty = LineState(0, 0.0)
        self._apps = {
            app: AppPace(
                rates,
                kept.get(app) or PaceState(entropy.token_bytes(_QUEUE_BYTES), 0.0, (empty, empty)),
                at,
            )
            for app in apps
        }

    def admit(
        self, app: str, place: str | None, address: str | None, now: datetime
    ) -> bytes | None:
        """Let a phone in or tell it when to come; return the nonce of its challenge, None for a fresh one.

        :param app: one that isn't known is let in: whoever makes its challenge refuses it.
        :param place: what it brought.
        :param address: its prefix, None where that isn't known.
        :raises LaterError: with its place, the same or a new one.
        """
        paced = self._apps.get(app)
        if paced is None:
            return None
        at = self._steady()
        paced.advance(at)
        seconds = int(now.timestamp())
        if place is not None:
            opened = self._seal.open(place, app)
            if opened is None:
                paced.outcomes["forged"] += 1
            elif paced.has_ended(opened, seconds):
                paced.outcomes["ended"] += 1
            elif opened.queue != paced.state.queue and paced.wait_at_end < opened.turn - seconds:
                # Of another node, or of before a loss: nobody who came later goes before it.
                paced.outcomes["moved"] += 1
            else:
                return self._serve(app, paced, opened, seconds)
        busy = address is not None and self._tally is not None and self._tally(address, at) > 0
        if paced.admits(busy=busy):
            paced.outcomes["at_once"] += 1
            return None
        line = int(busy)
        number = paced.lines[line].take()
        new = Place(paced.state.queue, line, number, 0, self._entropy.token_bytes(_ID_BYTES))
        raise self._later(app, paced, new, seconds + paced.wait(line, number), seconds)

    def _serve(self, app: str, paced: AppPace, place: Place, now: int) -> bytes:
        """Let a phone in whose turn it is; what it sealed is ours."""
        is_ours, line = place.queue == paced.state.queue, paced.lines[place.line]
        is_called = place.number <= line.called if is_ours else place.turn <= now
        if is_ours:
            line.learn(place.number)
        if is_ours and line.remembers(place.number):
            admitted = paced.admits_number(place.line, place.number)
        else:
            admitted = paced.admits_guest(place, is_called=is_called)
        if not admitted:
            if is_called:
                turn = now + paced.pause(self._entropy.token_bytes(1)[0] / 256)
            else:
                turn = now + paced.wait(place.line, place.number) if is_ours else place.turn
            raise self._later(app, paced, place, turn, now)
        paced.outcomes["called"] += 1
        choice = self._entropy.token_bytes(1)[0] % NONCES
        return self._seal.nonce(place, choice)

    def _later(self, app: str, paced: AppPace, place: Place, turn: int, now: int) -> LaterError:
        paced.outcomes["later"] += 1
        turn = min(turn, now + FURTHEST_SECONDS - 86400)
        sealed = self._seal.seal(place._replace(turn=turn), app)
        return LaterError(sealed, told_wait(turn - now))

    def hear(self, app: str, *, answered: bool) -> None:
        """Hear of one exchange with a vendor for an app: whether it was answered, or failed on the way."""
        paced = self._apps.get(app)
        if paced is not None:
            paced.ramp.hear(answered=answered)

    def state(self) -> Mapping[str, PaceState]:
        """Return what outlasts the process, by app."""
        return {
            app: PaceState(
                paced.state.queue,
                paced.ramp.rate,
                (_state_of(paced.lines[0]), _state_of(paced.lines[1])),
            )
            for app, paced in self._apps.items()
        }

    def view(self) -> Mapping[str, PaceView]:
        """Return what people are shown, by app."""
        at = self._steady()
        views = {}
        for app, paced in self._apps.items():
            paced.advance(at)
            first, second = paced.lines
            waiting = (math.ceil(first.waiting), math.ceil(second.waiting))
            views[app] = PaceView(
                rate=paced.ramp.rate,
                floor=paced.rates.floor,
                most=paced.rates.most,
                waiting=waiting,
                wait=paced.wait_at_end,
                slowed=paced.ramp.is_held(at),
                outcomes=dict(paced.outcomes),
            )
        return views


def told_wait(seconds: int) -> int:
    """Return after how many seconds a phone is told to come whose turn is in so many."""
    if seconds <= EXACT_SECONDS:
        return max(1, seconds)
    return min(LONGEST_SECONDS, max(EXACT_SECONDS, seconds // 2))


def _state_of(line: Line) -> LineState:
    return LineState(line.issued, line.called)
