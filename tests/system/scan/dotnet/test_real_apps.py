"""Assemblies of real apps, where they lie beside the clone, held against another reader of them."""

import zipfile
from pathlib import Path
from typing import Any

import dnfile
import pytest

from watchword.adapters.app_package.package import open_app
from watchword.scan.app import Depth, Framework
from watchword.scan.archive.interface import Limits
from watchword.scan.dotnet import MEMBER_REF, Metadata, Steps

APP = Path(__file__).parents[5] / "shared" / "apps" / "hybrid" / "xamarin-witcher.apk"

pytestmark = pytest.mark.skipif(not APP.is_file(), reason="no real apps beside the clone")


def test_all_assemblies_are_read() -> None:
    """63 assemblies, and each method of the app's own ones."""
    app = open_app(APP, Limits(), lambda: 60.0)
    assert len(app.assemblies) == 63
    (shop,) = (each for each in app.assemblies if each.name == "Eklavvya")
    assert len(shop.methods) == 81
    assert any(use.what.startswith("https://") and use.by.cls for use in shop.strings)
    assert not [gap for gap in app.coverage.gaps if gap.where.endswith(".dll")]


@pytest.mark.parametrize(
    "name", ["Eklavvya", "Plugin.Geolocator", "Xamarin.Essentials", "System.Net.Http"]
)
def test_another_reader_sees_the_same(name: str) -> None:
    """As many of each, with the same names, and the same strings."""
    with zipfile.ZipFile(APP) as archive:
        data = archive.read(f"assemblies/{name}.dll")
    ours = Metadata(data)
    theirs: Any = dnfile.dnPE(data=data).net  # type: ignore[no-untyped-call]
    tables = theirs.mdtables
    assert [_simple(each) for each in ours.types] == [
        _simple(str(row.TypeName)) for row in tables.TypeDef
    ]
    assert [each.name for each in ours.methods] == [str(row.Name) for row in tables.MethodDef]
    assert [ours.member(MEMBER_REF, at)[1] for at in range(1, ours.count(MEMBER_REF) + 1)] == [
        str(row.Name) for row in tables.MemberRef
    ]
    owners = [_simple(str(row.TypeName)) for row in tables.TypeDef for _ in row.MethodList]
    assert [_simple(each.cls) for each in ours.methods] == owners
    at, texts = 1, []
    while at < theirs.user_strings.sizeof():
        item = theirs.user_strings.get(at)
        at += item.raw_size
        texts.append(item.value)
    assert list(ours.user_strings()) == [text for text in texts if text]
    steps = Steps(ours)
    for each in ours.methods:
        if each.has_code:
            list(steps.of(steps.body(each)))


def _simple(name: str) -> str:
    return name.rpartition("+")[2].rpartition(".")[2]


def test_depth_is_told() -> None:
    """The app's own assemblies are read down to their calls; those of frameworks down to their strings."""
    app = open_app(APP, Limits(), lambda: 60.0)
    found = [each for each in app.coverage.frameworks if each.framework is Framework.DOTNET]
    assert all(each.depth is Depth.STRINGS for each in found)
