"""Run the corpus against a gate, and compare what became of each request with what must."""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from watchword.apps.conformance.capabilities import Capabilities, Difference
from watchword.apps.conformance.corpus import Case, Corpus, Request
from watchword.apps.conformance.judging import judge
from watchword.apps.conformance.requests import Built, Workshop
from watchword.apps.conformance.sender import Answer, Target, send
from watchword.apps.conformance.upstream import CONTROL, Seen
from watchword.engines.interface import Divergence
from watchword.ports import Clock
from watchword.reasons import WatchwordError
from watchword.vocabulary import ReplayMode

AT_ONCE = 6
"""Cases that run side by side; enough to hide waiting, too few to be a load."""

AFFINITY_SECONDS = 10.0
"""How long a nonce of the gate is used before a new one is asked for."""

Outcome = Literal["agreed", "declared", "differed"]


class NoTargetError(WatchwordError):
    """Report that the gate or the API behind it can't be reached; the text says which."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Hold a request, and every answer to it."""

    recipe: Request
    built: Built
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Hold what came of one case.

    :param outcome: ``declared`` where it differed as the engine says that it does.
    :param faults: what differed, for people.
    :param declared: what the engine says about it.
    """

    case: Case
    outcome: Outcome
    faults: tuple[str, ...]
    declared: Difference | None = None

    @property
    def why(self) -> str:
        """Return the engine's own words, empty where it declared nothing."""
        return "" if self.declared is None else self.declared.why


class Runner:
    """Run cases against one gate."""

    def __init__(
        self,
        corpus: Corpus,
        workshop: Workshop,
        target: Target,
        upstream: Target,
        clock: Clock,
        capabilities: Capabilities,
    ) -> None:
        """Prepare; nothing is sent yet."""
        self._corpus = corpus
        self._workshop = workshop
        self._target = target
        self._upstream = upstream
        self._now = clock.timestamp
        self._capabilities = capabilities
        self._asked_at = 0.0
        self._asking = asyncio.Lock()

    async def run(
        self, cases: Sequence[Case], progress: Callable[[int], None] = lambda _: None
    ) -> list[Row]:
        """Return a row for each case, in their order.

        :param progress: is told how many cases were sent so far.
        :raises NoTargetError: when nothing listens, or the API behind the gate isn't ours.
        """
        # Before anything is sent to a gate whose API can't tell what arrived.
        await self._seen()
        turns = asyncio.Semaphore(AT_ONCE)
        done = 0

        async def one(case: Case) -> list[Exchange]:
            nonlocal done
            async with turns:
                exchanges = await self.perform(case)
            done += 1
            progress(done)
            return exchanges

        tasks: list[asyncio.Task[list[Exchange]]] = []
        try:
            async with asyncio.TaskGroup() as group:
                tasks += [group.create_task(one(case)) for case in cases]
        except ExceptionGroup as errors:
            # A gate that went away is one error to a person, however many cases met it.
            raise errors.exceptions[0] from None
        seen = await self._seen()
        return [
            self._row(task.result(), case, seen) for task, case in zip(tasks, cases, strict=True)
        ]

    async def perform(self, case: Case) -> list[Exchange]:
        """Send the requests of a case, one after the other."""
        instances = self._workshop.instances()
        exchanges: list[Exchange] = []
        for index, recipe in enumerate(case.requests):
            workshop = await self._with_affinity(recipe)
            earlier = [exchange.built for exchange in exchanges]
            built = workshop.build(case, index, instances, earlier, self._now())
            exchanges.append(Exchange(recipe, built, await self._send(recipe, built)))
        return exchanges

    async def _send(self, recipe: Request, built: Built) -> tuple[Answer, ...]:
        async def once() -> Answer:
            try:
                return await send(
                    self._target, built.wire, built.method, half_close=built.half_close
                )
            except OSError as error:
                raise NoTargetError(
                    f"no gate at {self._target.host}:{self._target.port}: {error.strerror or error}"
                ) from None

        if recipe.parallel:
            return tuple(await asyncio.gather(*(once() for _ in range(recipe.times))))
        return tuple([await once() for _ in range(recipe.times)])

    async def _with_affinity(self, recipe: Request) -> Workshop:
        """Return a workshop that knows a fresh nonce of the gate, where the gate asks for one."""
        if self._workshop.deployment.replay is not ReplayMode.AFFINE or recipe.proof is None:
            return self._workshop
        async with self._asking:
            if self._now() - self._asked_at >= AFFINITY_SECONDS:
                case = self._corpus.cases[0].model_copy(
                    update={"id": "affinity/ask", "requests": [_asking(self._corpus)]}
                )
                workshop = replace(self._workshop, affinity="")
                built = workshop.build(case, 0, workshop.instances(), [], self._now())
                (answer,) = await self._send(case.requests[0], built)
                nonce = answer.header("watchword-nonce")
                if nonce is None:
                    raise NoTargetError("the gate gave no Watchword-Nonce to a proof without one")
                self._workshop = replace(self._workshop, affinity=nonce)
                self._asked_at = self._now()
        return self._workshop

    async def _seen(self) -> list[Seen]:
        """Ask the API what arrived in this run."""
        where = f"{self._upstream.host}:{self._upstream.port}"
        path = f"{CONTROL}seen/{self._workshop.run}"
        wire = f"GET {path} HTTP/1.1\r\nHost: upstream\r\nConnection: close\r\n\r\n".encode()
        try:
            answer = await send(self._upstream, wire, "GET")
            return [Seen(**each) for each in json.loads(answer.body)]
        except (OSError, ValueError, TypeError):
            raise NoTargetError(
                f"no conformance upstream at {where}; start one: watchword conformance upstream"
            ) from None

    def _row(self, exchanges: Sequence[Exchange], case: Case, seen: Sequence[Seen]) -> Row:
        declared = self._capabilities.declared(case, self._workshop.deployment.without)
        answers = self._capabilities.answers()
        faults = tuple(self._faults(exchanges, seen))
        if not faults:
            return Row(case, "agreed", ())
        if answers is not None and not self._faults(exchanges, seen, None, answers.statuses):
            return Row(case, "declared", faults, answers)
        statuses = () if answers is None else answers.statuses
        if declared is not None and not self._faults(exchanges, seen, declared.kind, statuses):
            return Row(case, "declared", faults, declared)
        return Row(case, "differed", faults, declared)

    def _faults(
        self,
        exchanges: Sequence[Exchange],
        seen: Sequence[Seen],
        kind: Divergence | None = None,
        statuses: Collection[int] = (),
    ) -> list[str]:
        labels = _by_label(seen, {exchange.built.label for exchange in exchanges})
        return [
            f"request {number}: {fault}" if len(exchanges) > 1 else fault
            for number, exchange in enumerate(exchanges, 1)
            for fault in judge(
                exchange.recipe,
                exchange.built,
                exchange.answers,
                labels[exchange.built.label],
                [each for each in seen if exchange.built.inner in (each.label + each.target)],
                kind=kind,
                statuses=statuses,
            )
        ]


def _by_label(seen: Sequence[Seen], labels: Collection[str]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {label: [] for label in labels}
    for each in seen:
        if each.label in found:
            found[each.label].append(each)
    return found


def _asking(corpus: Corpus) -> Request:
    """Return a request whose proof carries no nonce of the gate."""
    row = next(row for row in corpus.routes if row.proof == "session" and row.mode == "enforce")
    return Request.model_validate(
        {
            "target": row.pattern.replace("/**", "/nonce"),
            "proof": {"kind": "session"},
            "expect": {"decision": "refuse", "reason": "proof.nonce"},
        }
    )
