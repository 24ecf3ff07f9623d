"""Show which of our ids are held to be unknown, and how other catalogues' files are read."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from watchword.apps.plan.catalogue import (
    MAX_LIST_BYTES,
    MAX_PAGE_BYTES,
    CatalogueFileError,
    read_maswe,
    read_stix,
    read_upstream,
)
from watchword.plan.catalogue import (
    NAME_PATTERNS,
    load_catalogue,
    maswe_numbers,
    names_used,
    unknown_names,
)

CATALOGUE = load_catalogue()
USED = names_used(CATALOGUE)
STANDING = {other: frozenset(names) for other, names in USED.items()}


def stix(*names: str, domain: str | None = "mobile-attack", **members: Any) -> dict[str, Any]:
    """Return a bundle with one technique for each id."""
    domains = {"x_mitre_domains": [domain]} if domain else {}
    return {
        "type": "bundle",
        "objects": [
            {
                "type": "course-of-action" if name.startswith("M") else "attack-pattern",
                "external_references": [{"source_name": "mitre-attack", "external_id": name}],
                **domains,
                **members,
            }
            for name in names
        ],
    }


def written(folder: Path, name: str, data: Any) -> Path:
    """Write JSON, and return where."""
    file = folder / name
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def page(folder: Path, name: str, top: str) -> None:
    """Write a page of Markdown with YAML at its top."""
    (folder / name).write_text(f"---\n{top}\n---\n\n# Text\n", encoding="utf-8")


def test_ids_look_like_those_of_their_catalogue() -> None:
    """Each is of the form that its catalogue has; all eight are named somewhere."""
    assert USED.keys() == NAME_PATTERNS.keys()
    for other, names in USED.items():
        assert all(NAME_PATTERNS[other].fullmatch(name) for name in names), other


def test_every_alias_of_ours_has_its_number() -> None:
    """MASWE 1.0.0 has 78 weaknesses without a gap, each with one alias."""
    numbers = maswe_numbers()
    assert sorted(numbers.values()) == [f"MASWE-{number:04}" for number in range(1, 79)]
    assert numbers["insecure-pinning"] == "MASWE-0028"
    assert USED["maswe"].keys() <= numbers.keys()
    assert all(NAME_PATTERNS["maswe"].fullmatch(alias) for alias in numbers)


def test_nothing_is_unknown_where_upstream_has_all() -> None:
    """Ids that stand upstream are fine, and more of them there don't matter."""
    more = {other: names | {"T9999"} for other, names in STANDING.items()}
    assert unknown_names(CATALOGUE, more) == ()


def test_an_id_that_upstream_lacks_is_told_with_who_names_it() -> None:
    """The entry that is to be corrected is named."""
    known = {"maswe": STANDING["maswe"] - {"insecure-pinning"}}
    (unknown,) = unknown_names(CATALOGUE, known)
    assert (unknown.catalogue, unknown.name) == ("maswe", "insecure-pinning")
    assert unknown.entries == ("MT-C01", "MT-C02", "MT-C07", "PR-C03")


def test_what_no_file_was_given_for_is_not_judged() -> None:
    """Without a file nothing is unknown, with an empty one everything is."""
    assert unknown_names(CATALOGUE, {}) == ()
    everything = unknown_names(CATALOGUE, {"d3fend": frozenset()})
    assert {each.name for each in everything} == set(USED["d3fend"])


def test_stix_is_sorted_by_matrix_and_retired_ids_stand_apart(tmp_path: Path) -> None:
    """Techniques and mitigations of both matrices; revoked and deprecated ones aren't live."""
    mobile = stix("T1617", "M1002")
    mobile["objects"] += stix("T1111", revoked=True)["objects"]
    mobile["objects"] += stix("T2222", x_mitre_deprecated=True)["objects"]
    mobile["objects"] += stix("G0001", type="intrusion-set")["objects"]
    files = [
        written(tmp_path, "mobile.json", mobile),
        written(tmp_path, "enterprise.json", stix("T1557", domain="enterprise-attack")),
    ]
    upstream = read_upstream(files, None)
    assert upstream.live == {
        "attack-mobile": {"T1617", "M1002"},
        "attack-enterprise": {"T1557"},
    }
    assert upstream.retired == {"attack-mobile": {"T1111", "T2222"}}


