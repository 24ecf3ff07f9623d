"""Read ``policy:`` from YAML: what is understood, and how each fault is told."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.apps.test_settings import faults_of, write
from tests.unit.policy.genuine import ANDROID_APP, PLAY, TODAY

from watchword.apps.cli.main import cli
from watchword.apps.deployment import enrolment_policy
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.policy import may_be_bare, read_policy, summary, write_policy
from watchword.apps.settings.template import TEMPLATE
from watchword.policy.interface import (
    AllOf,
    AnyOf,
    Claim,
    Expression,
    Policy,
    Rule,
    Signals,
    parameters_of,
)
from watchword.policy.registry import BALANCED, INCLUSIVE, PRESETS, RECORDED, RULES, STRICT, name_of
from watchword.policy.rules.apple_system import AppleSystem
from watchword.policy.rules.device_velocity import DeviceVelocity
from watchword.policy.rules.licensing import Licensing
from watchword.policy.rules.patch_level import PatchLevel
from watchword.policy.rules.provisioning import RemoteProvisioning
from watchword.policy.rules.risk_metric import RiskMetric
from watchword.policy.rules.serial_fan_out import SerialFanOut
from watchword.policy.rules.verified_boot import VerifiedBoot
from watchword.policy.service import appraise_unverified
from watchword.vocabulary import Level

ROOT = Path(__file__).parents[3]
H, V, S = Level.HARDWARE, Level.VERIFIED, Level.SOFTWARE


def read(data: Any) -> Policy:
    """Return a policy that has no faults."""
    policy, faults = read_policy(data)
    assert faults == []
    assert policy is not None
    return policy


def faults(data: Any) -> dict[tuple[str | int, ...], tuple[str, str]]:
    """Return the faults of a policy by place."""
    policy, found = read_policy(data)
    assert policy is None
    assert found
    return {path: (got, expected) for path, got, expected in found}


def rules_of(policy: Policy, level: Level) -> dict[str, Rule]:
    """Return the rules of a level that is a plain ``all``; signals under that name."""
    rule = policy.levels[level]
    assert isinstance(rule, AllOf)
    # The presets have other signals beside it, which stays.
    rules = [each for each in rule.rules if each != Signals((SerialFanOut(most=1000),))]
    return {"signals" if isinstance(each, Signals) else name_of(each): each for each in rules}


@pytest.mark.parametrize("name", PRESETS)
def test_preset_by_its_name(name: str) -> None:
    """By itself or as a base with nothing changed, it is the ready-made one."""
    assert read(name) is PRESETS[name]
    assert read({"base": name}) == PRESETS[name]


def test_settings_hold_the_policy_and_enrolment_its_lowest_level(tmp_path: Path) -> None:
    """Left out, balanced; the deployment's minimum is what the policy grants at least."""
    settings = load_settings(write(tmp_path, TEMPLATE))
    assert settings.policy is BALANCED
    assert enrolment_policy(settings).minimum_level is V
    strict = load_settings(write(tmp_path, TEMPLATE + "policy: strict\n"))
    assert strict.policy is STRICT
    assert enrolment_policy(strict).minimum_level is H


def test_faults_have_their_lines(tmp_path: Path) -> None:
    """Like those of any other section, and beside them."""
    text = TEMPLATE.replace("mode: enforce", "mode: enforced") + (
        "policy:\n"
        "  base: balanced\n"
        "  levels:\n"
        "    hardware:\n"
        "      with:\n"
        "        - patch_level: {sistem: 6}\n"
        "        - key_orign\n"
    )
    start = TEMPLATE.count("\n")
    found = faults_of(write(tmp_path, text))
    assert found["policy.levels.hardware.with[0].patch_level.sistem"] == (
        start + 6,
        "an unknown parameter",
        "'system'? Known: system, vendor, boot",
    )
    line, got, expected = found["policy.levels.hardware.with[1]"]
    assert (line, got) == (start + 7, "an unknown rule 'key_orign'")
    assert expected.startswith("'key_origin'?")
    assert "apis.clinic.routes[1].mode" in found


