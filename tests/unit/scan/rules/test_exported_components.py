"""Tests of the rule on components that stand open."""

from dataclasses import replace

import pytest
from tests.unit.scan.simulated import PACKAGE, manifest, simulated, verdicts

from watchword.scan.app import Component, IntentFilter
from watchword.scan.interface import Verdict
from watchword.scan.rules.exported_components import RULE

NAME = f"{PACKAGE}.Inner"
GO = IntentFilter((f"{PACKAGE}.GO",), (), ())
CLEAN = {"exported": Verdict.PROTECTED}


def _found(
    kind: str = "activity",
    *,
    name: str = NAME,
    exported: bool = True,
    permission: str | None = None,
    filters: tuple[IntentFilter, ...] = (),
) -> dict[str, Verdict]:
    one = Component(kind, name, exported, stated=False, permission=permission, filters=filters)
    return verdicts(RULE, simulated(manifest=manifest(one)))


def test_open_to_everybody() -> None:
    """Each kind of component that is exported without a permission is exposed, by its name."""
    for kind in ("activity", "activity-alias", "service", "receiver", "provider"):
        assert _found(kind) == {NAME: Verdict.EXPOSED}


def test_closed() -> None:
    """What isn't exported or wants a permission is closed; the launcher is the app's entrance."""
    assert _found(exported=False) == CLEAN
    assert _found(permission=f"{PACKAGE}.permission.INNER") == CLEAN
    assert verdicts(RULE, simulated()) == CLEAN


def test_links_and_libraries_are_told() -> None:
    """An activity for links and a library's component are told and don't count; a service for links isn't such."""
    links = IntentFilter(
        ("android.intent.action.VIEW",), ("android.intent.category.BROWSABLE",), ("https://a.test",)
    )
    assert _found(filters=(links,)) == {NAME: Verdict.INFO, **CLEAN}
    assert _found("service", filters=(links,)) == {NAME: Verdict.EXPOSED}
    library = "androidx.biometric.DeviceCredentialHandlerActivity"
    assert _found(name=library) == {library: Verdict.INFO, **CLEAN}


@pytest.mark.parametrize(
    ("kind", "filters", "least", "target", "expected"),
    [
        ("provider", (), 17, 17, CLEAN),
        ("provider", (), 16, 17, {f"{NAME}:older": Verdict.EXPOSED, **CLEAN}),
        ("provider", (), 17, 16, {NAME: Verdict.EXPOSED}),
        ("provider", (), 21, 10_000, {NAME: Verdict.NOT_SEEN}),
        ("service", (GO,), 21, 10_000, {NAME: Verdict.NOT_SEEN}),
        ("service", (), 21, 10_000, CLEAN),
    ],
)
def test_what_the_system_implies(
    kind: str,
    filters: tuple[IntentFilter, ...],
    least: int,
    target: int,
    expected: dict[str, Verdict],
) -> None:
    """What isn't stated depends on what is targeted and on the phone; a provider is closed from both versions on."""
    one = Component(kind, NAME, exported=False, stated=False, permission=None, filters=filters)
    stated = replace(manifest(one), min_sdk=least, target_sdk=target)
    assert verdicts(RULE, simulated(manifest=stated)) == expected
