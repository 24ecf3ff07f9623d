"""Change one thing in the core at a time, and see which test notices: a sample to compare before and after the house is rebuilt.

``python -m scripts.house_mutants [AREA ...]`` draws mutants by a seed and runs them until enough of each area were killed; it goes on where
it stopped.  ``--again`` finds the same mutants in the source as it is now, runs them, and exits with 1 where one that was killed lives.

A mutant is known by the qualified name of its function and by the text of its statement, never by file or line: it is found again after
modules were merged and moved.  What was renamed since stands in ``house_renames.toml`` (``was``, ``is``), which is applied to both.

The tests of an area are collected once; each mutant is a fork of that process in which one function's code is replaced.
"""

import argparse
import ast
import copy
import fcntl
import gc
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final

import pytest
from benchmarks.report import made_here

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src" / "watchword"
TABLE: Final = ROOT / "benchmarks" / "results" / "house-mutants.json"
RENAMES: Final = Path(__file__).with_name("house_renames.toml")
AREAS: Final = ("gate", "tokens", "attestation", "enrolment", "plan", "pins")
SEED: Final = 21
KILLED_EACH: Final = 12
"""So many mutants of an area are to be killed if nothing else is asked; those that live on the way stay in the table."""

MOST_LIVING: Final = 10
SLOW_SECONDS: Final = 1.0
FILE_SECONDS: Final = 8.0
"""A test that takes more processor time runs for no mutant, nor do those of a file that are left after so much: the sample is for minutes."""

CPU_SECONDS: Final = 90
"""A mutant that takes more is endless, and counts as killed."""

