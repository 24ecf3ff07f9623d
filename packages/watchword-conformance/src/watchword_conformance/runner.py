"""Send the requests of cases, judge what became of them, and say what came of a run.

Bytes are sent as they are: no HTTP client would send most of the corpus.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from watchword.adapters.system import SystemClock, SystemEntropy
from watchword.engines.interface import Divergence
from watchword.gate.hygiene import canonical_name
from watchword.gate.interface import RESULT_HEADERS, TOKEN_HEADER
from watchword.ports import Clock
from watchword.reasons import Reason, WatchwordError
from watchword.vocabulary import ReplayMode
from watchword_conformance.corpus import (
    NOTHING_DECLARED,
    Capabilities,
    Case,
    Corpus,
    Difference,
    Request,
    load_corpus,
)
from watchword_conformance.deployment import Deployment, load, new_key
from watchword_conformance.requests import Built, Workshop
from watchword_conformance.upstream import CONTROL, MARK, Seen

TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024
_FIRST_FINAL_STATUS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what came back first.

    :param status: 0 where the connection ended without an answer.
    :param late: whether nothing came in time.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    late: bool = False

    def header(self, name: str) -> str | None:
        """Return a field's value by its lower-case name."""
        return next((value for got, value in self.headers if got == name), None)


@dataclass(frozen=True, slots=True)
class Target:
    """Hold where something listens."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Target":
        """Read ``http://host:port``; raise ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in {"", "/"}:
            raise ValueError(f"got {url!r}, expected http://host:port")
        return cls(parts.hostname, parts.port or 80)


async def send(target: Target, wire: bytes, method: str, *, half_close: bool = False) -> Answer:
    """Send bytes over a new connection and return the first final answer.

    :param half_close: say after them that nothing more will come.
    :raises OSError: when nothing listens there.
    """
    reader, writer = await asyncio.open_connection(target.host, target.port, limit=MAX_HEAD_BYTES)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with contextlib.suppress(ConnectionError):
                # A server that refuses early may not read the rest.
                writer.write(wire)
                await writer.drain()
                if half_close:
                    writer.write_eof()
            return await _read(reader, method)
    except TimeoutError:
        return Answer(0, late=True)
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return Answer(0)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader, method: str) -> Answer:
    while True:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        if status >= _FIRST_FINAL_STATUS:
            break
    split = (line.partition(":") for line in lines[1:] if line)
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in split)
    answer = Answer(status, headers)
    if method == "HEAD" or status in {204, 304}:
        return answer
    return Answer(status, headers, await _body(reader, answer))


async def _body(reader: asyncio.StreamReader, answer: Answer) -> bytes:
    if "chunked" in (answer.header("transfer-encoding") or ""):
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            if len(body) + size > MAX_ANSWER_BYTES:
                raise ValueError("got too long an answer")
            body += await reader.readexactly(size)
            await reader.readline()
        return body
    length = answer.header("content-length")
    if length is not None:
        return await reader.readexactly(min(int(length), MAX_ANSWER_BYTES))
    return await reader.read(MAX_ANSWER_BYTES)


_OK = 200
_FIRST_REFUSING_STATUS = 400
_LAST_REFUSING_STATUS = 505


def judge(
    recipe: Request,
    built: Built,
    answers: Sequence[Answer],
    seen: Sequence[Seen],
    hidden: Sequence[Seen],
    *,
    kind: Divergence | None = None,
    statuses: Collection[int] = (),
) -> list[str]:
    """Return what is wrong, empty where all is as it must be.

    :param kind: what the gate declared about this case.
    :param statuses: with which it refuses in place of any other.
    :param seen: what the API saw of it.
    :param hidden: what the API saw of a request that was hidden inside.
    """
    expect = recipe.expect
    faults = []
    if hidden:
        faults.append("the API saw the request that was hidden in it")
    if any(answer.late for answer in answers):
        faults.append("got no answer in time")
    passed = [answer for answer in answers if _is_from_upstream(answer)]
    refused = [answer for answer in answers if not _is_from_upstream(answer)]
    lenient = kind in {Divergence.CLEANED, Divergence.HARMLESS}
    most = {"pass": expect.passes, "refuse": int(lenient), "contain": 1}[expect.decision]
    free = lenient or kind is Divergence.STRICTER or expect.decision == "contain"
    wanted = range(most + 1) if free else range(most, most + 1)
    if len(seen) not in wanted:
        faults.append(f"the API saw it {len(seen)} times, expected {_between(wanted)}")
    if len(passed) not in wanted:
        statuses = sorted({answer.status for answer in refused})
        faults.append(
            f"{len(passed)} of {len(answers)} passed, expected {_between(wanted)}"
            + (f"; refused with {statuses} {_reasons(refused)}".rstrip() if refused else "")
        )
    for each in seen:
        faults += _unlike(recipe, built, each, cleaned=kind is Divergence.CLEANED)
    if not free and kind is not Divergence.ANSWER:
        faults += _refusal_faults(recipe, refused, statuses)
    return list(dict.fromkeys(faults))


