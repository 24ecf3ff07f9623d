"""Show that the corpus is whole, that its recipes mutate what they say, and that its judge can fail."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from scripts.conformance_corpus import FOLDER, corpus_text, schema_text
from tests.unit.conformance.enforcement_points import ENFORCEMENT_POINTS

from watchword.adapters.system import SystemEntropy
from watchword.engines.interface import Divergence
from watchword.reasons import Reason
from watchword.vocabulary import ReplayMode
from watchword_conformance.corpus import Capabilities, Mutation, load_capabilities, load_corpus
from watchword_conformance.deployment import DeploymentError, load, make_deployment, save
from watchword_conformance.requests import Built, encode_mutated
from watchword_conformance.runner import Answer, judge, workshop
from watchword_conformance.upstream import MARK, Seen

NOW = 1_795_500_000
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
CORPUS = load_corpus()
PASSED = Answer(200, ((MARK.lower(), "1"),))
GOOD = next(case for case in CORPUS.cases if case.id == "token/good")
MISSING = next(case for case in CORPUS.cases if case.id == "token/missing")


def built(case_id: str = "token/good") -> Built:
    """Return the first request of a case."""
    case = next(case for case in CORPUS.cases if case.id == case_id)
    deployment = make_deployment(SystemEntropy(), NOW, ReplayMode.LOCAL)
    shop = workshop(deployment)
    return shop.build(case, 0, shop.instances(), [], NOW)


def seen(request: Built) -> Seen:
    """Return what an API sees of a good request."""
    assert request.token is not None
    claims = request.token.claims
    results = [
        ["watchword-instance", claims["sub"]],
        ["watchword-level", claims["lvl"]],
        ["watchword-app", CORPUS.app],
    ]
    return Seen(request.label, "GET", request.target, results, EMPTY)


def test_shipped_data_is_what_the_scripts_work_out() -> None:
    """Run scripts/conformance_corpus.py after a change of a case."""
    assert (FOLDER / "corpus.json").read_text(encoding="utf-8") == corpus_text()
    assert (FOLDER / "corpus.schema.json").read_text(encoding="utf-8") == schema_text()


def test_ids_are_unique_and_reasons_and_rows_exist() -> None:
    """A case names what there is."""
    ids = [case.id for case in CORPUS.cases]
    assert len(set(ids)) == len(ids)
    rows = {row.name for row in CORPUS.routes}
    for case in CORPUS.cases:
        assert case.route is None or case.route in rows
        for request in case.requests:
            if request.expect.reason is not None:
                assert Reason.from_code(request.expect.reason).code == request.expect.reason


def test_every_recipe_can_be_built() -> None:
    """Every mutation changes something, and no recipe names what isn't there."""
    shop = workshop(make_deployment(SystemEntropy(), NOW, ReplayMode.LOCAL))
    for case in CORPUS.cases:
        earlier: list[Built] = []
        for index in range(len(case.requests)):
            earlier.append(shop.build(case, index, shop.instances(), earlier, NOW))
        assert all(each.wire for each in earlier)


@pytest.mark.parametrize("bend", ["pad", "blank", "line-break", "cut", "flip", "empty", "unpad"])
def test_mutations_change_the_text(bend: Mutation) -> None:
    """Each gives another text than the honest one."""
    data = bytes(range(32))
    assert encode_mutated(data, url_safe=False, bend=bend) != encode_mutated(data, url_safe=False)


def test_a_mutation_that_changes_nothing_is_an_error() -> None:
    """32 zero bytes have no sign of the other alphabet, and 30 bytes no padding."""
    with pytest.raises(ValueError, match="changes nothing"):
        encode_mutated(bytes(30), url_safe=False, bend="unpad")
    with pytest.raises(ValueError, match="changes nothing"):
        encode_mutated(bytes(32), url_safe=False, bend="other-alphabet")


def test_affine_nonces_stand_in_front_within_the_bound() -> None:
    """A gate's nonce comes first, and a nonce that is wrong on purpose stays as it is."""
    shop = replace(
        workshop(make_deployment(SystemEntropy(), NOW, ReplayMode.AFFINE)), affinity="g" * 30
    )
    wires = {
        case.id: shop.build(case, 0, shop.instances(), [], NOW).wire
        for case in CORPUS.cases
        if case.id in {"session/good", "session/good-nonce-64", "session/nonce-short"}
    }
    assert b'nonce="' + b"g" * 30 in wires["session/good"]
    assert b'nonce="' + b"g" * 30 + b"n" * 34 + b'"' in wires["session/good-nonce-64"]
    assert b'nonce="' + b"n" * 15 + b'"' in wires["session/nonce-short"]