TIME: Final = "it never ended"
_FLIPPED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_NO_CODE: Final = frozenset({"annotation", "returns", "decorator_list", "type_comment", "args"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """Hold one change.

    :ivar name: qualified name of the function, without its module.
    :ivar statement: first line of the statement that is changed, as Python writes it.
    :ivar before: the node that is changed, as Python writes it, and ``after`` what takes its place.
    :ivar nth: which of those that read alike in this function, from 0.
    :ivar killed_by: the test that notices; :data:`TIME`; None where all pass.
    """

    area: str
    name: str
    operator: str
    statement: str
    before: str
    after: str
    nth: int = 0
    killed_by: str | None = None
    tested: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """Return what it is known by."""
        return (self.area, self.name, self.operator, self.statement, self.before, str(self.nth))


@dataclass(frozen=True)
class Site:
    """Hold where a mutant is in the source of today: the file, the outermost function and its first line.

    :ivar change: puts the other node into the tree, or back; ``tree`` is the module's.
    """

    mutant: Mutant
    file: Path
    function: str
    line: int
    tree: ast.Module = field(repr=False)
    change: Callable[..., None] = field(repr=False)

    def code(self) -> CodeType:
        """Return the code that takes the place of the function's own."""
        self.change(made=True)
        code = _code_of(compile(self.tree, str(self.file), "exec"), self.function, self.line)
        self.change(made=False)
        assert code is not None
        return code


# Which mutants there are


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield each change of a node: its operator, and the node that takes its place."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in _FLIPPED:
            yield "comparison", replaced(node, ops=[_FLIPPED[type(op)]()])
        case ast.BoolOp(op=op):
            other = ast.And() if isinstance(op, ast.Or) else ast.Or()
            yield "and/or", replaced(node, op=other)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "not", operand
        case ast.Constant(value=value) if isinstance(value, int) and not isinstance(value, bool):
            yield "constant", replaced(node, value=value + 1)
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield "return", replaced(node, value=ast.Constant(None))
        case ast.Raise():
            yield "raise", ast.copy_location(ast.Pass(), node)
        case _:
            return


def replaced(node: ast.AST, **members: Any) -> ast.AST:
    """Return a copy of a node with other members."""
    made = copy.copy(node)
    for name, value in members.items():
        setattr(made, name, value)
    return ast.fix_missing_locations(made)


def _functions(tree: ast.AST, path: tuple[str, ...] = ()) -> Iterator[tuple[str, _Function]]:
    """Yield the outermost functions of a module with their qualified names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _Function):
            yield ".".join((*path, node.name)), node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, (*path, node.name))
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _functions(node, path)


def _nodes(function: _Function) -> Iterator[tuple[str, ast.AST, str, Any]]:
    """Yield each node of a function's body with its statement's first line, and where it hangs: member and place."""

    def below(parent: ast.AST, statement: str) -> Iterator[tuple[str, ast.AST, str, Any]]:
        for member, value in ast.iter_fields(parent):
            if member in _NO_CODE and not isinstance(parent, ast.Call):
                continue
            for at, node in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(node, ast.AST):
                    told = _first_line(node) if isinstance(node, ast.stmt) else statement
                    yield told, parent, member, at if isinstance(value, list) else None
                    yield from below(node, told)

    yield from below(function, "")


def _first_line(statement: ast.stmt) -> str:
    return ast.unparse(statement).split("\n")[0]


def _sites(area: str, file: Path) -> Iterator[Site]:
    """Yield every mutant that can be made of a file."""
    tree = ast.parse(file.read_text("utf-8"))
    for name, function in _functions(tree):
        if name.split(".")[-1] in {"__repr__", "__str__"}:
            continue
        first = min([function.lineno, *(each.lineno for each in function.decorator_list)])
        seen: Counter[tuple[str, ...]] = Counter()
        for statement, parent, member, at in list(_nodes(function)):
            value = getattr(parent, member)
            node = value if at is None else value[at]
            for operator, other in list(_changes(node)):
                was, then = ast.unparse(node), ast.unparse(other)
                made = Mutant(area, name, operator, statement, was, then)
                seen[made.key] += 1
                made = replace(made, nth=seen[made.key] - 1)
                change = partial(_change, parent, member, at, node, other)
                yield Site(made, file, name, first, tree, change)


def _change(
    parent: ast.AST, member: str, at: int | None, node: ast.AST, other: ast.AST, *, made: bool
) -> None:
    _put(parent, member, at, other if made else node)


def _put(parent: ast.AST, member: str, at: int | None, node: ast.AST) -> None:
    if at is None:
        setattr(parent, member, node)
    else:
        getattr(parent, member)[at] = node


def _code_of(code: CodeType, name: str, line: int) -> CodeType | None:
    """Return the code of a function, by its qualified name and its first line."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_qualname == name and each.co_firstlineno == line:
                return each
            if (found := _code_of(each, name, line)) is not None:
                return found
    return None


def drawn(area: str) -> list[Site]:
    """Return the mutants of an area in the order in which they are tried: one of each operator after the other."""
    sites = [site for file in sorted((SOURCE / area).rglob("*.py")) for site in _sites(area, file)]
    by_operator: dict[str, list[Site]] = {}
    for site in sorted(sites, key=lambda each: each.mutant.key):
        by_operator.setdefault(site.mutant.operator, []).append(site)
    dice = random.Random(f"{SEED} {area}")
    for group in by_operator.values():
        dice.shuffle(group)
    order: list[Site] = []
    used: set[str] = set()
    while any(by_operator.values()):
        for operator in sorted(by_operator):
            group = by_operator[operator]
            # Of each function one, as long as there are others.
            at = next((i for i, each in enumerate(group) if each.function not in used), 0)
            if group:
                order.append(group.pop(at))
                used.add(order[-1].function)
    return order


# Where a mutant is today


def renamed(mutant: Mutant) -> Mutant:
    """Return a mutant under the names of today."""
    table = tomllib.loads(RENAMES.read_text("utf-8")) if RENAMES.exists() else {}
    texts = {part: getattr(mutant, part) for part in ("name", "statement", "before", "after")}
    for each in table.get("rename", []):
        texts = {part: text.replace(each["was"], each["is"]) for part, text in texts.items()}
    return replace(mutant, **texts)


def found(mutant: Mutant, sites: Sequence[Site]) -> list[Site]:
    """Return where a mutant may be: at its name, else at what its function's own name ends in, else wherever the same text stands.

    More than one only where several functions of one name read alike; none where nothing does.
    """
    wanted = renamed(mutant)
    alike = [
        site
        for site in sites
        if (site.mutant.operator, site.mutant.before) == (wanted.operator, wanted.before)
    ]
    last = wanted.name.split(".")[-1]
    own = [site for site in alike if site.function == wanted.name]
    others = [site for site in alike if site.function.split(".")[-1].strip("_") == last.strip("_")]
    for group in (own, others, alike):
        exact = [site for site in group if site.mutant.statement == wanted.statement]
        numbered = [site for site in exact or group if site.mutant.nth == wanted.nth]
        if candidates := numbered or exact or group:
            return candidates if len(candidates) == 1 or group is not alike or exact else []
    return []


# Running


class Runner:
    """Collect the tests of an area once, and run them in forks of this process; a plugin of pytest."""

    def __init__(self, area: str, *, each: int, again: bool) -> None:
        """Prepare to run the mutants of an area.

        :param each: how many are to be killed.
        :param again: find those of the table, instead of drawing.
        """
        self._area, self._each, self._again = area, each, again
        self._failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the first test that fails."""
        if report.failed and not self._failed:
            self._failed = report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run every mutant instead of the tests."""
        usual = self._forked(session.items, None, stop=False)
        times: dict[str, float] = dict(usual["times"])
        bad = set(usual["failed"])
        # In the second run also those that noticed in the first, however long they take.
        known = {_last(each.killed_by) for each in table(self._area) if self._again}
        items = [
            item
            for item in session.items
            if item.nodeid not in bad
            and (
                times.get(item.nodeid, SLOW_SECONDS + 1) <= SLOW_SECONDS
                or _last(item.nodeid) in known
            )
        ]
        items.sort(key=lambda item: times.get(item.nodeid, SLOW_SECONDS))
        print(
            f"{self._area}: {len(items)} of {len(session.items)} tests, {sum(times.get(i.nodeid, 0.0) for i in items):.0f} s",
            flush=True,
        )
        if self._again:
            self._run_again(items)
        else:
            self._run_first(items)
        return True

    def _run_first(self, items: Sequence[pytest.Item]) -> None:
        known = {each.key: each for each in table(self._area)}
        for site in drawn(self._area):
            done = [each for each in known.values() if each.tested]
            killed = sum(each.killed_by is not None for each in done)
            if killed >= self._each or len(done) - killed >= MOST_LIVING:
                break
            if site.mutant.key in known:
                continue
            if not _loaded(site):
                continue
            tried = self._tried(site, items)
            known[tried.key] = tried
            _store(tried)

    def _run_again(self, items: Sequence[pytest.Item]) -> None:
        sites = [site for file in sorted(SOURCE.rglob("*.py")) for site in _sites(self._area, file)]
        for mutant in table(self._area):
            candidates = [site for site in found(mutant, sites) if _loaded(site)]
            if not candidates:
                _store(replace(mutant, tested=False, killed_by=None), "again")
                print(f"NOT FOUND {mutant.name}: {mutant.before}", flush=True)
                continue
            test = _last(mutant.killed_by)
            first = [item for item in items if _last(item.nodeid) == test]
            order = [*first, *(item for item in items if item not in first)]
            tried = [self._tried(replace(site, mutant=mutant), order) for site in candidates]
            # Where several functions of its name read alike, it is the one that its test knows.
            tried.sort(key=lambda done: _last(done.killed_by) != test)
            _store(tried[0], "again")

    def _tried(self, site: Site, items: Sequence[pytest.Item]) -> Mutant:
        near = [item for item in items if site.file.stem in item.path.stem]
        order = [*near, *(item for item in items if item not in near)] if not self._again else items
        ended = self._forked(order, site, stop=True)
        killed_by = next(iter(ended["failed"]), None)
        done = replace(site.mutant, killed_by=killed_by, tested=True)
        said = f"killed by {killed_by}" if killed_by else "LIVES"
        print(f"{done.area} {done.name}: {done.before} -> {done.after}: {said}", flush=True)
        return done

    def _forked(self, items: Sequence[pytest.Item], site: Site | None, *, stop: bool) -> Any:
        """Run tests in a fork with one function changed; return which failed, and the times."""
        reads, writes = os.pipe()
        sys.stdout.flush()
        number = os.fork()
        if number == 0:
            os.close(reads)
            self._child(items, site, writes, stop=stop)
        os.close(writes)
        with os.fdopen(reads, "rb") as pipe:
            said = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        if said:
            return json.loads(said)
        if status == -signal.SIGXCPU and site is not None:
            return {"failed": [TIME], "times": {}}
        return {"failed": [f"the process ended with {status}"], "times": {}}

    def _child(
        self, items: Sequence[pytest.Item], site: Site | None, pipe: int, *, stop: bool
    ) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        if site is not None:
            used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
            resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, used + CPU_SECONDS + 5))
            code = site.code()
            for function in _loaded(site):
                if len(function.__code__.co_freevars) == len(code.co_freevars):
                    function.__code__ = code
        times: dict[str, float] = {}
        files: dict[str, float] = {}
        failed: list[str] = []
        at = 0
        try:
            for at, item in enumerate(items):
                file = str(item.path)
                if site is None and files.get(file, 0.0) > FILE_SECONDS:
                    continue
                self._failed, began = "", time.process_time()
                following = items[at + 1] if at + 1 < len(items) else None
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                times[item.nodeid] = time.process_time() - began
                files[file] = files.get(file, 0.0) + times[item.nodeid]
                if self._failed:
                    failed.append(self._failed)
                    if stop:
                        break
        except BaseException as error:  # noqa: BLE001 - whatever a mutant does to the run, it was noticed.
            failed.append(f"{type(error).__name__} at {items[at].nodeid}")
        os.write(pipe, json.dumps({"failed": failed, "times": times}).encode())
        os._exit(0)