def test_route_that_nobody_could_pass_is_a_fault(tmp_path: Path) -> None:
    """A level that the policy grants to nobody is no level to ask for."""
    levels = (
        "policy: {base: balanced, levels: {hardware: off}, unchecked: [receipt, risk_metric]}\n"
    )
    found = faults_of(write(tmp_path, TEMPLATE + levels))
    assert found["apis.clinic.routes[1].level"][1:] == (
        "'hardware', which the policy grants to nobody",
        "at most verified, or a policy that grants it",
    )


# Changes


def test_with_replaces_a_rule_in_every_level_that_has_it() -> None:
    """Other parameters, and nothing else."""
    policy = read({"base": "inclusive", "with": [{"device_velocity": {"most": 2}}]})
    assert [path for path, rule in walk(policy) if rule == DeviceVelocity(most=2)] == [
        path for path, rule in walk(INCLUSIVE) if isinstance(rule, DeviceVelocity)
    ]
    assert len(list(walk(policy))) == len(list(walk(INCLUSIVE)))
    assert policy.name == "inclusive, changed"


def walk(policy: Policy) -> list[tuple[str, Rule]]:
    """Return each rule of a policy with its place."""

    def inside(rule: Rule, path: str) -> list[tuple[str, Rule]]:
        if not isinstance(rule, Expression):
            return [(path, rule)]
        return [
            found
            for index, each in enumerate(rule.rules)
            for found in inside(each, f"{path}.{index}")
        ]

    return [found for level, rule in policy.levels.items() for found in inside(rule, level.value)]


def test_with_at_a_level_replaces_or_adds() -> None:
    """The other levels stay as they are."""
    change = {"with": [{"patch_level": {"system": 6}}, "remote_provisioning"]}
    policy = read({"levels": {"hardware": change}})
    rules = rules_of(policy, H)
    assert rules["patch_level"] == PatchLevel(system=6)
    assert rules["remote_provisioning"] == RemoteProvisioning()
    assert list(rules)[:-1] == list(rules_of(BALANCED, H))
    assert policy.levels[V] == BALANCED.levels[V]
    # At the other levels it is still left out, where evidence states it.
    assert {Claim.PROVISIONING, Claim.LICENSING} <= policy.unchecked


def test_a_rule_at_one_level_raises_no_alarm_at_another() -> None:
    """Evidence that states what only a lower level looks at still reaches the higher one."""
    policy = read({"base": "inclusive", "levels": {"software": {"with": ["licensing"]}}})
    verdict = appraise_unverified(PLAY, ANDROID_APP, policy, TODAY)
    assert (verdict.level, verdict.refusals) == (V, ())


def test_with_at_a_level_of_alternatives_stands_beside_them() -> None:
    """It must hold whichever alternative does."""
    policy = read({"base": "inclusive", "levels": {"software": {"with": ["licensing"]}}})
    assert policy.levels[S] == AllOf((INCLUSIVE.levels[S], Licensing()))
    choice = {"any": ["licensing", "remote_provisioning"]}
    either = read({"levels": {"hardware": {"with": [choice]}}})
    base = BALANCED.levels[H]
    assert isinstance(base, AllOf)
    assert either.levels[H] == AllOf((*base.rules, AnyOf((Licensing(), RemoteProvisioning()))))


def test_without_takes_a_rule_out_and_must_say_so() -> None:
    """A claim that loses its rule is named under unchecked, or is a fault that says how."""
    assert faults({"without": ["receipt"]}) == {
        ("policy",): (
            "no rule that looks at receipt",
            "a rule, or on purpose: unchecked: [receipt]",
        )
    }
    policy = read({"without": ["receipt"], "unchecked": ["receipt"]})
    assert "receipt" not in rules_of(policy, H)
    assert Claim.RECEIPT in policy.unchecked
    at_level: dict[str, Any] = {"levels": {"hardware": {"without": ["device_velocity"]}}}
    # That another level has the rule says nothing of this one.
    assert set(faults(at_level)) == {("policy",)}
    at_level["unchecked"] = ["device_velocity"]
    assert "device_velocity" in rules_of(read(at_level), V)
    assert "device_velocity" not in rules_of(read(at_level), H)


def test_level_that_is_off_or_anew() -> None:
    """Off needs no word on its claims: no evidence of that kind is granted anything."""
    policy = read({"levels": {"verified": "off", "software": {"all": ["app_identity"]}}})
    assert set(policy.levels) == {H, S}
    nothing = read({"base": "none", "levels": {"hardware": {"all": ["key_origin"]}}})
    assert (nothing.name, set(nothing.levels), nothing.unchecked) == ("own", {H}, frozenset())