def test_an_id_that_stands_again_is_not_retired(tmp_path: Path) -> None:
    """An older bundle beside a newer one doesn't retire what lives."""
    old = written(tmp_path, "old.json", stix("T1617", revoked=True))
    new = written(tmp_path, "new.json", stix("T1617"))
    upstream = read_upstream([new, old], None)
    assert upstream.live == {"attack-mobile": {"T1617"}}
    assert upstream.retired == {"attack-mobile": frozenset()}


def test_old_bundles_name_their_matrix_by_the_source(tmp_path: Path) -> None:
    """Without a domain the source of the id says which matrix it is of."""
    bundle = stix("T1617", "T1618", domain=None)
    bundle["objects"][0]["external_references"][0]["source_name"] = "mitre-mobile-attack"
    upstream = read_upstream([written(tmp_path, "old.json", bundle)], None)
    assert upstream.live == {"attack-mobile": {"T1617"}, "attack-enterprise": {"T1618"}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"objects": []}',
        b'{"objects": [3, {}, {"type": "attack-pattern", "external_references": [3, {}]}]}',
        b'{"objects": [{"type": ["x"], "external_references": {}}]}',
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(stix("T1", domain="ics-attack")).encode(),
    ],
)
def test_what_is_no_bundle_is_told_by_its_name(tmp_path: Path, content: bytes) -> None:
    """Whatever the file holds, the fault names it and says what was expected."""
    file = tmp_path / "bundle.json"
    file.write_bytes(content)
    with pytest.raises(CatalogueFileError, match=re.escape(str(file)) + ".*expected"):
        read_stix(file)


def test_pages_of_maswe_are_read_by_their_alias(tmp_path: Path) -> None:
    """Aliases stand at the top of each page, in whatever folder; a deprecated one is retired."""
    (tmp_path / "MASVS-NETWORK").mkdir()
    page(tmp_path / "MASVS-NETWORK", "MASWE-0028.md", "id: MASWE-0028\nalias: insecure-pinning")
    page(tmp_path, "MASWE-0001.md", "alias: old-name\nstatus: deprecated")
    page(tmp_path, "other.md", "title: no alias")
    (tmp_path / "README.md").write_text("# No YAML\n", encoding="utf-8")
    (tmp_path / "open.md").write_text("---\nalias: never-ends\n", encoding="utf-8")
    upstream = read_upstream([], tmp_path)
    assert upstream.live == {"maswe": {"insecure-pinning"}}
    assert upstream.retired == {"maswe": {"old-name"}}


def test_a_list_of_maswe_holds_aliases_or_objects(tmp_path: Path) -> None:
    """Both forms are read, also mixed."""
    data = ["insecure-pinning", {"alias": "app-integrity", "id": "MASWE-0056"}, {"id": "x"}, 3]
    found = read_maswe(written(tmp_path, "maswe.json", data))
    assert {each.name for each in found} == {"insecure-pinning", "app-integrity"}


def test_what_is_no_maswe_is_told(tmp_path: Path) -> None:
    """An empty directory, another JSON, broken YAML and files that are too large."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CatalogueFileError, match="no alias"):
        read_maswe(empty)
    with pytest.raises(CatalogueFileError, match="JSON list"):
        read_maswe(written(tmp_path, "object.json", {"alias": "x"}))
    page(empty, "broken.md", "alias: [")
    with pytest.raises(CatalogueFileError, match=r"broken\.md"):
        read_maswe(empty)
    (empty / "broken.md").write_bytes(b" " * (MAX_PAGE_BYTES + 1))
    with pytest.raises(CatalogueFileError, match=f"at most {MAX_PAGE_BYTES}"):
        read_maswe(empty)
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (MAX_LIST_BYTES + 1))
    with pytest.raises(CatalogueFileError, match=f"at most {MAX_LIST_BYTES}"):
        read_maswe(large)