def _last(test: str | None) -> str:
    """Return the name of a test without its file: files move."""
    return (test or "").rpartition(".py::")[2]


def _loaded(site: Site) -> list[FunctionType]:
    """Return the functions of this process whose code a mutant replaces."""
    return [
        each
        for each in gc.get_objects()
        if type(each) is FunctionType
        and each.__code__.co_qualname == site.function
        and each.__code__.co_firstlineno == site.line
        and each.__code__.co_filename == str(site.file)
    ]


# The table


def _document() -> dict[str, Any]:
    return (
        json.loads(TABLE.read_text("utf-8"))
        if TABLE.exists()
        else {"seed": SEED, "before": [], "again": []}
    )


def table(area: str, column: str = "before") -> list[Mutant]:
    """Return the mutants of an area as they were recorded."""
    return [Mutant(**each) for each in _document()[column] if each["area"] == area]


def _store(mutant: Mutant, column: str = "before") -> None:
    """Put a mutant into the table; several processes may do so."""
    with (Path(tempfile.gettempdir()) / "watchword-house-mutants.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = _document()
        rows = [each for each in document[column] if Mutant(**each).key != mutant.key]
        rows.append(asdict(mutant))
        rows.sort(key=lambda each: AREAS.index(each["area"]))
        document["made"], document[column] = made_here(), rows
        TABLE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _tests(area: str) -> list[str]:
    """Return the directories of an area's tests, in whatever tier they are."""
    return [
        str(each)
        for each in sorted((ROOT / "tests").rglob(area))
        if each.is_dir() and "recorded" not in each.parts
    ]


def summary(column: str) -> int:
    """Print how many were killed in each area; return how many that were killed before aren't any more."""
    lost = 0
    for area in AREAS:
        before = {each.key: each for each in table(area) if each.killed_by}
        rows = table(area, column)
        print(f"{area}: {sum(each.killed_by is not None for each in rows)} of {len(rows)} killed")
        for each in rows:
            if each.key in before and each.killed_by is None:
                lost += 1
                why = "not any more" if each.tested else "not found"
                print(f"  {why}: {each.name}: {each.statement}: {each.before} -> {each.after}")
    return lost


def main(arguments: Mapping[str, Any] | None = None) -> int:
    """Run the mutants of the areas named, each area in a process of its own, or print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("area", nargs="*", choices=[*AREAS, []])
    parser.add_argument(
        "--again", action="store_true", help="those of the table, in the source of today"
    )
    parser.add_argument("--each", type=int, default=KILLED_EACH, help="how many are to be killed")
    parser.add_argument("--show", action="store_true", help="print the table alone")
    given = vars(parser.parse_args()) | dict(arguments or {})
    for area in [] if given["show"] else given["area"] or AREAS:
        number = os.fork()
        if number == 0:
            options = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", "-s"]
            pytest.main(
                [*options, *_tests(area)],
                plugins=[Runner(area, each=given["each"], again=given["again"])],
            )
            os._exit(0)
        os.waitpid(number, 0)
    return 1 if summary("again" if given["again"] else "before") else 0


if __name__ == "__main__":
    sys.exit(main())
