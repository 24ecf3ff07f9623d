"""Tests of the rule on links."""

from dataclasses import replace

import pytest
from tests.unit.scan.simulated import PACKAGE, manifest, simulated, verdicts

from watchword.scan.app import Component, IntentFilter
from watchword.scan.interface import Confidence, Verdict
from watchword.scan.rules.deep_links import RULE

VIEW = ("android.intent.action.VIEW",)
BROWSABLE = ("android.intent.category.BROWSABLE",)


def _found(link: str, *, verified: bool = False, name: str = "Screen") -> dict[str, Verdict]:
    links = IntentFilter(VIEW, BROWSABLE, (link,), verified=verified)
    one = Component(
        "activity",
        f"{PACKAGE}.{name}",
        exported=True,
        stated=True,
        permission=None,
        filters=(links,),
    )
    return verdicts(RULE, simulated(manifest=manifest(one)))


@pytest.mark.parametrize(
    ("link", "verified", "expected"),
    [
        ("shop://oauth/callback", False, Verdict.EXPOSED),
        ("shop://authorize", False, Verdict.EXPOSED),
        ("shop://authors", False, Verdict.INFO),
        ("shop://item", False, Verdict.INFO),
        ("https://shop.example/oauth", True, Verdict.PROTECTED),
        ("https://shop.example/oauth", False, Verdict.INFO),
        ("https://shop.example/item", True, Verdict.INFO),
    ],
)
def test_link(link: str, verified: bool, expected: Verdict) -> None:
    """A sign-in's answer by a scheme of one's own is exposed, by a verified link protected; others are told."""
    found = _found(link, verified=verified)
    assert list(found.values()) == [expected]
    if expected is not Verdict.INFO:
        assert list(found) == [link]


def test_answer_by_the_name_of_its_screen() -> None:
    """The screen's name tells of a sign-in too."""
    assert _found("shop://x", name="RedirectUriReceiverActivity") == {"shop://x": Verdict.EXPOSED}


def test_no_link() -> None:
    """An app without links is neither good nor bad."""
    assert verdicts(RULE, simulated()) == {"links": Verdict.INFO}
    assert _found("content://x") == {"links": Verdict.INFO}


def test_many_links_of_one_screen() -> None:
    """Links of one scheme that open one screen are told as one, verified ones apart."""
    name = f"{PACKAGE}.Screen"
    plain = IntentFilter(VIEW, BROWSABLE, ("https://a.test/1", "https://a.test/2"))
    verified = IntentFilter(VIEW, BROWSABLE, ("https://b.test",), verified=True)
    one = Component(
        "activity", name, exported=True, stated=True, permission=None, filters=(plain, verified)
    )
    found = {each.subject: each for each in RULE.run(simulated(manifest=manifest(one)))}
    assert found.keys() == {f"{name}:https", f"{name}:https:verified"}
    assert "and 1 more" in found[f"{name}:https"].title


@pytest.mark.parametrize(("least", "older"), [(23, False), (22, True)])
def test_links_of_phones_that_verify_none(least: int, older: bool) -> None:
    """Before Android 6 nobody asks the site, so that a verified link proves nothing where the app runs on such phones."""
    links = IntentFilter(VIEW, BROWSABLE, ("https://id.example.test/callback",), verified=True)
    one = Component(
        "activity",
        f"{PACKAGE}.Screen",
        exported=True,
        stated=True,
        permission=None,
        filters=(links,),
    )
    app = simulated(manifest=replace(manifest(one), min_sdk=least))
    found = {each.subject: each for each in RULE.run(app)}
    assert ("older" in found) is older
    sure = found["https://id.example.test/callback"].confidence
    assert sure is (Confidence.POSSIBLE if older else Confidence.LIKELY)
