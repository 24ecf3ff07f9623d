"""Tests of the rule on cleartext traffic."""

from dataclasses import replace

import pytest
from tests.scan.simulated import manifest, simulated, verdicts

from watchword.scan.app import App, DomainConfig, NetworkConfig
from watchword.scan.interface import Verdict
from watchword.scan.rules.cleartext_traffic import RULE

EXPOSED, PROTECTED = Verdict.EXPOSED, Verdict.PROTECTED


def _app(*, cleartext: bool | None, target: int | None, config: NetworkConfig | None = None) -> App:
    stated = replace(
        manifest(),
        cleartext=cleartext,
        target_sdk=target,
        network_config=config.file if config is not None else None,
    )
    return simulated(manifest=stated, network=config)


def _config(base: bool | None, domain: bool | None = None) -> NetworkConfig:
    return NetworkConfig(
        "res/xml/net.xml",
        DomainConfig((), base, user_anchors=False, pin_set=None),
        (DomainConfig((("api.example.test", True),), domain, user_anchors=False, pin_set=None),),
    )


@pytest.mark.parametrize(
    ("cleartext", "target", "expected"),
    [
        (True, 34, {"manifest": EXPOSED}),
        (False, 27, {"cleartext": PROTECTED}),
        (None, 27, {"default": EXPOSED}),
        (None, 28, {"cleartext": PROTECTED}),
        (None, None, {"default": EXPOSED}),
    ],
)
def test_manifest(cleartext: bool | None, target: int | None, expected: dict[str, Verdict]) -> None:
    """The flag decides, and where it isn't stated the targetSdk."""
    assert verdicts(RULE, _app(cleartext=cleartext, target=target)) == expected


@pytest.mark.parametrize(
    ("base", "domain", "target", "expected"),
    [
        (False, None, 27, {"cleartext": PROTECTED}),
        (True, None, 34, {"base-config": EXPOSED}),
        (None, None, 27, {"base-config": EXPOSED}),
        (None, None, 28, {"cleartext": PROTECTED}),
        (False, True, 34, {"api.example.test": EXPOSED}),
    ],
)
def test_config(
    base: bool | None, domain: bool | None, target: int, expected: dict[str, Verdict]
) -> None:
    """A network security config takes the place of the flag, host by host."""
    app = _app(cleartext=True, target=target, config=_config(base, domain))
    assert verdicts(RULE, app) == expected


def test_app_without_the_network() -> None:
    """What asks for no permission to use the network speaks no cleartext, whatever is permitted."""
    app = _app(cleartext=True, target=34)
    assert app.manifest is not None
    offline = replace(app, manifest=replace(app.manifest, permissions=()))
    assert verdicts(RULE, offline) == {"offline": Verdict.TOLD}


@pytest.mark.parametrize(
    ("cleartext", "least", "told"), [(None, 21, True), (None, 28, False), (False, 21, False)]
)
def test_since_when_it_is_refused(cleartext: bool | None, least: int, told: bool) -> None:
    """The default of newer systems says nothing of older ones, which the app lets in too."""
    app = _app(cleartext=cleartext, target=34)
    assert app.manifest is not None
    (found,) = RULE.look(replace(app, manifest=replace(app.manifest, min_sdk=least)))
    assert found.verdict is PROTECTED
    assert ("Android 9" in found.title) is told


def test_config_that_was_not_read() -> None:
    """A config that is named and wasn't read may permit anything."""
    stated = replace(manifest(), network_config="res/xml/net.xml")
    assert verdicts(RULE, simulated(manifest=stated)) == {"network-config": Verdict.NOT_SEEN}
