"""See to it that every engine of the store runs every test of its contract."""

import ast
import pkgutil
from collections import Counter
from pathlib import Path

from tests import store_contract

TESTS = Path(__file__).parents[2]
ENGINES = (
    TESTS / "unit/adapters/test_store_contract.py",
    TESTS / "system/adapters/postgres/test_store_contract.py",
    TESTS / "system/adapters/postgres/test_pooled_store_contract.py",
)


def test_each_engine_runs_the_whole_contract() -> None:
    """Each module of it is taken in whole, no test hides another one of its name, and no engine has some of its own."""
    modules = {each.name for each in pkgutil.iter_modules(store_contract.__path__)}
    names: Counter[str] = Counter()
    for module in modules:
        tree = ast.parse((TESTS / "store_contract" / f"{module}.py").read_text(encoding="utf-8"))
        names.update(
            each.name
            for each in tree.body
            if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
        )
    assert [name for name, times in names.items() if times > 1] == []
    assert len(names) > 50
    for engine in ENGINES:
        tree = ast.parse(engine.read_text(encoding="utf-8"))
        taken = {
            each.module.rpartition(".")[2]
            for each in tree.body
            if isinstance(each, ast.ImportFrom)
            and each.module is not None
            and [name.name for name in each.names] == ["*"]
        }
        assert taken == modules - {"entries"}
        own = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
        assert [each.name for each in own if each.name.startswith("test_")] == []
