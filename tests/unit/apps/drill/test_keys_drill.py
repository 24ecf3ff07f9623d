"""Drill a real deployment that injects and delivers keys, over sockets of this machine."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.unit.apps.drill.keys_stage import ABOUT_KEYS, MAPS_KEY, KeysStage, add_values, keys_stage

from watchword.apps.service.client import OperatorClient
from watchword.drill.interface import Attack
from watchword.drill.judgements import Report, Verdict
from watchword.drill.registry import ATTACKS
from watchword.observations import State

PROVEN = {
    "PR-B04": "live:secrets.delivered",
    "PR-B05": "live:keys.max_age_days",
    "PR-B06": "live:broker.lent",
    "PR-B23": "live:decoy.hits",
}


def drilled(
    directory: Path, *attacks: str, mutate: Callable[[KeysStage], None] = lambda _: None
) -> tuple[Report, KeysStage]:
    """Run a deployment, hand it the keys, and attack it; return the report and what there was.

    :param mutate: changes something beforehand.
    """

    async def run() -> tuple[Report, KeysStage]:
        async with keys_stage(directory) as stage:
            mutate(stage)
            await asyncio.to_thread(add_values, stage.settings.service.operator_socket)
            report = await asyncio.to_thread(stage.drilled, attacks or ABOUT_KEYS)
            with OperatorClient(stage.settings.service.operator_socket) as operator:
                left = await asyncio.to_thread(operator.get, "/v1/canaries")
            assert [each["name"] for each in left["canaries"]] == ["old-key"]
            return report, stage

    return asyncio.run(run())


def test_all_attacks_on_keys_are_about_one_of_these_protections() -> None:
    """What a drill of them proves, and under which key."""
    found = {
        protection: key
        for name in ABOUT_KEYS
        for protection, key in ATTACKS[name].protections.items()
    }
    assert found == {**PROVEN, "PR-B11": "live:gateway.limits"}
    others: list[Attack] = [each for name, each in ATTACKS.items() if name not in ABOUT_KEYS]
    assert not {name for each in others for name in each.protections} & set(PROVEN)


def test_a_deployment_that_keeps_keys_stops_every_attack(tmp_path: Path) -> None:
    """Each variant runs, nothing is served but the genuine app, and no canary of the run stays."""
    report, stage = drilled(tmp_path)
    ended = {
        (each.attack.id, variant.name): (variant.verdict, variant.got)
        for each in report.results
        for variant in each.variants
    }
    assert {name: got for name, got in ended.items() if got[0] is not Verdict.STOPPED} == {}
    assert report.genuine.served == report.genuine.sent > 0
    proven = {each.protection for each in report.findings if each.state is State.PROVEN}
    assert proven == set(PROVEN)
    assert stage.third.refused == 0
    assert {method for method, _, _ in stage.third.asked} == {"GET"}


def test_a_key_that_is_still_in_the_app_breaks_the_proof(tmp_path: Path) -> None:
    """The app of the samples sends the very key that the gate injects: it was never taken out."""

    def mutate(stage: KeysStage) -> None:
        drill = stage.settings.drill["clinic"]
        drill = replace(drill, headers={**drill.headers, "x-old-maps-key": MAPS_KEY})
        stage.settings = replace(stage.settings, drill={"clinic": drill})

    report, _ = drilled(tmp_path, "key-from-package", mutate=mutate)
    (found,) = report.findings
    assert (found.protection, found.state) == ("PR-B06", State.BROKEN)


def test_a_third_party_that_tells_its_key_isn_t_heard(tmp_path: Path) -> None:
    """Its answer is withheld: no key comes back, and a breakdown proves nothing."""

    def mutate(stage: KeysStage) -> None:
        stage.third.talkative = True

    report, _ = drilled(tmp_path, "lent-key-on-the-wire", mutate=mutate)
    (result,) = report.results
    verdicts = {each.name: each.verdict for each in result.variants}
    assert verdicts.pop("talkative") is Verdict.UNSURE
    assert set(verdicts.values()) == {Verdict.STOPPED}
