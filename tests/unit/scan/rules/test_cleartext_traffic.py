"""Tests of the rule on cleartext traffic."""

from dataclasses import replace

import pytest
from tests.unit.scan.simulated import manifest, simulated, verdicts

from watchword.scan.app import App, DomainConfig, NetworkConfig
from watchword.scan.interface import Confidence, Severity, Verdict
from watchword.scan.rules.cleartext_traffic import RULE

EXPOSED, PROTECTED = Verdict.EXPOSED, Verdict.PROTECTED


def _app(*, cleartext: bool | None, target: int | None, config: NetworkConfig | None = None) -> App:
    stated = replace(
        manifest(),
        cleartext=cleartext,
        min_sdk=None if target is None else 28,
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
    assert verdicts(RULE, offline) == {"offline": Verdict.INFO}


@pytest.mark.parametrize(
    ("cleartext", "base", "least", "since"),
    [
        (None, None, 28, None),
        (None, None, 27, "Android 9"),
        (False, None, 23, None),
        (False, None, 22, "Android 6"),
        (None, False, 24, None),
        (None, False, 23, "Android 7"),
        (True, False, 23, "Android 7"),
        (False, False, 23, None),
        (False, False, 22, "Android 6"),
    ],
)
def test_phones_that_know_nothing_of_it(
    cleartext: bool | None, base: bool | None, least: int, since: str | None
) -> None:
    """What newer systems refuse, older ones let through where the app admits them: that is open, and nothing is proven."""
    app = _app(
        cleartext=cleartext, target=34, config=None if base is None else _config(base, False)
    )
    assert app.manifest is not None
    found = list(RULE.run(replace(app, manifest=replace(app.manifest, min_sdk=least))))
    clean = next(each for each in found if each.subject == "cleartext")
    assert clean.verdict is PROTECTED
    if since is None:
        assert (len(found), clean.confidence) == (1, Confidence.CERTAIN)
    else:
        (older,) = (each for each in found if each.subject == "older")
        assert (older.verdict, older.severity) == (EXPOSED, Severity.LOW)
        assert since in older.title
        assert clean.confidence is Confidence.POSSIBLE


def test_version_that_nobody_knows() -> None:
    """A code name has no default yet: what isn't stated isn't known, and what is stated counts."""
    app = _app(cleartext=None, target=10_000)
    assert verdicts(RULE, app) == {"cleartext": Verdict.NOT_SEEN}
    assert verdicts(RULE, _app(cleartext=False, target=10_000)) == {"cleartext": PROTECTED}


def test_config_that_was_not_read() -> None:
    """A config that is named and wasn't read may permit anything."""
    stated = replace(manifest(), network_config="res/xml/net.xml")
    assert verdicts(RULE, simulated(manifest=stated)) == {"network-config": Verdict.NOT_SEEN}