def test_deployment_comes_back_as_it_was(tmp_path: Path) -> None:
    """The runner signs with the keys whose public halves the gate holds."""
    made = make_deployment(SystemEntropy(), NOW, ReplayMode.SHARED, frozenset({"dpop"}))
    save(made, tmp_path)
    assert load(tmp_path) == made
    assert (tmp_path / "deployment.json").stat().st_mode & 0o077 == 0
    assert made.reference_key.hex() not in repr(made)
    with pytest.raises(DeploymentError, match="conformance setup"):
        load(tmp_path / "nothing")


def test_judge_takes_what_is_right() -> None:
    """A request that was passed on, cleaned, with its results."""
    request = built()
    assert judge(GOOD.requests[0], request, [PASSED], [seen(request)], []) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"method": "POST"}, "method"),
        ({"target": "/bearer/other"}, "target"),
        ({"body": "0" * 64}, "body"),
        ({"headers": []}, "watchword-instance"),
    ],
)
def test_judge_finds_a_request_that_was_changed(change: dict[str, object], fault: str) -> None:
    """The API must see what was sent."""
    request = built()
    changed = replace(seen(request), **change)  # type: ignore[arg-type]
    faults = judge(GOOD.requests[0], request, [PASSED], [changed], [])
    assert any(fault in each for each in faults)


@pytest.mark.parametrize("name", ["Watchword_Level", "WATCHWORD.LEVEL", "watchword-level"])
def test_judge_finds_a_forged_result(name: str) -> None:
    """In whatever spelling it arrives."""
    request = built()
    forged = replace(seen(request), headers=[*seen(request).headers, [name, "hardware"]])
    assert judge(GOOD.requests[0], request, [PASSED], [forged], [])


def test_judge_finds_a_trailer_at_the_api() -> None:
    """Behind the body or among the fields; what the server made a field of before the gate was asked is one."""
    case = next(case for case in CORPUS.cases if case.id == "trailer/bearer-any")
    recipe, request = case.requests[0], built("trailer/bearer-any")
    digest = sha256(request.body).hexdigest()
    clean = replace(seen(request), method="POST", body=digest)
    merged = replace(clean, headers=[*clean.headers, ["X", "y"]])
    behind = replace(merged, trailers=[["X", "y"]])
    assert judge(recipe, request, [PASSED], [clean], []) == []
    for kind in (None, Divergence.CLEANED):
        assert judge(recipe, request, [PASSED], [behind], [], kind=kind)
    assert judge(recipe, request, [PASSED], [merged], [])
    assert judge(recipe, request, [PASSED], [merged], [], kind=Divergence.CLEANED) == []


def test_judge_finds_a_field_that_the_api_must_not_see() -> None:
    """By any sign for a hyphen, also where the gate says that it cleans."""
    case = next(case for case in CORPUS.cases if case.id == "rewriting/bearer-x-rewrite-url")
    recipe, request = case.requests[0], built("rewriting/bearer-x-rewrite-url")
    shown = replace(seen(request), headers=[*seen(request).headers, ["X_Rewrite.Url", "/admin"]])
    assert judge(recipe, request, [PASSED], [seen(request)], []) == []
    for kind in (None, Divergence.CLEANED):
        assert judge(recipe, request, [PASSED], [shown], [], kind=kind)


def test_judge_finds_the_token_at_the_api() -> None:
    """A token that goes further can be used elsewhere."""
    request = built()
    shown = replace(seen(request), headers=[*seen(request).headers, ["Watchword-Token", "x"]])
    assert judge(GOOD.requests[0], request, [PASSED], [shown], [])


def test_judge_finds_what_was_seen_twice_or_not_at_all() -> None:
    """Exactly once is neither none nor two."""
    request = built()
    assert judge(GOOD.requests[0], request, [PASSED], [], [])
    assert judge(GOOD.requests[0], request, [PASSED], [seen(request)] * 2, [])


def test_judge_finds_an_empty_200_of_somebody_else() -> None:
    """A server for another host may answer 200 with nothing."""
    request = built()
    assert judge(GOOD.requests[0], request, [Answer(200)], [seen(request)], [])