def test_durations_and_names() -> None:
    """Renewals without an attested key, and what the policy is called."""
    policy = read({"renew_by_key_for": "7d", "name": "clinic"})
    assert (policy.renew_by_key_for, policy.name) == (timedelta(days=7), "clinic")


def test_boot_keys_in_any_usual_spelling() -> None:
    """Colons and capitals are how tools print them."""
    spelled = ":".join(["AB"] * 32)
    policy = read({"with": [{"verified_boot": {"boot_keys": [spelled]}}]})
    assert rules_of(policy, H)["verified_boot"] == VerifiedBoot(frozenset({b"\xab" * 32}))


# Faults


@pytest.mark.parametrize(
    ("data", "place", "got", "expected"),
    [
        ("balansed", (), "'balansed'", "'balanced'? Known: strict, balanced, inclusive"),
        (7, (), "7", "a mapping, or one of"),
        ([], (), "a list", "a mapping, or one of"),
        ({"bas": "strict"}, ("bas",), "an unknown key", "'base'?"),
        ({"base": "strickt"}, ("base",), "'strickt'", "'strict'?"),
        ({"base": ["strict"]}, ("base",), "a list", "strict, balanced, inclusive, none"),
        ({"with": "x"}, ("with",), "'x'", "a list of rules"),
        ({"with": []}, ("with",), "an empty list", "a list of rules"),
        ({"with": [7]}, ("with", 0), "7", "the name of a rule"),
        ({"with": [{}]}, ("with", 0), "0 keys", "the name of a rule"),
        ({"with": ["licensing"]}, ("with", 0), "'licensing'", "new rules stand at a level"),
        (
            {"with": [{"any": ["receipt"]}]},
            ("with", 0),
            "all, any or signals",
            "these stand under levels",
        ),
        ({"with": ["risk_metric"]}, ("with", 0), "risk_metric without most", "most: most attest"),
        (
            {"with": [{"risk_metric": {"most": 0}}]},
            ("with", 0, "risk_metric", "most"),
            "0",
            "a whole number, 1 to",
        ),
        (
            {"with": [{"risk_metric": {"most": True}}]},
            ("with", 0, "risk_metric", "most"),
            "true",
            "a whole number",
        ),
        (
            {"with": [{"risk_metric": {"most": None}}]},
            ("with", 0, "risk_metric", "most"),
            "nothing",
            "a whole number",
        ),
        ({"with": [{"risk_metric": 5}]}, ("with", 0, "risk_metric"), "5", "its parameters: most"),
        ({"with": [{"key_origin": [1]}]}, ("with", 0, "key_origin"), "a list", "there are none"),
        (
            {"with": [{"key_origin": {"x": 1}}]},
            ("with", 0, "key_origin", "x"),
            "an unknown parameter",
            "no parameters",
        ),
        (
            {"with": [{"receipt": {"needed": "no"}}]},
            ("with", 0, "receipt", "needed"),
            "'no'",
            "true or false",
        ),
        (
            {"with": [{"device_integrity": {"all_of": "MEETS_STRONG_INTEGRITY"}}]},
            ("with", 0, "device_integrity", "all_of"),
            "'MEETS_STRONG_INTEGRITY'",
            "a list",
        ),
        (
            {"with": [{"device_integrity": {"all_of": ["MEETS_STRONG_INTEGRTY"]}}]},
            ("with", 0, "device_integrity", "all_of", 0),
            "'MEETS_STRONG_INTEGRTY'",
            "'MEETS_STRONG_INTEGRITY'?",
        ),
        (
            {"with": [{"device_integrity": {"all_of": []}}]},
            ("with", 0, "device_integrity"),
            "parameters that don't go together",
            "expected at least one label",
        ),
        (
            {"with": [{"verified_boot": {"boot_keys": ["ab"]}}]},
            ("with", 0, "verified_boot", "boot_keys", 0),
            "'ab'",
            "32 bytes as 64 hex digits",
        ),
        ({"without": "receipt"}, ("without",), "'receipt'", "a list of names"),
        ({"without": ["reciept"]}, ("without", 0), "'reciept'", "'receipt'?"),
        ({"levels": []}, ("levels",), "a list", "a mapping of hardware, verified, software"),
        ({"levels": {"none": "off"}}, ("levels", "none"), "an unknown level", "one of hardware"),
        ({"levels": {"hardware": "on"}}, ("levels", "hardware"), "'on'", "or off"),
        ({"levels": {"hardware": {}}}, ("levels", "hardware"), "nothing", "or off"),
        (
            {"levels": {"hardware": {"al": []}}},
            ("levels", "hardware", "al"),
            "an unknown key",
            "'all'?",
        ),
        (
            {"levels": {"hardware": {"all": ["key_origin"], "with": ["receipt"]}}},
            ("levels", "hardware"),
            "2 keys",
            "all or any alone",
        ),
        (
            {"levels": {"software": {"with": ["receipt"]}}},
            ("levels", "software"),
            "with or without",
            "since balanced doesn't grant this level",
        ),
        (
            {"levels": {"hardware": {"without": ["licensing"]}}},
            ("levels", "hardware", "without", 0),
            "'licensing'",
            "one of app_identity",
        ),
        (
            {
                "levels": {
                    "hardware": {"all": [{"any": [{"all": [{"signals": [{"any": ["receipt"]}]}]}]}]}
                }
            },
            ("levels", "hardware", "all", 0, "any", 0, "all", 0, "signals", 0, "any"),
            "deeper nesting",
            "at most 4",
        ),
        ({"unchecked": "receipt"}, ("unchecked",), "'receipt'", "a list of claims"),
        ({"unchecked": ["boot_"]}, ("unchecked", 0), "'boot_'", "'boot'?"),
        ({"unchecked": [["boot"]]}, ("unchecked", 0), "a list", "app_id, signing_digests"),
        ({"unchecked": ["boot"]}, ("unchecked", 0), "'boot', which a rule", "no rule looks at"),
        ({"renew_by_key_for": "1 day"}, ("renew_by_key_for",), "'1 day'", "a duration such as"),
        ({"renew_by_key_for": 3600}, ("renew_by_key_for",), "3600", "a duration such as"),
        ({"name": "a\x1bb"}, ("name",), "'a\\x1bb'", "a name of at most"),
        ({"base": "none"}, (), "no level that is granted", "at least one under levels"),
        (
            {
                "base": "none",
                "levels": {"hardware": {"all": ["receipt"]}},
                "without": ["receipt"],
            },
            ("without", 0),
            "the last rule",
            "one rule to stay at level hardware",
        ),
    ],
)
def test_fault(data: Any, place: tuple[str | int, ...], got: str, expected: str) -> None:
    """Where it is, what was got, and what was expected, the nearest known name first."""
    found = faults(data)
    assert list(found) == [("policy", *place)]
    told_got, told_expected = found["policy", *place]
    assert got in told_got
    assert expected in told_expected


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([*RULES, *Claim, "all", "any", "off", "none", "balanced", "x", ""])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*RULES, "all", "any", "most", "system", "with", "without", "hardware"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(
    json_values
    | st.dictionaries(
        st.sampled_from(
            ["base", "with", "without", "levels", "unchecked", "renew_by_key_for", "x"]
        ),
        json_values,
        max_size=4,
    )
)
def test_any_value_is_a_policy_or_has_faults(data: Any) -> None:
    """Nothing that YAML can hold makes the reader raise."""
    policy, found = read_policy(data)
    assert (policy is None) is bool(found)
    if policy is not None:
        assert read(write_policy(policy)) == policy