def _is_from_upstream(answer: Answer) -> bool:
    """Tell whether the API answered, and not somebody with an empty 200."""
    return answer.status == _OK and answer.header(MARK.lower()) is not None


def _between(counts: range) -> str:
    """Say how many of it there may be."""
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _either(counts: Sequence[int]) -> str:
    return " or ".join(map(str, counts))


def _refusal_faults(
    recipe: Request, refused: Sequence[Answer], statuses: Collection[int]
) -> list[str]:
    """Compare the refusals' status, and their reason where the gate shows it."""
    expect = recipe.expect
    faults = []
    allowed = set(expect.statuses)
    if not allowed and expect.reason is not None:
        allowed = {Reason.from_code(expect.reason).public.status}
    if allowed:
        allowed.update(statuses)
    for answer in refused:
        is_refusal = answer.status == 0 or (
            _FIRST_REFUSING_STATUS <= answer.status <= _LAST_REFUSING_STATUS
        )
        if not is_refusal or (allowed and answer.status not in allowed):
            faults.append(f"got status {answer.status}, expected {_either(sorted(allowed))}")
        shown = _shown_reasons(answer)
        if expect.reason is not None and shown and expect.reason not in shown:
            faults.append(f"got reason {', '.join(shown)}, expected {expect.reason}")
    return faults


def _shown_reasons(answer: Answer) -> list[str]:
    try:
        problem = json.loads(answer.body)
    except ValueError:
        return []
    reasons = problem.get("reasons") if isinstance(problem, dict) else None
    return [str(reason) for reason in reasons] if isinstance(reasons, list) else []


def _reasons(answers: Sequence[Answer]) -> str:
    return ", ".join(sorted({reason for answer in answers for reason in _shown_reasons(answer)}))


def _unlike(recipe: Request, built: Built, seen: Seen, *, cleaned: bool) -> list[str]:
    """Return in what the API's view differs from a cleaned request.

    :param cleaned: whether the target may have been cut down to what every server reads alike, or decoded,
        a body in crooked chunks cut to what its sizes say, and trailers have become fields before the gate was asked.
    """
    faults = []
    if seen.method != built.method:
        faults.append(f"the API saw method {seen.method!r}")
    if seen.target != built.target and not (cleaned and _alike(seen.target, built.target)):
        faults.append(f"the API saw target {seen.target!r}")
    is_crooked = cleaned and recipe.raw is not None
    if seen.body != hashlib.sha256(built.body).hexdigest() and not is_crooked:
        faults.append("the API saw another body")
    faults += [f"the API saw the trailer {name}" for name, _ in seen.trailers]
    if not cleaned:
        faults += [
            f"the API saw the trailer {name}" for name in _merged_trailers(recipe, built, seen)
        ]
    got: dict[bytes, list[str]] = {}
    for name, value in seen.headers:
        canonical = canonical_name(name.lower().encode("latin-1"))
        got.setdefault(canonical, []).append(value)
    faults += [f"the API saw {name}" for name in recipe.expect.unseen if name.encode() in got]
    if TOKEN_HEADER in got:
        faults.append("the API saw the token")
    wanted: tuple[str | None, ...] = ()
    if recipe.expect.results and built.token is not None:
        claims = built.token.claims
        app = claims.get("app")
        # A gate that takes a token without one of them can't tell the API what it doesn't say.
        wanted = (claims.get("sub"), claims.get("lvl"), app.get("id") if app else None)
    for at, field in enumerate(RESULT_HEADERS):
        stated = wanted[at] if wanted else None
        expected = [] if stated is None else [stated]
        if got.get(field, []) != expected:
            faults.append(f"the API saw {field.decode()} {got.get(field, [])}, expected {expected}")
    return faults


