"""Put the cases of all known suites through our code, count what became of them, and say it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from watchword.reasons import RefusedError
from watchword_conformance.suites.certificates import BETTERTLS, PYCA_CERTIFICATES, X509_LIMBO
from watchword_conformance.suites.encodings import CBOR_EXAMPLES, CBOR_MALFORMED, JSON_PARSING
from watchword_conformance.suites.interface import (
    Case,
    CaseSet,
    MisreadError,
    Must,
    Suite,
    SuiteError,
    SuiteFile,
)
from watchword_conformance.suites.jwt_attacks import JWT_ATTACKS
from watchword_conformance.suites.requests import MESSAGE_SIGNATURES, RAW_HTTP, STRUCTURED_FIELDS
from watchword_conformance.suites.wycheproof import (
    WYCHEPROOF_AEAD,
    WYCHEPROOF_JOSE,
    WYCHEPROOF_MAC,
    WYCHEPROOF_SIGNATURES,
)


class Outcome(StrEnum):
    """Say what became of a case; the last three mustn't be."""

    REJECTED = "rejected"
    ACCEPTED = "accepted"
    OUTSIDE = "outside"
    WRONG_ACCEPT = "wrong accept"
    WRONG_REJECT = "wrong reject"
    FOREIGN = "foreign exception"


BAD = (Outcome.WRONG_ACCEPT, Outcome.WRONG_REJECT, Outcome.FOREIGN)
"""What must be nought."""

_TAKEN = "accepted against the suite"
_MISSED = "refused against the suite"