@pytest.mark.parametrize("policy", [*PRESETS.values(), RECORDED], ids=lambda policy: policy.name)
def test_policy_is_written_as_it_is_read(policy: Policy) -> None:
    """Written in full, through JSON, it comes back the same; so records can hold it."""
    assert read(json.loads(json.dumps(write_policy(policy)))) == policy


def test_own_rules_cant_be_written() -> None:
    """A rule that isn't in the registry has no name for others to read."""

    class Own(PatchLevel):
        """Stand for somebody's own rule."""

    with pytest.raises(KeyError):
        write_policy(Policy("p", {H: AllOf((Own(),))}))


# For people and editors


def test_schema_knows_every_rule_and_parameter() -> None:
    """The JSON Schema offers what the reader reads: names, parameters, words, the three policies."""
    printed = CliRunner().invoke(cli, ["schema", "--json"])
    schema = json.loads(printed.stdout)
    policy = schema["properties"]["policy"]
    assert policy["anyOf"][0] == {"enum": list(PRESETS)}
    assert set(policy["anyOf"][1]["properties"]) == {
        "name",
        "base",
        "with",
        "without",
        "levels",
        "unchecked",
        "renew_by_key_for",
    }
    bare, *forms = schema["$defs"]["PolicyRule"]["anyOf"]
    assert bare["enum"] == [name for name in RULES if may_be_bare(name)]
    named = {next(iter(form["properties"])): form for form in forms}
    assert list(named) == [*RULES, "all", "any", "signals"]
    most = named["risk_metric"]["properties"]["risk_metric"]
    assert most["required"] == ["most"]
    assert most["properties"]["most"]["minimum"] == 1
    for reference in re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(schema)):
        assert reference in schema["$defs"]