def _merged_trailers(recipe: Request, built: Built, seen: Seen) -> list[str]:
    """Return the names of header fields that were sent as trailers."""
    sent = [] if recipe.body is None else recipe.body.trailers
    trailers = {(name.lower(), value.replace("{hidden}", built.inner)) for name, value in sent}
    return [name for name, value in seen.headers if (name.lower(), value) in trailers]


def _alike(seen: str, sent: str) -> bool:
    """Tell whether a target is the one that was sent, cut down or decoded."""
    plain = _decoded(_origin_form(sent))
    return _decoded(seen) in {plain, _encoded(plain)}


def _decoded(target: str) -> str:
    """Return a target with its path decoded once: all that is left of it behind WSGI."""
    path, mark, query = target.partition("?")
    return unquote(path, "latin-1") + mark + query


def _encoded(target: str) -> str:
    """Return a target with the semicolons of its query encoded, as Go's proxies do, whose parser takes none that is bare."""
    path, mark, query = target.partition("?")
    return path + mark + query.replace(";", "%3B")


def _origin_form(target: str) -> str:
    """Return a target without scheme, host and fragment (RFC 9112 section 3.2.1)."""
    path = target.partition("#")[0]
    scheme, found, rest = path.partition("://")
    if found and scheme.isalpha():
        return "/" + rest.partition("/")[2]
    return path


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


@dataclass(frozen=True, slots=True)
class Count:
    """Hold how many cases of a group came out how."""

    group: str
    agreed: int
    declared: int
    differed: int


def counts(rows: Sequence[Row]) -> list[Count]:
    """Return a count for each group, in the corpus' order, and one of all at the end."""
    groups = list(dict.fromkeys(row.case.group for row in rows))
    made = [_count(group, [row for row in rows if row.case.group == group]) for group in groups]
    return [*made, _count("all", rows)]


def _count(group: str, rows: Sequence[Row]) -> Count:
    outcomes = [row.outcome for row in rows]
    return Count(
        group, outcomes.count("agreed"), outcomes.count("declared"), outcomes.count("differed")
    )


def table_of_rows(rows: Sequence[Row]) -> str:
    """Return the counts for people."""
    lines = [f"{'group':<12} {'agreed':>7} {'declared':>9} {'differed':>9}"]
    lines += [
        f"{each.group:<12} {each.agreed:>7} {each.declared:>9} {each.differed:>9}"
        for each in counts(rows)
    ]
    return "\n".join(lines)


def details_of_rows(rows: Sequence[Row]) -> str:
    """Return what differed, and what was declared, case by case."""
    lines = []
    for row in rows:
        if row.outcome == "differed":
            lines += ["", f"{row.case.id}: {row.case.note}"]
            lines += [f"  {fault}" for fault in row.faults]
    declared: dict[str, list[str]] = {}
    for row in rows:
        if row.outcome == "declared":
            declared.setdefault(row.why, []).append(row.case.id)
    for why, names in declared.items():
        lines += ["", f"declared, {len(names)} cases: {why}", f"  {', '.join(names)}"]
    return "\n".join(lines)


def row_as_json(row: Row) -> dict[str, Any]:
    """Return one row for scripts."""
    return {
        "case": row.case.id,
        "outcome": row.outcome,
        "faults": list(row.faults),
        "declared": None if row.declared is None else row.declared.name,
        "why": row.why,
    }


def workshop(deployment: Deployment) -> Workshop:
    """Return what builds the requests of one run."""
    entropy = SystemEntropy()
    return Workshop(
        corpus=load_corpus(),
        deployment=deployment,
        entropy=entropy,
        run=entropy.token_bytes(6).hex(),
        foreign=new_key(),
        own_key=new_key(),
        other_key=new_key(),
    )


def runner(
    directory: Path,
    target: str,
    upstream: str,
    capabilities: Capabilities = NOTHING_DECLARED,
) -> Runner:
    """Return a runner against a gate that loaded the deployment in ``directory``.

    :param target: ``http://host:port`` of the gate; ``upstream`` of the API behind it.
    :raises ValueError: on an address of another form.
    """
    return Runner(
        load_corpus(),
        workshop(load(directory)),
        Target.of(target),
        Target.of(upstream),
        SystemClock(),
        capabilities,
    )


async def run(
    directory: Path,
    target: str,
    upstream: str,
    capabilities: Capabilities = NOTHING_DECLARED,
    *,
    cases: Sequence[Case] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """Run the corpus, or some cases of it."""
    chosen = load_corpus().cases if cases is None else cases
    return await runner(directory, target, upstream, capabilities).run(chosen, progress)