@dataclass
class Tally:
    """Hold the numbers of one set.

    :ivar outside: how many cases lie outside of the profile, by the name of why.
    :ivar taken: how many of these were accepted although the suite wants them rejected.
    :ivar missed: how many of these were refused although the suite wants them accepted.
    :ivar wrong: each case that ended badly, with what happened.
    """

    name: str
    suite: Suite
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, Outcome, str]] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """Return how many cases were run."""
        return self.outcomes.total()

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Return the three numbers: rejected and accepted as they must be, and outside of our profile."""
        wanted = (Outcome.REJECTED, Outcome.ACCEPTED, Outcome.OUTSIDE)
        rejected, accepted, outside = (self.outcomes[each] for each in wanted)
        return rejected, accepted, outside

    @property
    def bad(self) -> tuple[int, int, int]:
        """Return wrong accepts, wrong rejects and foreign exceptions."""
        accepts, rejects, foreign = (self.outcomes[each] for each in BAD)
        return accepts, rejects, foreign

    def judge(self, case: Case) -> None:
        """Run one case and count it."""
        outcome, told = outcome_of(case)
        self.outcomes[outcome] += 1
        if outcome in BAD:
            self.wrong.append((case.id, outcome, told))
        elif case.outside is not None:
            self.outside[case.outside.name] += 1
            self.taken[case.outside.name] += told == _TAKEN
            self.missed[case.outside.name] += told == _MISSED


def outcome_of(case: Case) -> tuple[Outcome, str]:
    """Run one case; return what became of it, and what there is to tell: what went wrong, or was taken."""
    try:
        accepted = case.attempt()
    except RefusedError:
        accepted = False
    except MisreadError as error:
        return Outcome.WRONG_ACCEPT, str(error)
    except Exception as error:  # noqa: BLE001 - that is what is looked for.
        # The exception's text may hold the input: its class says enough.
        return Outcome.FOREIGN, type(error).__name__
    if case.outside is not None:
        if accepted and not case.outside.unjudged:
            return Outcome.WRONG_ACCEPT, f"accepted, though outside: {case.outside.name}"
        if accepted:
            return Outcome.OUTSIDE, _TAKEN if case.must is Must.REJECT else ""
        return Outcome.OUTSIDE, _MISSED if case.must is Must.ACCEPT else ""
    if accepted is (case.must is Must.ACCEPT):
        return (Outcome.ACCEPTED if accepted else Outcome.REJECTED), ""
    if accepted:
        return Outcome.WRONG_ACCEPT, "accepted, expected a refusal"
    return Outcome.WRONG_REJECT, "refused, expected it to be accepted"


@dataclass
class Run:
    """Hold what a run came to.

    :ivar tallies: by the name of the set.
    :ivar unread: files of which no suite knows the layout.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Tell whether nothing ended badly."""
        return not any(any(tally.bad) for tally in self.tallies.values())


def run(
    files: Iterable[SuiteFile],
    suites: Mapping[str, Suite],
    progress: Callable[[str, int], None] | None = None,
) -> Run:
    """Run every file whose layout a suite knows; the first suite that takes a file has it.

    :param progress: is told the set's name and how many of its cases are done.
    :raises SuiteError: for a file that is of a layout, but lacks something of it.
    """
    result = Run()
    for file in files:
        found = next(_readings(file, suites.values()), None)
        if found is None:
            result.unread.append(str(file.path))
            continue
        suite, cases = found
        tally = result.tallies.setdefault(cases.name, Tally(cases.name, suite))
        for case in _guarded(file, suite, cases):
            tally.judge(case)
            if progress is not None:
                progress(tally.name, tally.cases)
    return result


def _readings(file: SuiteFile, suites: Iterable[Suite]) -> Iterator[tuple[Suite, CaseSet]]:
    for suite in suites:
        try:
            cases = suite.read(file)
        except (LookupError, TypeError, ValueError, AttributeError):
            raise _crooked(file, suite) from None
        if cases is not None:
            yield suite, cases


def _guarded(file: SuiteFile, suite: Suite, cases: CaseSet) -> Iterator[Case]:
    """Yield the cases; what a file lacks is an error of the file, and none of the code under test."""
    iterator = iter(cases.cases)
    while True:
        try:
            case = next(iterator)
        except StopIteration:
            return
        except (LookupError, TypeError, ValueError, AttributeError):
            raise _crooked(file, suite) from None
        yield case


def _crooked(file: SuiteFile, suite: Suite) -> SuiteError:
    return SuiteError(f"{file.path} has the layout of {suite.title}, and lacks something of it")


MAX_SHOWN = 20
"""Most cases of a set that are listed when they ended badly."""

_NUMBERS = ("rejected", "accepted", "outside")
_BAD = ("wrong accepts", "wrong rejects", "foreign exceptions")


def table(run: Run) -> str:
    """Return the numbers of each set, and of all of them."""
    width = max([len("set"), *map(len, run.tallies)])
    heads = ("cases", *_NUMBERS, *_BAD)
    lines = [f"{'set':<{width}}" + "".join(f"  {head}" for head in heads)]
    lines += [
        _line(tally.name, width, heads, (tally.cases, *tally.numbers, *tally.bad))
        for tally in run.tallies.values()
    ]
    lines.append(_line("all", width, heads, totals(run)))
    return "\n".join(lines)


def totals(run: Run) -> tuple[int, ...]:
    """Return the numbers of all sets together: cases, the three numbers, and the three that must be nought."""
    rows = [(tally.cases, *tally.numbers, *tally.bad) for tally in run.tallies.values()]
    return tuple(map(sum, zip(*rows, strict=True))) if rows else (0,) * 7


def _line(name: str, width: int, heads: tuple[str, ...], numbers: tuple[int, ...]) -> str:
    columns = zip(heads, numbers, strict=True)
    return f"{name:<{width}}" + "".join(f"  {number:>{len(head)}}" for head, number in columns)


def details(run: Run) -> str:
    """Return why cases lie outside, what ended badly, and what nobody read."""
    lines = []
    for tally in run.tallies.values():
        lines += [f"  {line}" for line in outside_lines(tally)]
    if lines:
        lines = ["", "outside of our profile:", *lines]
    for tally in run.tallies.values():
        lines += _wrong(tally)
    if run.unread:
        lines += ["", f"{len(run.unread)} files of no layout that is known were left alone"]
    return "\n".join(lines)


def outside_lines(tally: Tally) -> Iterator[str]:
    """Yield for each reason of a set how many cases have it, and how many go against its verdict."""
    for name, count in tally.outside.most_common():
        taken, missed = tally.taken[name], tally.missed[name]
        told = f", {taken} accepted against the suite's verdict" if taken else ""
        told += f", {missed} refused against it" if missed else ""
        yield f"{tally.name}, {name}: {count}{told}"


def _wrong(tally: Tally) -> Iterator[str]:
    for case, outcome, told in tally.wrong[:MAX_SHOWN]:
        yield f"\n{outcome.upper()} in {tally.name}: {case}\n  {told}"
    if len(tally.wrong) > MAX_SHOWN:
        yield f"\nand {len(tally.wrong) - MAX_SHOWN} more in {tally.name}"


def as_json(tally: Tally) -> dict[str, Any]:
    """Return one set for scripts."""
    numbers = zip((*_NUMBERS, *_BAD), (*tally.numbers, *tally.bad), strict=True)
    return {
        "set": tally.name,
        "suite": tally.suite.title,
        "cases": tally.cases,
        **{name.replace(" ", "_"): number for name, number in numbers},
        "outside_by": dict(tally.outside),
        "outside_accepted_against_verdict": dict(+tally.taken),
        "outside_refused_against_verdict": dict(+tally.missed),
        "wrong": [
            {"case": case, "outcome": outcome.value, "told": told}
            for case, outcome, told in tally.wrong
        ],
    }


SUITES: Final[Mapping[str, Suite]] = {
    "json-parsing": JSON_PARSING,
    "wycheproof-jose": WYCHEPROOF_JOSE,
    "jwt-attacks": JWT_ATTACKS,
    "wycheproof-signatures": WYCHEPROOF_SIGNATURES,
    "wycheproof-mac": WYCHEPROOF_MAC,
    "wycheproof-aead": WYCHEPROOF_AEAD,
    "cbor-examples": CBOR_EXAMPLES,
    "cbor-malformed": CBOR_MALFORMED,
    "structured-fields": STRUCTURED_FIELDS,
    "x509-limbo": X509_LIMBO,
    "bettertls": BETTERTLS,
    "pyca-certificates": PYCA_CERTIFICATES,
    "raw-http": RAW_HTTP,
    "message-signatures": MESSAGE_SIGNATURES,
}