def test_judge_finds_wrong_status_reason_and_hidden_request() -> None:
    """A refusal has its class, its reason, and lets nothing through behind it."""
    recipe, request = MISSING.requests[0], built("token/missing")
    right = json.dumps({"reasons": ["token.missing"]}).encode()
    wrong = json.dumps({"reasons": ["token.expired"]}).encode()
    assert judge(recipe, request, [Answer(401, (), right)], [], []) == []
    assert judge(recipe, request, [Answer(403, (), right)], [], [])
    assert judge(recipe, request, [Answer(401, (), wrong)], [], [])
    hidden = Seen(request.inner, "GET", "/", [], EMPTY)
    assert judge(recipe, request, [Answer(401, (), right)], [], [hidden])
    assert judge(recipe, request, [Answer(0, late=True)], [], [])


def test_declaring_makes_a_gate_stricter_and_never_more_lenient() -> None:
    """What must be refused stays so, where an engine says that it is stricter or answers otherwise."""
    request = built()
    refused = [Answer(401)]
    stricter = Divergence.STRICTER
    assert judge(GOOD.requests[0], request, refused, [], [], kind=stricter) == []
    missing = built("token/missing")
    record = Seen(missing.label, "GET", missing.target, [], EMPTY)
    for kind in (stricter, Divergence.ANSWER):
        assert judge(MISSING.requests[0], missing, [PASSED], [record], [], kind=kind)
    assert judge(GOOD.requests[0], request, refused, [], [], kind=Divergence.ANSWER)


def test_declaring_another_answer_changes_the_status_alone() -> None:
    """A refusal by 500 is one where an engine says so, and stays a fault everywhere else."""
    recipe, request = MISSING.requests[0], built("token/missing")
    refused = [Answer(500)]
    assert judge(recipe, request, refused, [], [])
    assert judge(recipe, request, refused, [], [], statuses=[500]) == []
    assert judge(recipe, request, refused, [], [], kind=Divergence.ANSWER) == []


def test_what_is_cleaned_passes_once_and_clean() -> None:
    """Declared to be taken out, it must be out: no forged result, no second copy, no other path."""
    hashed = next(case for case in CORPUS.cases if case.id == "path/hash")
    request = built("path/hash")
    right = replace(seen(request), target="/bearer/orders")
    cleaned = Divergence.CLEANED

    def faults(*arrived: Seen) -> list[str]:
        return judge(hashed.requests[0], request, [PASSED], arrived, [], kind=cleaned)

    assert faults(right) == []
    assert faults(right, right)
    assert faults(replace(right, target="/hardware/orders"))
    assert faults(replace(right, headers=[*right.headers, ["Watchword_Level", "hardware"]]))
    assert judge(hashed.requests[0], request, [PASSED], [right], [])


def test_capabilities_name_cases_that_there_are() -> None:
    """A declaration for a case that was renamed would cover nothing, and one case has one reason."""
    ids = {case.id for case in CORPUS.cases}
    needs = {need for case in CORPUS.cases for need in case.needs}
    assert load_capabilities().keys() == ENFORCEMENT_POINTS.keys()
    for each in load_capabilities().values():
        named = [case for difference in each.differs for case in difference.cases]
        assert set(named) <= ids
        assert len(named) == len(set(named))
        assert {difference.needs for difference in each.differs} - {None} <= needs


def test_a_declaration_that_nobody_explains_is_an_error() -> None:
    """It says why itself, or stands in the engine's own list with the same kind."""

    def declares(engine: str, difference: str) -> Capabilities:
        text = f'{{"engine": "{engine}", "title": "x", "native": [], "differs": [{difference}]}}'
        return Capabilities.model_validate_json(text).explained()

    assert declares("envoy", '{"name": "token-form", "kind": "harmless"}').differs[0].why
    with pytest.raises(ValueError, match="doesn't say why"):
        declares("envoy", '{"name": "another"}')
    with pytest.raises(ValueError, match="harmless"):
        declares("envoy", '{"name": "token-form", "kind": "stricter"}')


def test_capabilities_and_missing_rows_are_told_apart() -> None:
    """A row that the gate's table lacks is said to be missing."""
    engine = Capabilities.model_validate_json(
        '{"engine": "x", "title": "x", "native": [], "differs":'
        ' [{"name": "none", "needs": "dpop", "why": "it isn\'t offered here"}]}'
    )
    dpop = next(case for case in CORPUS.cases if case.id == "dpop/good")
    declared, row = engine.declared(dpop, frozenset()), engine.declared(GOOD, frozenset({"bearer"}))
    assert declared is not None
    assert declared.why == "it isn't offered here"
    assert engine.declared(GOOD, frozenset()) is None
    assert row is not None
    assert "bearer" in row.why
