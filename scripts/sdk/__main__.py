"""Fetch the tools of the phones' SDKs (``tools``, ``dex``), or build, test (``android``, ``ios``) and package them."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts.sdk import ROOT, SdkError, android, apk, ios, ios_release, package, react_native, tools


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked, or say in one sentence why not and return 1."""
    parser = argparse.ArgumentParser(prog="python -m scripts.sdk", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("tools", help="fetch what the SDKs are built with into .sdk/")
    commands.add_parser("dex", help="fetch the optional dexer and shrinker into .sdk/")
    built = commands.add_parser("android", help="compile the Android SDK and run its tests")
    built.add_argument("--module", action="append", help="this module alone (again for more)")
    built.add_argument(
        "--test", action="append", help="test classes of this name alone, without package"
    )
    phones = commands.add_parser("ios", help="compile the iOS SDK and run its tests")
    phones.add_argument("--swift-6", action="store_true", help="as Swift 6, with thread sanitizer")
    phones.add_argument("--test", action="append", help="tests that match this expression alone")
    packed = commands.add_parser("package", help="write the SDKs' artifacts")
    packed.add_argument("sdk", nargs="?", choices=_PACKAGES, help="of one SDK; left out: of all")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "android":
            return _android(chosen.module, chosen.test)
        if chosen.command == "ios":
            return _ios(ios.SWIFT_6 if chosen.swift_6 else ios.SWIFT_5, chosen.test)
        if chosen.command == "package":
            return _package([chosen.sdk] if chosen.sdk else list(_PACKAGES))
        done = tools.install() if chosen.command == "tools" else tools.install_dex()
    except SdkError as error:
        print(f"sdk: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"fetched {each}" for each in done) or "everything is there")
    return 0


def _android_packages() -> list[Path]:
    """Write the artifacts, and the sample app where what dexes it is there."""
    build = android.Build()
    files = package.package(build)
    if tools.DEX.is_file():
        files.append(apk.sample(build, android.OUT / "app"))
    else:
        print("no sample app: make sdk-dex fetches what it is dexed with")
    return files


_PACKAGES: Final[Mapping[str, Callable[[], list[Path]]]] = {
    "android": _android_packages,
    "ios": ios_release.package,
    "rn": react_native.package,
}


def _package(sdks: Sequence[str]) -> int:
    """Write what ships of SDKs, and say how large each file is."""
    for sdk in sdks:
        for file in _PACKAGES[sdk]():
            print(f"{file.stat().st_size:>9,} bytes  {file.relative_to(ROOT)}")
    return 0


def _ios(way: ios.Way, wanted: Sequence[str] | None) -> int:
    """Compile the package and run its tests; return 1 where one failed."""
    outcomes = ios.run(way, wanted or ())
    return 1 if _told(f"sdk/ios as {way.name}", outcomes) else 0


def _told(name: str, outcomes: Sequence[android.Outcome]) -> int:
    """Say how tests ended, and return how many failed."""
    for each in outcomes:
        if each.status != "passed":
            print(f"{each.status}: {each.test}\n{each.message}".rstrip())
    bad = sum(each.status == "failed" for each in outcomes)
    print(f"{name}: {len(outcomes)} tests, {bad} of them failed")
    return bad


def _android(names: Sequence[str] | None, wanted: Sequence[str] | None) -> int:
    """Compile modules and run their tests; return 1 where one failed."""
    build, failures = android.Build(), 0
    for name in names or android.modules():
        if name not in android.modules():
            raise SdkError(f"got {name}, expected a module: {', '.join(android.modules())}")
        module = android.modules()[name]
        classes = [
            each
            for each in android.junit_classes(name)
            if not wanted or each.rpartition(".")[2] in wanted
        ]
        for variant in module.variants:
            build.compiled(name, variant)
            outcomes = build.run_junit(name, classes, variant) if classes else []
            failures += _told(module.label(variant), outcomes)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