def test_every_rule_says_what_it_requires() -> None:
    """One sentence each, for `policy show` and for editors."""
    for rule in RULES.values():
        assert re.match(r"(Require|Refuse|Tell),? .*\.$", summary(rule)), rule
        assert len(summary(rule)) < 120


def yaml_blocks(kind: str) -> list[str]:
    """Return the examples of docs/policy.md that begin with a key."""
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return [block for block in blocks if block.startswith(kind)]


@pytest.mark.parametrize("block", yaml_blocks("policy:"))
def test_examples_of_the_page_are_read(tmp_path: Path, block: str) -> None:
    """Each can be pasted below a whole file."""
    settings = load_settings(write(tmp_path, TEMPLATE + block))
    assert settings.policy.levels
    assert len(yaml_blocks("policy:")) >= 6


def test_page_names_every_rule_parameter_and_key() -> None:
    """What can be written stands in the page."""
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    table = text.split("## The rules")[1].split("\n## ")[0]
    for name, rule in RULES.items():
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{name}` |")]
        missing = [each for each in parameters_of(rule) if each not in row]
        assert missing == []


def test_deepest_policy_fits_into_the_file(tmp_path: Path) -> None:
    """What may be nested at most can also be written: four expressions, and a list of keys inside."""
    keys = {"verified_boot": {"boot_keys": ["ab" * 32]}}
    nested = {"any": [{"all": [{"signals": [keys]}]}]}
    for policy in (
        {"base": "none", "levels": {"hardware": {"all": ["app_identity", nested]}}},
        {"base": "balanced", "levels": {"hardware": {"with": [nested]}}},
    ):
        text = TEMPLATE + f"policy: {json.dumps(policy)}\n"
        rules = load_settings(write(tmp_path, text)).policy.levels[H]
        assert isinstance(rules, AllOf)
        boot = VerifiedBoot(frozenset({b"\xab" * 32}))
        assert rules.rules[-1] == AnyOf((AllOf((Signals((boot,)),)),))


def test_signals_are_written_where_rules_stand() -> None:
    """A rule's name changes it there; taken out and put beside the others it refuses alone."""
    lower = read({"with": [{"risk_metric": {"most": 7}}]})
    assert rules_of(lower, H)["signals"] == Signals((RiskMetric(most=7),))
    alone = {"without": ["risk_metric"], "with": [{"risk_metric": {"most": 7}}]}
    refusing = rules_of(read({"levels": {"hardware": alone}}), H)
    assert refusing["risk_metric"] == RiskMetric(most=7)
    assert "signals" not in refusing
    both = {"signals": [{"risk_metric": {"most": 7}}, {"apple_system": {"least": "26.1"}}]}
    told = rules_of(read({"levels": {"hardware": {"without": ["risk_metric"], "with": [both]}}}), H)
    assert told["signals"] == Signals((RiskMetric(most=7), AppleSystem(least="26.1")))
    assert read(write_policy(BALANCED)).levels == BALANCED.levels


@pytest.mark.parametrize("signals", [{"signals": ["risk_metric"]}, {"signals": []}])
def test_signals_grant_no_level(signals: dict[str, Any]) -> None:
    """What refuses nobody would let everybody in."""
    assert faults({"base": "none", "levels": {"hardware": signals}})
